"""The workflow away from its folder: started from elsewhere, with another working directory, as a module."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from project import TIMED, Project
from smokejobs import EVERYTHING, NOTHING

MODULE = """
module study:
    snakefile: {snakefile!r}
    config: {{"experiment": "smoke"}}
{prefix}

use rule * from study as study_*
"""


@pytest.fixture
def project(tmp_path):
    """The sources in a folder whose name is in no result, and has a space."""
    return Project.new(tmp_path / "the project")


@pytest.fixture
def elsewhere(tmp_path):
    """A folder with nothing in it."""
    folder = tmp_path / "another place"
    folder.mkdir()
    return Project(folder)


def snakefile(project: Project) -> str:
    return str(project.folder / "Snakefile")


def module(folder: Path, source: str, prefix: str = "") -> None:
    """A workflow that takes another one as its module."""
    text = MODULE.format(snakefile=source, prefix=f'    prefix: "{prefix}"' if prefix else "")
    (folder / "Snakefile").write_text(text)


def dry(folder: Path, *arguments: str) -> str:
    """What a dry run in a folder says."""
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "1", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def test_it_is_planned_from_another_folder(project, elsewhere):
    jobs = elsewhere.planned("--snakefile", snakefile(project))
    assert jobs == EVERYTHING
    assert project.planned("--directory", str(elsewhere.folder)) == jobs


def test_an_experiment_of_the_working_directory_comes_first(project, elsewhere):
    shutil.copytree(project.folder / "config", elsewhere.folder / "config")
    elsewhere.edit("config/smoke.yaml", "coherence, ", "")
    assert "judge coherence" not in elsewhere.planned("--snakefile", snakefile(project))


@pytest.mark.parametrize("target", [[], ["study_all"]])
def test_it_is_planned_as_a_module(project, elsewhere, target):
    module(elsewhere.folder, snakefile(project))
    said = dry(elsewhere.folder, *target)
    assert "study_generate" in said and "study_complete" in said
    assert " paper/smoke.pdf" in said


def test_a_module_may_have_a_prefix(project, elsewhere):
    module(elsewhere.folder, snakefile(project), "below")
    said = dry(elsewhere.folder)
    assert "below/paper/smoke.pdf" in said
    assert " results/smoke" not in said and "below/below" not in said


def test_a_config_file_is_the_main_workflows_own(project, elsewhere):
    module(elsewhere.folder, snakefile(project))
    (elsewhere.folder / "mine.yaml").write_text("of_mine: 1\n")
    assert "study_complete" in dry(elsewhere.folder, "--configfile", "mine.yaml")


def test_a_snakefile_without_its_library_says_what_to_do(project, elsewhere):
    shutil.copy(snakefile(project), elsewhere.folder)
    done = elsewhere.snakemake("--dry-run")
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert "clone the repository, and name the Snakefile of the clone" in done.stderr


def assert_the_same(finished: Project, there: Project, *names: str) -> None:
    """A run elsewhere made what a run in the project makes, and no file of it holds one of the names of folders."""
    assert not finished.differences(there)
    places = [there.folder / place for place in ("results", "figures", "paper")]
    files = [file for place in places for file in place.rglob("*") if file.is_file()]
    assert {file.name for file in files} >= set(TIMED)
    for file in files:
        content = file.read_bytes()
        assert not [name for name in names if name.encode() in content], file


@pytest.mark.slow
def test_what_is_made_elsewhere_is_the_same(finished, project, elsewhere):
    project.run("--directory", str(elsewhere.folder))
    assert not (project.folder / "results").exists() and not (project.folder / ".snakemake/metadata").exists()
    assert_the_same(finished, elsewhere, "the project", "another place", str(project.folder.parent))
    assert elsewhere.planned("--snakefile", snakefile(project)) == NOTHING
    # As a module, too: the jobs have other names, and nothing is to be done.
    module(elsewhere.folder, snakefile(project))
    profile = str(project.folder / "profiles/default")
    assert "Nothing to be done" in dry(elsewhere.folder, "--workflow-profile", profile)
    (elsewhere.folder / "Snakefile").unlink()
    # Both move, apart.
    moved = project.folder.with_name("moved")
    shutil.move(project.folder, moved)
    elsewhere.folder = shutil.move(elsewhere.folder, elsewhere.folder.with_name("also moved"))
    assert elsewhere.planned("--snakefile", str(moved / "Snakefile")) == NOTHING
    # A source of the project is asked for, where it is now.
    script = [sys.executable, str(moved / "workflow/scripts"), "why", "paper/smoke.pdf", "--experiment", "smoke"]
    assert subprocess.run(script, cwd=elsewhere.folder, capture_output=True).returncode == 0
    with open(moved / "paper/main.typ", "a") as stream:
        stream.write("// a remark\n")
    changed = subprocess.run(script, cwd=elsewhere.folder, capture_output=True, text=True)
    assert changed.returncode == 1 and "CHANGED: paper/main.typ" in changed.stdout
    assert elsewhere.planned("--snakefile", str(moved / "Snakefile")) == {"paper", "crate", "complete"}


@pytest.mark.slow
def test_a_module_makes_the_same(finished, project, elsewhere):
    module(elsewhere.folder, snakefile(project))
    command = [sys.executable, "-m", "snakemake", "--cores", "2"]
    done = subprocess.run(command, cwd=elsewhere.folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert_the_same(finished, elsewhere, "the project", "another place", str(project.folder.parent))
