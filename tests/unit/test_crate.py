"""The description of a run as RO-Crate: valid by the validator of its profile, whole, and the same bytes each time."""

import json
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
    "paper/main.typ": "text",
}


@pytest.fixture
def run(tmp_path):
    """A small run: prompts, metrics, a figure, a paper."""
    for path, text in FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    (tmp_path / "workflow/scripts").mkdir(parents=True)
    (tmp_path / "Snakefile").touch()
    prompts, metrics, figure, paper, text = FILES
    for rule, inputs, output in (
        ("build_prompts", [], prompts),
        ("metrics", [prompts], metrics),
        ("figure", [metrics], figure),
        ("paper", [figure, text], paper),
    ):
        record(tmp_path, rule, inputs, [output])
        (tmp_path / f"workflow/scripts/{rule}.py").touch()
    return tmp_path


def write(run):
    """Write the crate of a run; returns its text."""
    output = run / EXPERIMENT / "ro-crate-metadata.json"
    program = ROOT / "workflow/scripts/crate.py"
    options = ["--spec", '{"title": "A run", "experiment": "x"}', "--citation", str(ROOT / "CITATION.cff")]
    made = ["--made", "paper/x.pdf", "figures/x/lines.pdf", "--output", str(output.relative_to(run))]
    done = subprocess.run([sys.executable, program, *options, *made], cwd=run, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return output.read_text()


def test_the_crate_is_valid(run, faults):
    write(run)
    assert faults(run / EXPERIMENT) == []


@pytest.mark.parametrize("lost", ["license", "mainEntity"])
def test_the_validator_sees_what_is_lost(run, faults, lost):
    crate = json.loads(write(run))
    root = next(entity for entity in crate["@graph"] if entity["@id"] == "./")
    del root[lost]
    (run / EXPERIMENT / "ro-crate-metadata.json").write_text(json.dumps(crate))
    assert faults(run / EXPERIMENT)


def test_every_file_is_there_with_its_checksum_and_its_job(run):
    write(run)
    crate = ROCrate(run / EXPERIMENT)
    made = {f"../../{path}" if not path.startswith(EXPERIMENT) else path[len(EXPERIMENT) + 1 :] for path in FILES}
    for id in made:
        assert len(crate.get(id)["sha256"]) == 64
    (used,) = {entity.id for entity in [crate.get("metrics.csv")["prov:wasGeneratedBy"]["prov:used"]]}
    assert used == "prompts/deep.jsonl"
    assert crate.get("#run")["endTime"] == "1970-01-01T00:00:02+00:00"


def test_the_same_run_gives_the_same_bytes_and_no_path_of_the_machine(run):
    text = write(run)
    assert write(run) == text
    assert str(run) not in text and str(ROOT) not in text and sys.prefix not in text


def test_a_result_without_records_is_refused(tmp_path, run):
    for path in (run / ".snakemake/metadata").iterdir():
        path.unlink()
    with pytest.raises(AssertionError, match="no record of how figures/x/lines.pdf was made"):
        write(run)
