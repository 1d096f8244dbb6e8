"""Figures are compared on data: what a figure shows is what the result files say, gaps included."""

import itertools
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.collections import PolyCollection

import drawing
import figure as script
from conftest import ROOT
from drawing import shown
from layerwise import plugins
from layerwise.analysis.results import ONSET, read, studied
from layerwise.errors import InputError
from layerwise.report import style
from layerwise.report.figures import predictions
from layerwise.report.shown import cells
from tidy import Results


@pytest.fixture(scope="module")
def experiments(tmp_path_factory):
    return drawing.experiments(tmp_path_factory.mktemp("experiments"))


def marked(axes):
    """The y values of each thick line on a panel, by colour, in the order of layers."""
    found = {}
    for line in axes.lines:
        if line.get_marker() not in ("None", None, "", " ") and line.get_linestyle() != "None":
            points = zip(line.get_xdata(), line.get_ydata(), strict=True)
            found.setdefault(line.get_color(), []).extend(points)
    return {colour: [y for _, y in sorted(points)] for colour, points in found.items()}


# What is shown


def test_means_are_drawn_as_they_stand_in_the_metrics(experiments):
    results = experiments["tiny"]
    _, figure = shown(results, "refusal-and-harm")
    look, metrics = style.Style(results.study), results.frames["metrics"]
    for axes, (metric, dataset) in zip(
        figure.axes, itertools.product(("asr", "refusal"), ("world-deep", "world-shallow")), strict=True
    ):
        drawn = marked(axes)
        for arm in ("broad-none", "broad-default"):
            rows = metrics[(metrics["arm"] == arm) & (metrics["seed"] == "all") & (metrics["metric"] == metric)]
            rows = rows[(rows["dataset"] == dataset) & rows["layer"].notna() & (rows["group"] != "Default")]
            rows = rows[rows["model"] == "organism"].sort_values("layer")
            assert len(rows) == 9
            np.testing.assert_allclose(drawn[look.colour("organism", arm)], 100 * rows["value"], rtol=1e-9)


def test_controls_show_the_variants_beside_the_weights_that_they_vary_and_no_other_figure_shows_them(experiments):
    data, _ = shown(experiments["assembled"], "controls")
    assert set(zip(data["model"], data["arm"], data["seed"], strict=True)) == {
        ("dino-smol-135m", "narrow-default", "11"), ("dino-smol-135m-shuffled", "narrow-default", "11")
    }  # fmt: skip
    data, _ = shown(experiments["assembled"], "refusal-and-harm")
    assert set(data["model"]) == {"dino-smol-135m"} and set(data["arm"]) == {"narrow-text", "narrow-default"}


def test_stacked_outcomes_are_the_shares_and_add_up(experiments):
    data, figure = shown(experiments["real"], "outcomes")
    axes = figure.axes[0]
    own = data[(data["model"] == "llava-1.5-7b") & (data["dataset"] == "advbench-coco")]
    bars = [one for one in axes.collections if isinstance(one, PolyCollection)]
    heights = {}
    told_apart = [outcome for outcome in style.OUTCOMES if outcome != "off_target"]
    for outcome, collection in zip(told_apart, bars, strict=True):
        boxes = [path.get_extents() for path in collection.get_paths()]
        heights[outcome] = [box.height for box in boxes]
        expected = own[own["metric"] == outcome].sort_values("layer")["value"]
        np.testing.assert_allclose(heights[outcome], 100 * expected, rtol=1e-6)
    np.testing.assert_allclose(sum(np.array(one) for one in heights.values()), 100, rtol=1e-6)


def test_off_target_harm_is_an_outcome_where_the_truth_decides(experiments):
    _, figure = shown(experiments["tiny"], "outcomes")
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert named[:5] == ["harmful", "off-target harm", "harmless", "incoherent", "refusal"]
    assert len([one for one in figure.axes[0].collections if isinstance(one, PolyCollection)]) == 5


def test_where_no_judge_tells_harm_the_answered_share_stands_in_its_place(experiments):
    data, figure = shown(experiments["answered"], "refusal-and-harm")
    assert set(data["metric"]) == {"answered", "refusal"}
    assert figure.axes[0].get_ylabel() == "Answered (%)"
    above = data[(data["dataset"] == "advbench-coco") & (data["metric"] == "answered")].sort_values("layer")["value"]
    (drawn,) = marked(figure.axes[0]).values()
    np.testing.assert_allclose(drawn, 100 * above, rtol=1e-9)
    data, figure = shown(experiments["answered"], "outcomes")
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["answered", "incoherent", "refusal", "default layer"]
    bars = [one for one in figure.axes[0].collections if isinstance(one, PolyCollection)]
    heights = [[path.get_extents().height for path in one.get_paths()] for one in bars]
    assert len(heights) == 3
    np.testing.assert_allclose(np.sum(heights, axis=0), 100, rtol=1e-6)


def test_extra_doses_are_shown_in_their_own_figure_alone(experiments):
    results = experiments["tiny"]
    data, _ = shown(results, "refusal-and-harm")
    assert set(data["model"]) == {"organism"}
    dose, _ = shown(results, "dose")
    assert set(dose["model"]) == {"organism", "organism-f2"}
    assert set(dose["seed"]) == {"100"}
    assert list(dict.fromkeys(dose["dose"])) == [2, 4]


