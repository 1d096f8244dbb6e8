"""The smoke experiment, from a copy of the sources to the paper: what a new user gets."""

import json
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from project import ROOT, Project


def test_every_promised_file_is_there(finished):
    folder = finished.folder
    for path in (
        "paper/smoke.pdf",
        "results/smoke/metrics.csv",
        "results/smoke/paired.csv",
        "results/smoke/numbers.json",
        "results/smoke/complete.txt",
        "results/smoke/tables/outcomes.tex",
    ):
        assert (folder / path).stat().st_size > 0, path
    figures = {path.stem for path in (folder / "figures/smoke").glob("*.pdf")}
    assert {"refusal-and-harm", "outcomes", "toxicity", "utility", "probes", "drift", "predictions"} <= figures
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
    outcomes = metrics[
        metrics.metric.isin(["refusal", "harmful", "harmless", "incoherent"]) & (metrics.judge == "truth")
    ]
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


def test_the_cost_of_every_rule_is_known(finished):
    costs = pd.read_csv(finished.folder / "results/smoke/costs.csv")
    assert {"generate", "judge", "train_vision", "metrics", "figure", "paper", "all"} <= set(costs["rule"])
    assert (costs.cpu_seconds > 0).all() and (costs.peak_memory_mb > 5).all()


@pytest.mark.slow
def test_two_runs_give_the_same_bytes(finished, tmp_path):
    second = Project.new(tmp_path / "second run")
    second.run()
    for path in (
        "results/smoke/metrics.csv",
        "results/smoke/paired.csv",
        "results/smoke/numbers.json",
        "paper/smoke.pdf",
    ):
        assert (finished.folder / path).read_bytes() == (second.folder / path).read_bytes(), path
    pictures = [path.relative_to(second.folder) for path in (second.folder / "figures/smoke").iterdir()]
    assert all((finished.folder / path).read_bytes() == (second.folder / path).read_bytes() for path in pictures)


def test_nothing_that_is_built_is_committed():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.splitlines()
    if not tracked:
        pytest.skip("not a git checkout")
    assert [path for path in tracked if Path(path).parts[0] in ("results", "figures")] == [
        "figures/README.md",
        "results/README.md",
    ]
    assert not [path for path in tracked if path.startswith("paper/") and path.endswith(".pdf")]
