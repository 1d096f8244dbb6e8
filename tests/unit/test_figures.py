"""Figures are compared on data: what a figure shows is what the result files say, gaps included."""

import itertools
import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.text import Text

import figure as script
from conftest import ROOT
from layerwise import figures, frames
from layerwise.figures import lines, predictions, style
from layerwise.records import InputError
from tidy import EXPERIMENTS, Results

BY_LAYER = ("refusal-and-harm", "outcomes", "toxicity", "utility", "drift")
OF_ORGANISMS = ("probes", "predictions")
DRAWN = [(name, figure) for name in EXPERIMENTS for figure in BY_LAYER]
DRAWN += [(name, figure) for name in ("tiny", "short") for figure in OF_ORGANISMS] + [("tiny", "dose")]


@pytest.fixture(scope="module")
def experiments(tmp_path_factory):
    folder = tmp_path_factory.mktemp("experiments")
    found = {name: Results(folder, name) for name in EXPERIMENTS}
    for name in ("tiny", "short"):
        found[name].frames["predictions"] = verdicts(found[name])
    return found


def verdicts(results):
    """A table of predictions with every verdict, and one prediction that is asked of the first seed alone."""
    seeds = [str(seed) for seed in results.study.experiment.seeds]
    turn = itertools.cycle(predictions.VERDICTS)
    rows = [
        (
            name,
            "organism",
            "default-on-robust",
            seed,
            f"What {name} says of exits",
            "the share",
            0.25,
            0.5,
            next(turn),
            "",
        )
        for name in ("P1a", "P1b", "P2", "P3")
        for seed in seeds
    ]
    rows.append(("P5", "organism", "default-on-robust", seeds[0], "Doses rise", "steps", 2, 2, "holds", ""))
    return pd.DataFrame(rows, columns=predictions.COLUMNS)


def shown(results, name):
    """The data and the figure."""
    module = figures.load(name)
    data = module.data(results.frames, results.subjects)
    with style.theme():
        figure = module.draw(data, style.Style(results.study))
        FigureCanvasAgg(figure)
        figure.draw_without_rendering()
    return data, figure


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
        figure.axes, itertools.product(("harmful", "refusal"), ("world-deep", "world-shallow")), strict=True
    ):
        drawn = marked(axes)
        for arm in ("robust", "default-on-robust"):
            rows = metrics[(metrics["arm"] == arm) & (metrics["seed"] == "all") & (metrics["metric"] == metric)]
            rows = rows[(rows["dataset"] == dataset) & rows["layer"].notna() & (rows["group"] != "Default")]
            rows = rows[rows["model"] == "organism"].sort_values("layer")
            assert len(rows) == 9
            np.testing.assert_allclose(drawn[look.colour("organism", arm)], 100 * rows["value"], rtol=1e-9)


def test_stacked_outcomes_are_the_shares_and_add_up(experiments):
    data, figure = shown(experiments["real"], "outcomes")
    axes = figure.axes[0]
    own = data[(data["model"] == "llava-1.5-7b") & (data["dataset"] == "advbench-coco")]
    bars = [one for one in axes.collections if isinstance(one, PolyCollection)]
    heights = {}
    for outcome, collection in zip(style.OUTCOMES, bars, strict=True):
        boxes = [path.get_extents() for path in collection.get_paths()]
        heights[outcome] = [box.height for box in boxes]
        expected = own[own["metric"] == outcome].sort_values("layer")["value"]
        np.testing.assert_allclose(heights[outcome], 100 * expected, rtol=1e-6)
    np.testing.assert_allclose(sum(np.array(one) for one in heights.values()), 100, rtol=1e-6)


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
    data.loc[deep & (data["dose"] == 2) & (data["layer"] >= 3), "value"] = frames.ONSET
    assert figures.load("dose").onsets(data) == {2: 3}


def test_an_experiment_without_doses_or_predictions_says_so(experiments):
    results = experiments["short"]
    with pytest.raises(InputError, match="no dose and response"):
        figures.load("dose").data(results.frames, results.subjects)
    empty = {"predictions": verdicts(results).iloc[:0]}
    with pytest.raises(InputError, match="predictions"):
        predictions.data(empty, results.subjects)


