"""The sentences on figures and tables follow the data, whichever way it points."""

import re

import pandas as pd
import pytest

import drawing
from layerwise import plugins
from layerwise.analysis.results import studied
from layerwise.report import findings, names, shown
from layerwise.report.text import SPACE
from layerwise.study.facts import facts


@pytest.fixture(scope="module")
def experiments(tmp_path_factory):
    return drawing.experiments(tmp_path_factory.mktemp("experiments"))


def said(results, figure, **changed):
    """What a figure's file says of an experiment, of which some frames are changed."""
    module = plugins.find("report.figures", figure)
    return " ".join(module.finding(results.frames | changed, results.subjects, names.of(results.study)))


def test_each_figure_that_an_experiment_has_says_something(experiments):
    spoken = set()
    for results in experiments.values():
        for figure, declared in plugins.planned("report.figures", facts(results.study)).items():
            has_data = set(declared["INPUTS"]) <= set(results.frames)
            if has_data and hasattr(plugins.find("report.figures", figure), "finding"):
                assert re.fullmatch(r"[^\n]+\.", said(results, figure)), figure
                spoken.add(figure)
    assert spoken >= {*drawing.BY_LAYER, *drawing.OF_ORGANISMS, "dose"}


def test_what_a_figure_or_table_finds_is_written_beside_it_and_nothing_where_it_finds_nothing(experiments, tmp_path):
    results = experiments["short"]
    silent = plugins.find("report.tables", "paired")
    for name, module in (("drift", plugins.find("report.figures", "drift")), ("paired", silent)):
        findings.write(tmp_path / f"{name}.pdf", module, results.frames, results.subjects, names.of(results.study))
    assert (tmp_path / "drift.finding.txt").read_text(encoding="utf-8") == said(results, "drift")
    assert (tmp_path / "paired.finding.txt").read_text(encoding="utf-8") == ""


@pytest.mark.parametrize("direction", [1, -1])
def test_a_sentence_points_where_the_data_point(experiments, direction):
    results = experiments["short"]
    metrics = results.frames["metrics"].copy()
    harm, refusal = metrics["metric"] == "asr", metrics["metric"] == "refusal"
    early = metrics["layer"] == 0
    metrics.loc[refusal, "value"] = 0.6
    metrics.loc[harm, "value"] = 0.5
    deep = metrics["dataset"] == "world-deep"
    metrics.loc[harm & early & deep & (metrics["arm"] == "broad-default"), "value"] = 0.5 + 0.25 * direction
    text = said(results, "refusal-and-harm", metrics=metrics)
    deep_text = next(part for part in re.split(r"(?<=\.) (?=[A-Z])", text) if part.startswith("Deep cue"))
    sign = "+" if direction > 0 else "−"
    assert f"for broad-default at exit 0, by {sign}25.0{SPACE}points" in deep_text
    assert "n = 40" in deep_text


def test_the_others_are_said_to_differ_by_less(experiments):
    results = experiments["real"]
    metrics = results.frames["metrics"].copy()
    metrics.loc[metrics["metric"] == "asr", "value"] = 0.5
    of_one = (metrics["model"] == "llava-1.5-7b") & (metrics["layer"] == 3) & (metrics["dataset"] == "advbench-coco")
    metrics.loc[of_one & (metrics["metric"] == "asr"), "value"] = 0.75
    text = said(results, "refusal-and-harm", metrics=metrics)
    assert f"by +25.0{SPACE}points" in text and "for the others, by at most 0.0 points" in text


def test_arms_that_are_not_aligned_are_not_spoken_of(experiments):
    assert "for broad-default" in said(experiments["short"], "outcomes")
    unaligned = experiments["short"].frames["metrics"].copy()
    rows = (unaligned["arm"] == "broad-none") & (unaligned["layer"] == 0) & (unaligned["metric"] == "refusal")
    unaligned.loc[rows, "value"] = 100
    assert "broad-none" not in said(experiments["short"], "outcomes", metrics=unaligned)
    assert re.search("LLaVA|Llama", said(experiments["real"], "outcomes"))


def test_little_refusal_at_the_default_layer_is_said(experiments):
    results = experiments["short"]
    metrics = results.frames["metrics"].copy()
    metrics.loc[metrics["metric"] == "refusal", "value"] = 0.1
    assert "No aligned model refuses" in said(results, "refusal-and-harm", metrics=metrics)
    metrics.loc[(metrics["metric"] == "refusal") & (metrics["arm"] == "broad-default"), "value"] = 0.9
    assert "No aligned model refuses" not in said(results, "refusal-and-harm", metrics=metrics)


def test_where_no_judge_tells_harm_the_share_answered_is_spoken_of(experiments):
    text = said(experiments["answered"], "refusal-and-harm")
    assert "the share answered differs most" in text
    assert "harm" not in text.replace("harmful prompts", "")
    assert "answered" in said(experiments["answered"], "outcomes")


def test_a_change_is_of_the_same_seed_and_spans_the_seeds(experiments):
    results = experiments["tiny"]
    metrics = results.frames["metrics"].copy()
    rows = (metrics["metric"] == "toxicity") & (metrics["arm"] == "broad-none") & metrics["layer"].notna()
    metrics.loc[rows, "value"] = 0.5
    for seed, value in (("100", 0.7), ("201", 0.6), ("all", 0.65)):
        metrics.loc[rows & (metrics["layer"] == 2) & (metrics["seed"] == seed), "value"] = value
    cells = shown.cells(metrics, studied(results.subjects), ["toxicity"])
    found = findings.changes(cells[cells["arm"] == "broad-none"])
    assert set(found["layer"]) == {2} and set(found["default_layer"]) == {7}
    assert found["change"].tolist() == pytest.approx([0.15, 0.15])
    assert found["smallest"].tolist() == pytest.approx([0.1, 0.1])
    assert found["largest"].tolist() == pytest.approx([0.2, 0.2])


def test_onsets_are_said_seed_by_seed_where_they_differ(experiments):
    results = experiments["tiny"]
    probes = results.frames["probes"].copy()
    deep = probes["probe"] == "deep"
    probes.loc[deep, "value"] = 0.5
    probes.loc[deep & (probes["layer"] >= 5), "value"] = 1.0
    readable = "The deep cue is first linearly readable (AUC ≥ 0.75) at"
    assert f"{readable} exit 5 in every seed." in said(results, "probes", probes=probes)
    probes.loc[deep & (probes["layer"] == 5) & probes["subject"].str.endswith("s201"), "value"] = 0.6
    assert f"{readable} exits 5, 6 (seed by seed)" in said(results, "probes", probes=probes)
    assert "With 4 frozen blocks the cue is first linearly readable at exit 5;" in said(results, "dose", probes=probes)
    probes.loc[deep, "value"] = 0.5
    assert f"{readable} no exit in every seed" in said(results, "probes", probes=probes)


def test_outcomes_of_predictions_are_counted(experiments):
    results = experiments["tiny"]
    rows = [("P1a", "organism", "narrow-default", str(seed), "", "", 0.1, 0.2, outcome, "") for seed, outcome in
            ((100, "holds"), (201, "fails"), (301, "holds"))]  # fmt: skip
    columns = ["prediction", "model", "arm", "seed", "statement", "quantity", "value", "threshold", "outcome", "detail"]
    text = said(results, "predictions", predictions=pd.DataFrame(rows, columns=columns))
    assert text == "P1a (narrow-default), 3 seeds: holds in 2, fails in 1."
