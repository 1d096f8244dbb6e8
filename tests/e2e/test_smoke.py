"""The smoke experiment, from a copy of the sources to the paper: what a new user gets."""

import json
import re
import shutil
import subprocess

import pandas as pd
import pytest
from pypdf import PdfReader

from layerwise.files import file_digest
from layerwise.vocabulary import OUTCOME_OF
from project import ROOT


def test_every_promised_file_is_there(finished):
    folder = finished.folder
    for path in (
        "paper/smoke.pdf",
        "results/smoke/metrics.csv",
        "results/smoke/paired.csv",
        "results/smoke/numbers.json",
        "results/smoke/complete.txt",
        "results/smoke/explorer.html",
        "results/smoke/ro-crate-metadata.json",
        "results/smoke/tables/outcomes.tex",
    ):
        assert (folder / path).stat().st_size > 0, path
    figures = {path.stem for path in (folder / "figures/smoke").glob("*.pdf")}
    assert {"refusal-and-harm", "outcomes", "toxicity", "ability", "probes", "drift", "predictions"} <= figures
    for name in figures:
        for kind in (".svg", ".png", ".csv"):
            assert (folder / f"figures/smoke/{name}{kind}").stat().st_size > 0, name + kind


def test_every_cell_has_every_prompt(finished):
    results = finished.folder / "results/smoke"
    prompts = sum(len(path.read_text().splitlines()) for path in (results / "prompts").glob("*.jsonl"))
    cells = list((results / "responses").glob("*/layer-*.jsonl"))
    assert prompts == 24 * 7 and len(cells) == 2 * 2
    assert all(len(cell.read_text().splitlines()) == prompts for cell in cells)


def test_the_outcomes_of_a_cell_add_up(finished):
    metrics = pd.read_csv(finished.folder / "results/smoke/metrics.csv", dtype={"seed": str})
    outcomes = metrics[metrics.metric.isin(OUTCOME_OF) & (metrics.judge == "truth")]
    sums = outcomes.groupby(["model", "arm", "seed", "dataset", "layer", "group"], dropna=False).value.sum()
    assert len(sums) and (abs(sums - 1) < 1e-9).all()


def test_every_number_names_a_source_that_exists(finished):
    numbers = json.loads((finished.folder / "results/smoke/numbers.json").read_text())
    assert len(numbers) > 20
    for key, number in numbers.items():
        path, _, line = number["source"].partition(":")
        if "/" in path:
            there = finished.folder / path
            assert there.exists(), key
            assert not line or int(line) <= len(there.read_text().splitlines()), key


@pytest.mark.parametrize(
    ("what", "files"),
    [
        (
            "asr.broad-default.world-deep.layer-07",
            [
                "results/smoke/metrics.csv",
                "results/smoke/verdicts/truth/organism-smoke.broad-default.s100.jsonl",
                "results/smoke/responses/organism-smoke.broad-default.s100/layer-07.jsonl",
                "results/smoke/prompts/world-deep.jsonl",
                "results/smoke/models/organism-smoke.broad-default.s100/model.safetensors",
                "results/smoke/models/organism-smoke.broad-none.s100/model.safetensors",
                "results/smoke/models/organism-smoke.vision.s100/model.safetensors",
            ],
        ),
        ("drift", ["figures/smoke/drift.pdf", "results/smoke/probes/organism-smoke.broad-default.s100.csv"]),
        ("paper/smoke.pdf", ["paper/main.typ", "paper/published.yaml", "results/smoke/numbers.json"]),
    ],
)
def test_every_step_back_to_the_raw_inputs_is_told(finished, what, files):
    said = finished.script("why", what, "--full")
    assert said.returncode == 0, said.stdout + said.stderr
    listed = {path: checksum for checksum, path in re.findall(r"^    ([0-9a-f]{64})  (.+)$", said.stdout, re.MULTILINE)}
    for path in files:
        assert listed[path] == file_digest(finished.folder / path)
    # A number of one exit hangs on no other.
    assert "layer-07" not in what or not any("layer-00" in path for path in listed)
    assert max(map(len, finished.script("why", what).stdout.splitlines())) <= 100


def test_a_source_that_was_changed_and_a_wrong_key_are_said(project):
    verdicts = project.folder / "results/smoke/verdicts/truth/organism-smoke.broad-none.s100.jsonl"
    verdicts.write_text(verdicts.read_text() + "\n")
    said = project.script("why", "asr.broad-none.world-deep.layer-00")
    assert said.returncode == 1 and f"CHANGED: {verdicts.relative_to(project.folder)}" in said.stdout
    wrong = project.script("why", "asr.broad-none.world-dep.layer-00")
    assert wrong.returncode == 1 and "asr.broad-none.world-deep.layer-00" in wrong.stderr


def test_the_description_of_the_run_is_valid_and_names_every_file(finished, faults):
    folder = finished.folder / "results/smoke"
    assert faults(folder) == []
    described = {entity["@id"] for entity in json.loads((folder / "ro-crate-metadata.json").read_text())["@graph"]}
    made = [path for part in ("responses", "verdicts", "tables") for path in (folder / part).rglob("*")]
    assert {path.relative_to(folder).as_posix() for path in made if path.is_file()} - described == set()


def test_the_run_agrees_with_the_reference(project):
    shutil.copytree(ROOT / "results/reference", project.folder / "results/reference")
    said = project.script("verify")
    assert said.returncode == 0, said.stdout + said.stderr


def test_the_paper_links_the_data_of_each_figure_and_table(finished):
    paper = finished.folder / "paper/smoke.pdf"
    notes = [note.get_object() for page in PdfReader(paper).pages for note in page.get("/Annots", [])]
    linked = {(paper.parent / note["/A"]["/URI"]).resolve() for note in notes if "/URI" in note.get("/A", {})}
    figures = {path.with_suffix(".csv") for path in (finished.folder / "figures/smoke").glob("*.svg")}
    tables = {path for path in (finished.folder / "results/smoke/tables").glob("*.csv") if "Note" not in first(path)}
    assert figures and tables and {path.resolve() for path in figures | tables} <= linked


def first(path):
    """The columns of a table."""
    return path.read_text().splitlines()[0].split(",")


def test_the_cost_of_every_rule_is_known(finished):
    costs = pd.read_csv(finished.folder / "results/smoke/costs.csv")
    assert {"generate", "judge", "train_vision", "metrics", "figure", "paper", "all"} <= set(costs["rule"])
    assert (costs.cpu_seconds > 0).all() and (costs.peak_memory_mb > 5).all()


def test_nothing_that_is_built_is_committed():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.splitlines()
    if not tracked:
        pytest.skip("not a git checkout")
    kept = [path for path in tracked if path.startswith(("results/", "figures/"))]
    assert [path for path in kept if not path.startswith("results/reference/")] == [
        "figures/README.md",
        "results/README.md",
    ]
    assert not [path for path in tracked if path.startswith("paper/") and path.endswith(".pdf")]
