"""The paper's own numbers are internally consistent, as far as they can be, and complete."""

import itertools

import pytest
import yaml

from conftest import ROOT

PUBLISHED = yaml.safe_load((ROOT / "paper" / "published.yaml").read_text(encoding="utf-8"))
GROUPS = ("Early", "Middle", "Late")
SETS = ("custom-prompts", "jailbreakv-mini", "advbench-coco")
MEASURES = ("asr", "toxicity", "reward")


def test_every_row_is_there_once() -> None:
    rows = [(row["test_set"], row["group"]) for row in PUBLISHED["table2"]]
    assert sorted(rows) == sorted(itertools.product(SETS, (*GROUPS, "Average")))
    for row in PUBLISHED["table2"]:
        assert row["model"] == "llava-1.5-7b"
        assert set(row["original"]) == set(row["after"]) == set(MEASURES)


def test_the_source_is_in_the_bibliography() -> None:
    assert f"{{{PUBLISHED['source']['key']}," in (ROOT / "paper" / "references.bib").read_text(encoding="utf-8")


@pytest.mark.parametrize("test_set, state, measure", [*itertools.product(SETS, ("original", "after"), MEASURES)])
def test_an_average_is_the_mean_of_its_groups(test_set: str, state: str, measure: str) -> None:
    """To the last printed digit: the paper cuts seven of its eighteen averages off where others are rounded."""
    values = {row["group"]: row[state][measure] for row in PUBLISHED["table2"] if row["test_set"] == test_set}
    mean = sum(values[group] for group in GROUPS) / len(GROUPS)
    assert abs(values["Average"] - mean) < 0.01
