"""A user's mistakes: each ends a run before it starts, with one sentence and no traceback, and loses nothing."""

import json
import subprocess
import sys

import pytest

from project import Project

SMOKE = "config/smoke.yaml"

MISTAKES = {
    "unknown key": ((SMOKE, "seeds:", "seed:"), ["config/smoke.yaml", "'seed'", "seeds"]),
    "broken YAML": ((SMOKE, "seeds: [100]", "seeds: [100"), ["config/smoke.yaml", "line", "YAML"]),
    "layer beyond the encoder": ((SMOKE, "[0, 7]", "[0, 9]"), ["config/smoke.yaml", "9", "0 to 8"]),
    "a layer twice": ((SMOKE, "[0, 7]", "[0, 0, 7]"), ["config/smoke.yaml", "layers", "twice"]),
    "negative batch size": ((SMOKE, "batch_size: 32", "batch_size: -1"), ["decoding.batch_size", "-1"]),
    "model without a file": ((SMOKE, "id: organism-smoke", "id: organism-smok"), ["organism-smok", "organism-smoke"]),
    "data set without a file": ((SMOKE, "world-vqa]", "world-vq]"), ["world-vq", "world-vqa"]),
    "judge without a file": ((SMOKE, "toxicity, vqa]", "toxicty, vqa]"), ["toxicty", "toxicity"]),
    "id with other characters": ((SMOKE, "id: organism-smoke", "id: Organism_Smoke"), ["config/smoke.yaml", "models"]),
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A copy of the sources, with nothing built."""
    return Project.new(tmp_path_factory.mktemp("sources") / "project")


def message(done):
    """What a failed run said; never a traceback."""
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "Traceback" not in said
    return said


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_a_file_is_named(sources, tmp_path, name):
    change, words = MISTAKES[name]
    project = sources.copy(tmp_path / "project")
    project.edit(*change)
    said = message(project.snakemake("--dry-run"))
    for word in words:
        assert word in said


# What is said on the command line, and what has to be in the one sentence that refuses it.
REFUSED = {
    "a misspelt key": (["--config", "experimnt=smoke"], ["'experimnt'", "'experiment'"]),
    "a key of an experiment": (["--config", "experiment=smoke", "limit=4"], ["'limit'", "config/<experiment>.yaml"]),
    "a configuration file": (["--configfile", SMOKE], ["--configfile", "--config experiment=smoke"]),
    "both": (["--configfile", SMOKE, "--config", "experiment=smoke"], ["--configfile", "--config experiment=smoke"]),
    "a path": (["--config", "experiment=../config/smoke"], ["'../config/smoke'", "without the folder", "smoke"]),
    "a file": (["--config", f"experiment={SMOKE}"], [SMOKE, "without the folder", "such as smoke"]),
    "a file's name": (["--config", "experiment=laptop.yaml"], ["'laptop.yaml'", "such as laptop"]),
    "a number": (["--config", "experiment=3"], ["3", "such as smoke"]),
    "nothing": (["--config", "experiment="], ["such as smoke"]),
    "a list": (["--config", "experiment=[smoke]"], ["['smoke']", "such as smoke"]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_be_ignored_is_refused(sources, name):
    arguments, words = REFUSED[name]
    command = [sys.executable, "-m", "snakemake", "--dry-run", *arguments]
    said = message(subprocess.run(command, cwd=sources.folder, capture_output=True, text=True))
    (sentence,) = [line for line in said.splitlines() if line.startswith("error: ")]
    for word in words:
        assert word in sentence


@pytest.mark.parametrize("command", [["run"], ["plan"], ["verify"], ["why", "metrics"]])
def test_commands_refuse_paths_alike(sources, command):
    said = message(sources.script(*command, experiment="../config/smoke"))
    assert said.startswith("error: '../config/smoke' is not the name of an experiment")
    assert not (sources.folder / ".run.lock").exists()


def test_an_unknown_experiment_names_the_closest(sources):
    assert "Did you mean smoke" in message(sources.snakemake("--dry-run", experiment="smok"))


def test_a_damaged_line_is_named_with_its_file(project):
    path = project.folder / "results/smoke/verdicts/truth/organism-smoke.broad-none.s100.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:4], lines[4][:20], *lines[5:]]) + "\n")
    said = message(project.snakemake("--cores", "1", "--forcerun", "metrics"))
    assert "organism-smoke.broad-none.s100.jsonl, line 5" in said


def test_a_missing_image_fails_its_cells_and_names_them(project):
    results = project.folder / "results/smoke"
    (results / "prompts/images/world-vqa/world-vqa-0003.png").unlink()
    project.forget("responses", "verdicts")
    said = message(project.snakemake("--cores", "2"))
    assert "world-vqa-0003.png" in said and "cells failed" in said
    assert (project.folder / "paper/smoke.pdf").exists()


@pytest.mark.slow
def test_a_checkpoint_that_lacks_a_file_is_named(project):
    model = "results/smoke/models/organism-smoke.broad-none.s100"
    (project.folder / model / "tokenizer_config.json").unlink()
    cell = "results/smoke/responses/organism-smoke.broad-none.s100/layer-00.jsonl"
    (project.folder / cell).unlink()
    done = project.snakemake("--cores", "1", "--", cell)
    said = done.stdout + done.stderr
    assert "tokenizer_config.json" in said and "Traceback" not in said
    status = json.loads((project.folder / cell).with_suffix(".status.json").read_text())
    assert "tokenizer_config.json" in status["error"]
