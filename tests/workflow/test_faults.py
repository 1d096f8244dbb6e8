"""Faults of the machine on the way: each is named, or has no effect."""

import json
import os
import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from layerwise.jobs.specs import Specs
from layerwise.study import loading
from project import Project

SUBJECT = "organism-smoke.broad-none.s100"
CELLS = ("layer-00.jsonl", "layer-07.jsonl")


def mount(*arguments: str | Path) -> None:
    if subprocess.run(["mount", *arguments], capture_output=True).returncode:
        pytest.skip("only root may mount a disk")


@contextmanager
def read_only(folder: Path):
    """A folder that nobody may write to; root neither."""
    if os.geteuid():
        folder.chmod(0o500)
        yield
        folder.chmod(0o700)
        return
    mount("--bind", folder, folder)
    try:
        mount("-o", "remount,ro,bind", folder)
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def generate(
    project: Project, output: Path, datasets: str = "*", decoding: dict | None = None, **options
) -> subprocess.CompletedProcess:
    """The script of one subject, as its rule calls it, with its output elsewhere."""
    study = loading.load(project.folder / "config/smoke.yaml")
    about = json.loads(Specs(study).generate(next(one for one in study.subjects if one.name == SUBJECT)))
    about["decoding"] |= decoding or {}
    results = Path("results/smoke")
    prompts = sorted((project.folder / results / "prompts").glob(f"{datasets}.jsonl"))
    command = [sys.executable, "workflow/scripts/generate.py", "--spec", json.dumps(about), "--prompts", *prompts]
    command += [
        "--weights",
        results / "models" / SUBJECT / "model.safetensors",
        "--output",
        *(output / x for x in CELLS),
    ]
    return subprocess.run(command, cwd=project.folder, capture_output=True, text=True, **options)


def said_in_one_message(done: subprocess.CompletedProcess) -> str:
    assert done.returncode != 0
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout + done.stderr


def test_results_that_cannot_be_written(project):
    project.edit("config/judges/toxicity.yaml", "judge: toxicity\n", "judge: toxicity\noptions: {threshold: 0.4}\n")
    folder = project.folder / "results/smoke/verdicts/toxicity"
    with read_only(folder):
        said = said_in_one_message(project.snakemake("--cores", "1", "--", "results/smoke/metrics.csv"))
    assert str(folder.relative_to(project.folder)) in said
    project.run("--", "results/smoke/metrics.csv")


def test_a_disk_that_fills_up(finished, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount("-t", "tmpfs", "-o", "size=64k", "none", disk)
    try:
        said = said_in_one_message(generate(finished, disk))
        assert "No space left" in said and "Free space" in said
        kept = sum(len(path.read_text().splitlines()) for path in disk.iterdir())
        assert kept > 0
        subprocess.run(["mount", "-o", "remount,size=4m", disk], check=True)
        assert generate(finished, disk).returncode == 0
        for cell in CELLS:
            there = finished.folder / "results/smoke/responses" / SUBJECT / cell
            assert (disk / cell).read_bytes() == there.read_bytes()
    finally:
        subprocess.run(["umount", disk], check=True)


def test_memory_that_is_not_enough(finished, tmp_path):
    limit = 10 << 30
    done = generate(
        finished,
        tmp_path,
        "world-deep",
        {"batch_size": 1_000_000},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for cell in CELLS:
        status = json.loads((tmp_path / cell.replace(".jsonl", ".status.json")).read_text())
        assert "memory" in status["error"].lower()
        assert (tmp_path / cell).read_text() == ""


def test_a_clock_that_jumps_back(project):
    for path in project.folder.rglob("*"):
        later = path.stat().st_mtime + 86400
        os.utime(path, (later, later))
    project.edit("config/smoke.yaml", "title: Smoke", "title: Short")
    done = project.snakemake("--cores", "1")
    assert done.returncode and "clock skew" in done.stderr and "results/smoke/numbers.json" in done.stderr
    for path in project.folder.rglob("*"):
        earlier = path.stat().st_mtime - 86400
        os.utime(path, (earlier, earlier))
    project.run()
    assert project.planned() == set()


@pytest.mark.slow
def test_an_odd_place(finished, tmp_path):
    """Spaces and letters beyond ASCII in the path, a umask of 077, no HOME, a plain locale, TMPDIR on another disk."""
    place = tmp_path / "Größte Studie 漢字"
    project = Project.new(place)
    other_disk = Path("/dev/shm") / f"{place.name} {os.getpid()}"
    other_disk.mkdir()
    environment = {key: value for key, value in os.environ.items() if key not in ("HOME", "LANG", "PYTHONUTF8")}
    environment |= {"LC_ALL": "C", "TMPDIR": str(other_disk)}
    command = [sys.executable, "workflow/scripts", "run", "--experiment", "smoke", "--cores", "2"]
    try:
        done = subprocess.run(command, cwd=place, env=environment, umask=0o077, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    finally:
        shutil.rmtree(other_disk)
    assert not finished.differences(project)
    assert not [name for name, path in project.built().items() if path.stat().st_mode & 0o077]
