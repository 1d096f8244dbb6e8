"""The description of a run as RO-Crate: valid by the validator of its profile, whole, and the same bytes each time."""

import json
import shutil
import subprocess
import sys

import pytest
from rocrate.rocrate import ROCrate

from conftest import ROOT
from history import record

EXPERIMENT = "results/x"
FILES = {
    f"{EXPERIMENT}/prompts/deep.jsonl": "{}\n",
    f"{EXPERIMENT}/metrics.csv": "value\n1\n",
    "figures/x/lines.pdf": "%PDF",
    "paper/x.pdf": "%PDF",
}
SOURCES = {"paper/main.typ": "c" * 64}


@pytest.fixture
def run(tmp_path):
    """A small run: prompts, metrics, a figure, a paper."""
    for path, text in FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    prompts, metrics, figure, paper = FILES
    for rule, inputs, output, spec in (
        ("build_prompts", [], prompts, {}),
        ("metrics", [prompts], metrics, {}),
        ("figure", [metrics], figure, {}),
        ("paper", [figure], paper, {"sources": SOURCES}),
    ):
        record(tmp_path, rule, inputs, [output], spec)
    return tmp_path


@pytest.fixture
def project(run):
    """The project in the same folder, from which the run is described as most are."""
    shutil.copytree(ROOT / "workflow/scripts", run / "workflow/scripts", ignore=shutil.ignore_patterns("__pycache__"))
    for path in ("Snakefile", "CITATION.cff", "paper/main.typ"):
        shutil.copy(ROOT / path, run / path)
    return run


def write(run, root=None):
    """Write the crate of a run with the project in a folder, its own if none is named; returns its text."""
    output = run / EXPERIMENT / "ro-crate-metadata.json"
    program = (root or run) / "workflow/scripts/crate.py"
    options = ["--spec", '{"title": "A run", "experiment": "x", "sources": {"CITATION.cff": "..."}}']
    made = ["--made", "paper/x.pdf", "figures/x/lines.pdf", "--output", str(output.relative_to(run))]
    done = subprocess.run([sys.executable, program, *options, *made], cwd=run, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return output.read_text()


def test_the_crate_is_valid(project, faults):
    write(project)
    assert faults(project / EXPERIMENT) == []


def test_a_run_in_another_folder_names_the_project_but_not_its_place(run, faults):
    text = write(run, ROOT)
    assert faults(run / EXPERIMENT) == ["Main Workflow #Snakefile not found in crate"]
    assert str(run) not in text and str(ROOT) not in text
    assert ROCrate(run / EXPERIMENT).get("#paper/main.typ")["sha256"] == SOURCES["paper/main.typ"]


@pytest.mark.parametrize("lost", ["license", "mainEntity"])
def test_the_validator_sees_what_is_lost(project, faults, lost):
    crate = json.loads(write(project))
    root = next(entity for entity in crate["@graph"] if entity["@id"] == "./")
    del root[lost]
    (project / EXPERIMENT / "ro-crate-metadata.json").write_text(json.dumps(crate))
    assert faults(project / EXPERIMENT)


def test_every_file_is_there_with_its_checksum_and_its_job(project):
    write(project)
    crate = ROCrate(project / EXPERIMENT)
    files = [*FILES, *SOURCES]
    made = {f"../../{path}" if not path.startswith(EXPERIMENT) else path[len(EXPERIMENT) + 1 :] for path in files}
    for id in made:
        assert len(crate.get(id)["sha256"]) == 64
    (used,) = {entity.id for entity in [crate.get("metrics.csv")["prov:wasGeneratedBy"]["prov:used"]]}
    assert used == "prompts/deep.jsonl"
    assert crate.get("#run")["endTime"] == "1970-01-01T00:00:02+00:00"


def test_the_same_run_gives_the_same_bytes_and_no_path_of_the_machine(project):
    text = write(project)
    assert write(project) == text
    assert str(project) not in text and str(ROOT) not in text and sys.prefix not in text


def test_a_result_without_records_is_refused(project):
    for path in (project / ".snakemake/metadata").iterdir():
        path.unlink()
    with pytest.raises(AssertionError, match="no record of how figures/x/lines.pdf was made"):
        write(project)