def test_verdicts_stand_in_their_cells_with_a_sign_each(experiments):
    data, figure = shown(experiments["tiny"], "predictions")
    signs = [sign for sign, _ in predictions.VERDICTS.values()]
    assert len(set(signs)) == len(signs)
    written = [text.get_text() for text in figure.axes[1].texts]
    for verdict, (sign, _) in predictions.VERDICTS.items():
        count = int((data["verdict"] == verdict).sum())
        assert sum(text.startswith(f"{sign} {verdict}\n") for text in written) == count > 0
    assert "✓ holds\n2 of 2" in written
    assert "✓ holds\n25.0 (50)" in written


# Gaps


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_a_missing_cell_is_a_gap_and_makes_its_mean_partial(experiments, data):
    results = experiments["tiny"]
    metrics, names = results.frames["metrics"], ["harmful", "utility"]
    subject = data.draw(st.sampled_from(results.spec["subjects"][:4]))
    layer = data.draw(st.sampled_from(subject["layers"]))
    metric = data.draw(st.sampled_from(names))
    lost = (metrics["model"] == subject["id"]) & (metrics["arm"] == subject["arm"]) & (metrics["metric"] == metric)
    lost &= (metrics["seed"] == str(subject["seed"])) & (metrics["layer"] == layer)
    over = (metrics["arm"] == subject["arm"]) & (metrics["metric"] == metric) & (metrics["seed"] == "all")
    thinned = metrics.copy()
    thinned.loc[over & (thinned["layer"] == layer), "n"] = 1
    whole = frames.cells(metrics, frames.studied(results.subjects), names)
    found = frames.cells(thinned[~lost], frames.studied(results.subjects), names)
    assert whole["complete"].all()
    assert len(found) == len(whole)
    gaps = found[found["value"].isna()]
    datasets = 2 if metric == "harmful" else 1
    assert len(gaps) == datasets
    assert set(gaps["layer"]) == {layer} and set(gaps["n"]) == {0}
    partial = found[~found["complete"]]
    assert set(partial["seed"]) == {str(subject["seed"]), "all"}
    assert len(partial) == 2 * datasets


def test_a_cell_with_fewer_responses_than_its_like_is_partial(experiments):
    results = experiments["real"]
    metrics = results.frames["metrics"].copy()
    short = metrics.index[(metrics["metric"] == "harmful") & (metrics["layer"] == 5)][0]
    metrics.loc[short, "n"] -= 1
    found = frames.cells(metrics, results.subjects, ["harmful"])
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


@pytest.mark.parametrize("name", BY_LAYER[:4])
def test_partial_is_said_on_the_figure_and_in_the_caption_only_when_it_is_so(experiments, name):
    results = experiments["tiny"]
    module, look = figures.load(name), style.Style(results.study)
    data = module.data(results.frames, results.subjects)
    for complete in (True, False):
        data.loc[data.index[3], "complete"] = complete
        with style.theme():
            figure = module.draw(data, look)
        said = any("PARTIAL: 1 of" in text.get_text() for text in figure.findobj(Text))
        assert said is not complete
        assert ("PARTIAL: 1 of" in module.caption(data, look)) is not complete


# Looks


def test_an_arm_has_one_colour_and_the_palette_decides(experiments):
    look = style.Style(experiments["tiny"].study)
    assert look.colour("organism", "robust") == look.colour("organism-f2", "robust") == "#000000"
    others = {look.colour(model, arm) for model, arm in look.order} - {"#000000"}
    assert others == {look.colour("organism", "default-on-robust")}
    assert others < set(style.OKABE_ITO)


def test_cues_and_outcomes_share_no_colour_with_arms():
    sets = [set(style.OKABE_ITO), set(style.CUES.values()), set(style.OUTCOMES.values())]
    assert all(not one & other for one, other in itertools.combinations(sets, 2))


def boxes(figure):
    """The extents of all text that is shown; of the labels of ticks those within the axes' limits."""
    found, ticks = set(), set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in axis.get_major_ticks():
                ticks |= {tick.label1, tick.label2}
                if axes.axison and low <= tick.get_loc() <= high:
                    found |= {tick.label1, tick.label2}
    found |= set(figure.findobj(Text)) - ticks
    return {text: text.get_window_extent() for text in found if text.get_visible() and text.get_text().strip()}


