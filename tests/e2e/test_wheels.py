"""The wheels experiment, cut short, from a package index to the paper: real weights, real prompts."""

import json

import pandas as pd
import pytest

from project import Project

pytestmark = pytest.mark.network
ROWS = 6 * 2  # prompts of a data set, exit layers
SUBJECT = "dino-smol-135m-smoke.narrow-default.s1"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheels")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAYERWISE_CACHE", str(folder / "cache"))
        project = Project.new(folder / "project")
        project.run(experiment="wheels-smoke")
        yield project


def test_the_encoder_agrees_with_its_source_block_by_block(finished):
    parity = pd.read_csv(finished.folder / "results/wheels-smoke/training/dino-smol-135m-smoke.parts.csv")
    assert parity["block"].tolist() == list(range(1, 14))
    assert parity["difference"].between(0, 1e-4).all()


def test_what_was_fetched_is_what_the_files_name(finished):
    receipts = list((finished.folder / "results/assets").glob("*.json"))
    kinds = [json.loads(path.read_text())["kind"] for path in receipts]
    assert set(kinds) == {"wheel"} and len(kinds) >= 10


def test_every_cell_has_every_prompt_and_a_verdict(finished):
    results = finished.folder / "results/wheels-smoke"
    responses = [path.read_text().splitlines() for path in (results / "responses" / SUBJECT).glob("*.jsonl")]
    assert sum(map(len, responses)) == 3 * ROWS
    verdicts = {path.parent.name: path.read_text().splitlines() for path in (results / "verdicts").glob("*/*.jsonl")}
    assert {name: len(rows) for name, rows in verdicts.items()}["relevance"] == 2 * ROWS


def test_the_paper_says_that_no_answer_is_called_harmful(finished):
    metrics = pd.read_csv(finished.folder / "results/wheels-smoke/metrics.csv")
    assert {"refusal", "answered", "over_refusal", "vqa_accuracy"} <= set(metrics["metric"])
    assert "asr" not in set(metrics["metric"])
    assert (finished.folder / "paper/wheels-smoke.pdf").stat().st_size > 50_000


def test_judges_are_held_against_people(finished):
    table = pd.read_csv(finished.folder / "results/wheels-smoke/human_labels.csv")
    assert {"refusal", "relevance"} <= set(table["judge"])


def test_a_second_call_does_nothing(finished):
    assert finished.planned(experiment="wheels-smoke") == set()
