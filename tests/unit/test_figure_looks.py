"""Figures are legible: text is large enough, inside its page and apart, marks are seen, captions state the settings."""

import itertools
import re

import pytest
from matplotlib.text import Text

import drawing
from drawing import BY_LAYER, DRAWN, shown
from layerwise import plugins
from layerwise.report import lines, style


@pytest.fixture(scope="module")
def experiments(tmp_path_factory):
    return drawing.experiments(tmp_path_factory.mktemp("experiments"))


@pytest.mark.parametrize("name", BY_LAYER[:4])
def test_partial_is_said_on_the_figure_and_in_the_caption_only_when_it_is_so(experiments, name):
    results = experiments["tiny"]
    module, look = plugins.find("report.figures", name), style.Style(results.study)
    data = module.data(results.frames, results.subjects)
    for complete in (True, False):
        data.loc[data.index[3], "complete"] = complete
        with style.theme():
            figure = module.draw(data, look)
        said = any("PARTIAL: 1 of" in text.get_text() for text in figure.findobj(Text))
        assert said is not complete
        assert ("PARTIAL: 1 of" in module.caption(data, look)) is not complete


def test_an_arm_has_one_colour_and_the_palette_decides(experiments):
    look = style.Style(experiments["tiny"].study)
    assert look.colour("organism", "broad-none") == look.colour("organism-f2", "broad-none") == "#000000"
    others = {look.colour(model, arm) for model, arm in look.order} - {"#000000"}
    assert others == {look.colour("organism", "broad-default")}
    assert others < set(style.OKABE_ITO)


def test_cues_and_outcomes_share_no_colour_with_arms():
    sets = [set(style.OKABE_ITO), set(style.CUES.values()), set((style.ANSWERED | style.OUTCOMES).values())]
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
        module = plugins.find("report.figures", figure)
        text = module.caption(module.data(results.frames, results.subjects), style.Style(results.study))
        organisms = name in ("tiny", "short")
        assert ("Model organisms" in text and "not LLaVA or Llama" in text) is organisms
        if figure != "predictions":
            assert re.search(r"n = \d+", text)
            assert "95 %" in text and "default layer" in text
            seeds = {"tiny": "(100, 201)", "short": "One seed (100)", "assembled": "(11, 12)"}.get(name, "Models: ")
            seeds = {"dose": "One seed (100)", "controls": "One seed (11)"}.get(figure, seeds)
            assert seeds in text
            assert ("assembled and aligned here" in text) is (name == "assembled")
        if figure in ("refusal-and-harm", "outcomes"):
            assert ("Truth of the world" if organisms else "Refusal rules, then Coherence rules") in text
            assert ("no judge here" in text) is (name in ("answered", "assembled"))


def test_the_interval_in_a_caption_is_the_widest_half_width(experiments):
    results = experiments["real"]
    module = plugins.find("report.figures", "toxicity")
    data = module.data(results.frames, results.subjects)
    data[["low", "high"]] = 0.4
    data.loc[data.index[0], ["low", "high"]] = [0.3, 0.5]
    assert "at most ±10 points" in module.caption(data, style.Style(results.study))