@pytest.mark.parametrize(("name", "figure"), DRAWN)
def test_text_is_legible_inside_the_page_and_apart(experiments, name, figure):
    _, drawn = shown(experiments[name], figure)
    found = boxes(drawn)
    assert len(found) > 5
    page = drawn.bbox
    for text, box in found.items():
        assert text.get_fontsize() >= 7, text
        assert box.x0 >= page.x0 - 1 and box.x1 <= page.x1 + 1 and box.y0 >= page.y0 - 1 and box.y1 <= page.y1 + 1, text
    for (one, first), (other, second) in itertools.combinations(found.items(), 2):
        assert not first.padded(-0.6).overlaps(second.padded(-0.6)), f"{one.get_text()!r} over {other.get_text()!r}"
    for legend in drawn.legends:
        assert not any(legend.get_window_extent().overlaps(axes.bbox) for axes in drawn.axes), "the legend hides data"


@pytest.mark.parametrize(("name", "layers"), [("tiny", {7.0}), ("real", set())])
def test_the_default_layer_is_marked(experiments, name, layers):
    _, figure = shown(experiments[name], "toxicity")
    dotted = {line.get_xdata()[0] for line in figure.axes[0].lines if line.get_linestyle() == ":" or _dots(line)}
    assert dotted == layers
    rings = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "none" and line.get_marker() == "o"]
    if name == "real":
        assert sorted(round(x) for x in rings[0].get_xdata()) == [23, 32]
    else:
        assert not rings


def _dots(line):
    return line.get_linestyle() == "--" and line.get_linewidth() == lines.DOTTED["linewidth"]


# Captions


def test_captions_state_the_real_settings(experiments):
    for name, figure in DRAWN:
        results = experiments[name]
        module = figures.load(figure)
        text = module.caption(module.data(results.frames, results.subjects), style.Style(results.study))
        organisms = name != "real"
        assert ("Model organisms" in text and "not LLaVA or Llama" in text) is organisms
        if figure != "predictions":
            assert re.search(r"n = \d+", text)
            assert "95 %" in text and "default exit layer" in text
            seeds = (
                "(100, 201)" if name == "tiny" and figure != "dose" else "One seed (100)" if organisms else "Models: "
            )
            assert seeds in text
        if figure in ("refusal-and-harm", "outcomes"):
            assert ("Truth of the world" if organisms else "Refusal rules, then Coherence rules, then") in text


def test_the_interval_in_a_caption_is_the_widest_half_width(experiments):
    results = experiments["real"]
    module = figures.load("toxicity")
    data = module.data(results.frames, results.subjects)
    data[["low", "high"]] = 0.4
    data.loc[data.index[0], ["low", "high"]] = [0.3, 0.5]
    assert "at most ±10 points" in module.caption(data, style.Style(results.study))


# The script


def test_the_same_figure_has_the_same_bytes_and_its_data_beside_it(experiments, tmp_path):
    results = experiments["short"]
    paths = [path for path in results.write(tmp_path / "results") if path.stem == "metrics"]
    spec = json.dumps(results.spec | {"figure": "utility"})
    arguments = ["--spec", spec, "--config", str(results.path), "--inputs", *map(str, paths)]
    script.main([*arguments, "--output", str(tmp_path / "one" / "utility.pdf")])
    program = [sys.executable, "-X", "importtime", str(ROOT / "workflow" / "scripts" / "figure.py"), *arguments]
    another = {"PATH": "", "PYTHONHASHSEED": "77"}
    ran = subprocess.run(
        [*program, "--output", str(tmp_path / "two" / "utility.pdf")], env=another, stderr=subprocess.PIPE, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert not re.search(r"\| +(torch|statsmodels\.stats)$", ran.stderr, re.MULTILINE), "an import that costs seconds"
    for suffix in (".pdf", ".svg", ".png", ".csv", ".txt"):
        first, second = ((tmp_path / run / "utility").with_suffix(suffix).read_bytes() for run in ("one", "two"))
        assert first == second and len(first) > 50, suffix
    table = frames.read([tmp_path / "one" / "utility.csv"])["utility"]
    expected = figures.load("utility").data(results.frames, results.subjects)
    np.testing.assert_allclose(table["value"], expected["value"], rtol=1e-5)
    assert list(table["dataset"]) == list(expected["dataset"])
