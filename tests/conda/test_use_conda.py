"""`--use-conda` on a stand-in for conda's command line: every environment solves, the smoke experiment runs in them.

The solver, the linking and the environments' pip are real; see `standin.py` for what is not.
"""

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys

import channel
import pytest
import standin
import yaml
from packaging.utils import canonicalize_name

from project import ROOT, Project

LOCK = ROOT / "envs/requirements.lock"
ENVIRONMENTS = sorted(path.stem for path in (ROOT / "envs").glob("*.yaml"))


def pins() -> dict[str, str]:
    """Version of each distribution of the lock."""
    lines = (line.split("==") for line in LOCK.read_text().splitlines() if "==" in line)
    return {canonicalize_name(name): version for name, version in lines}


def lacking() -> str | None:
    """Why the environments cannot be made here; None where they can."""
    if sys.version_info[:2] != (3, 11):
        return "the environments ask for Python 3.11, and what they are made of is the Python that runs the tests"
    there = {canonicalize_name(dist.name): dist.version for dist in importlib.metadata.distributions()}
    for name, version in pins().items():
        if there.get(name, "").partition("+")[0] != version:
            return f"{name}=={version} is not installed: pip install -r envs/requirements.lock"
    return None


REASON = lacking()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(REASON is not None, reason=str(REASON))]


@pytest.fixture(scope="module")
def conda(tmp_path_factory):
    """The variables under which `conda` is the stand-in, its channel is local, and pip knows local wheels only."""
    folder = tmp_path_factory.mktemp("conda")
    channel.write_channel(folder / "channels/conda-forge")
    channel.write_wheels(folder / "wheels", LOCK)
    standin.lay(folder / "base")
    yield {
        "PATH": f"{folder / 'base/bin'}{os.pathsep}{os.environ['PATH']}",
        "CONDA_CHANNEL_ALIAS": f"file://{folder}/channels/",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(folder / "wheels"),
        "PIP_COMPILE": "0",
        "PYTHONDONTWRITEBYTECODE": "",
    }
    shutil.rmtree(folder)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_environment_solves_to_the_pins_of_the_lock(conda, tmp_path, name):
    path = ROOT / f"envs/{name}.yaml"
    create = ["conda", "env", "create", "--dry-run", "--file", path, "--prefix", tmp_path / name]
    solved = subprocess.run(create, env=os.environ | conda, capture_output=True, text=True)
    assert solved.returncode == 0 and "python=3.11" in solved.stdout, solved.stderr
    wanted = next(part["pip"] for part in yaml.safe_load(path.read_text())["dependencies"] if isinstance(part, dict))
    install = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--report", "-"]
    resolved = subprocess.run([*install, *wanted], env=os.environ | conda, capture_output=True, text=True)
    assert resolved.returncode == 0, resolved.stderr
    for package in json.loads(resolved.stdout)["install"]:
        name, version = package["metadata"]["name"], package["metadata"]["version"]
        assert pins()[canonicalize_name(name)] == version.partition("+")[0], name


def test_the_smoke_experiment_runs_in_its_environments(conda, finished, tmp_path):
    project = Project.new(tmp_path / "project")
    said = project.run("--use-conda", **conda)
    for path in (
        "results/smoke/metrics.csv",
        "results/smoke/paired.csv",
        "results/smoke/numbers.json",
        "paper/smoke.pdf",
    ):
        assert (project.folder / path).read_bytes() == (finished.folder / path).read_bytes(), path
    made = {path.with_suffix(""): path.read_text() for path in (project.folder / ".snakemake/conda").glob("*.yaml")}
    used = {name for name in ENVIRONMENTS if (ROOT / f"envs/{name}.yaml").read_text() in made.values()}
    assert used == set(ENVIRONMENTS)
    for prefix in made:
        assert (prefix / "conda-meta").is_dir()
        # Byte code is written at the first import: these are the packages that the rules imported.
        packages = (prefix / "lib/python3.11/site-packages").glob("*/__pycache__")
        assert {path.parent.name for path in packages} - {"pip"}
    assert "Activating conda environment" in said
    assert not project.planned()