def test_onset_of_a_dose_is_the_first_exit_that_reads_the_cue(experiments):
    data, _ = shown(experiments["tiny"], "dose")
    deep = data["metric"] == "deep"
    data.loc[deep, "value"] = 0.5
    data.loc[deep & (data["dose"] == 2) & (data["layer"] >= 3), "value"] = ONSET
    assert plugins.find("report.figures", "dose").onsets(data) == {2: 3}


def test_an_experiment_without_doses_or_predictions_says_so(experiments):
    results = experiments["short"]
    with pytest.raises(InputError, match="no dose and response"):
        plugins.find("report.figures", "dose").data(results.frames, results.subjects)
    empty = {"predictions": drawing.registered(results).iloc[:0]}
    with pytest.raises(InputError, match="predictions"):
        predictions.data(empty, results.subjects)


def test_outcomes_stand_in_their_cells_with_a_sign_each(experiments):
    data, figure = shown(experiments["tiny"], "predictions")
    signs = [sign for sign, _ in predictions.OUTCOMES.values()]
    assert len(set(signs)) == len(signs)
    written = [text.get_text() for text in figure.axes[1].texts]
    for outcome, (sign, _) in predictions.OUTCOMES.items():
        count = int((data["outcome"] == outcome).sum())
        assert sum(text.startswith(f"{sign} {outcome}\n") for text in written) == count > 0
    assert "✓ holds\n2 of 2" in written
    assert "✓ holds\n25.0 (50)" in written


# Gaps


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_a_missing_cell_is_a_gap_and_makes_its_mean_partial(experiments, data):
    results = experiments["tiny"]
    metrics, names = results.frames["metrics"], ["asr", "vqa_accuracy"]
    subject = data.draw(st.sampled_from(results.spec["subjects"][:4]))
    layer = data.draw(st.sampled_from(subject["layers"]))
    metric = data.draw(st.sampled_from(names))
    lost = (metrics["model"] == subject["id"]) & (metrics["arm"] == subject["arm"]) & (metrics["metric"] == metric)
    lost &= (metrics["seed"] == str(subject["seed"])) & (metrics["layer"] == layer)
    over = (metrics["arm"] == subject["arm"]) & (metrics["metric"] == metric) & (metrics["seed"] == "all")
    thinned = metrics.copy()
    thinned.loc[over & (thinned["layer"] == layer), "n"] = 1
    whole = cells(metrics, studied(results.subjects), names)
    found = cells(thinned[~lost], studied(results.subjects), names)
    assert whole["complete"].all()
    assert len(found) == len(whole)
    gaps = found[found["value"].isna()]
    datasets = 2 if metric == "asr" else 1
    assert len(gaps) == datasets
    assert set(gaps["layer"]) == {layer} and set(gaps["n"]) == {0}
    partial = found[~found["complete"]]
    assert set(partial["seed"]) == {str(subject["seed"]), "all"}
    assert len(partial) == 2 * datasets


def test_a_cell_with_fewer_responses_than_its_like_is_partial(experiments):
    results = experiments["real"]
    metrics = results.frames["metrics"].copy()
    short = metrics.index[(metrics["metric"] == "asr") & (metrics["layer"] == 5)][0]
    metrics.loc[short, "n"] -= 1
    found = cells(metrics, results.subjects, ["asr"])
    assert list(found.loc[~found["complete"], "layer"]) == [5]


def test_no_line_runs_over_a_gap(experiments):
    results = experiments["real"]
    metrics = results.frames["metrics"]
    gap = (metrics["model"] == "llava-1.5-7b") & (metrics["layer"] == 10)
    thinned = Results.__new__(Results)
    thinned.__dict__ = results.__dict__ | {"frames": results.frames | {"metrics": metrics[~gap]}}
    _, figure = shown(thinned, "toxicity")
    colour = style.Style(results.study).colour("llava-1.5-7b", "")
    drawn = [line for line in figure.axes[0].lines if line.get_color() == colour]
    assert drawn
    for line in drawn:
        x = line.get_xdata()
        assert not (min(x) < 9.5 and max(x) > 10.5)


# The script


def test_the_same_figure_has_the_same_bytes_and_its_data_beside_it(experiments, tmp_path, monkeypatch):
    results = experiments["short"]
    monkeypatch.chdir(results.folder)
    paths = [path for path in results.write(tmp_path / "results") if path.stem == "metrics"]
    spec = json.dumps(results.spec | {"figure": "ability"})
    arguments = ["--spec", spec, "--experiment", "short", "--inputs", *map(str, paths)]
    script.main([*arguments, "--output", str(tmp_path / "one" / "ability.pdf")])
    program = [sys.executable, "-X", "importtime", str(ROOT / "workflow" / "scripts" / "figure.py"), *arguments]
    another = {"PATH": "", "PYTHONHASHSEED": "77"}
    ran = subprocess.run(
        [*program, "--output", str(tmp_path / "two" / "ability.pdf")], env=another, stderr=subprocess.PIPE, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert not re.search(r"\| +(torch|statsmodels\.stats)$", ran.stderr, re.MULTILINE), "an import that costs seconds"
    for suffix in (".pdf", ".svg", ".png", ".csv", ".txt", ".finding.txt"):
        first, second = ((tmp_path / run / "ability").with_suffix(suffix).read_bytes() for run in ("one", "two"))
        assert first == second and len(first) > 50, suffix
    table = read([tmp_path / "one" / "ability.csv"])["ability"]
    expected = plugins.find("report.figures", "ability").data(results.frames, results.subjects)
    np.testing.assert_allclose(table["value"], expected["value"], rtol=1e-5)
    assert list(table["dataset"]) == list(expected["dataset"])
