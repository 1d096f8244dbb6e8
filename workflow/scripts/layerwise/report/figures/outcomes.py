"""The outcomes of responses to harmful prompts, stacked by exit layer, for each series and each data set."""

import textwrap
from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from pandas import DataFrame

from layerwise.analysis import results
from layerwise.report import captions, lines, shown
from layerwise.report.findings import Frames, tuned
from layerwise.report.style import ANSWERED, DOUBLE, INK, OUTCOMES, Style, grid, mark_partial, title
from layerwise.report.text import Names, share
from layerwise.vocabulary import OUTCOME_OF

INPUTS = ("metrics",)
WHEN = ["refusal"]

WIDTH = 0.86
# Bars would hide a line, so the default layer is marked above them.
COLOURS = ANSWERED | OUTCOMES
DEFAULT: dict[str, Any] = {"marker": "v", "color": INK, "markersize": 3.5, "markeredgewidth": 0}


def data(frames: dict[str, DataFrame], subjects: DataFrame) -> DataFrame:
    return shown.cells(frames["metrics"], results.studied(subjects), list(COLOURS))


def draw(data: DataFrame, style: Style) -> Figure:
    shown, datasets = lines.series(data, style), list(data["dataset"].unique())
    alike = data.groupby("model")["layer"].max().nunique() == 1
    height = 0.8 + (0.85 if alike else 1.0) * len(shown)
    figure, axes = grid(len(shown), len(datasets), DOUBLE, height, sharex="all" if alike else "row", sharey=True)
    for row, pair in zip(axes, shown, strict=True):
        own = data[(data["model"] == pair[0]) & (data["arm"] == pair[1])]
        for place, dataset in zip(row, datasets, strict=True):
            _stack(place, own[own["dataset"] == dataset])
        row[0].set_ylabel(textwrap.fill(style.label(*pair, shown), 13))
    for place, dataset in zip(axes[0], datasets, strict=True):
        place.set_title(title(style.dataset(dataset), data[data["dataset"] == dataset], len(datasets)), pad=7)
    figure.supxlabel("Exit layer", size=7)
    figure.supylabel("Share of responses (%)", size=7)
    handles: list[Artist] = [
        Patch(facecolor=COLOURS[name], hatch=_hatch(name), edgecolor="white", label=_named(name))
        for name in _stacked(data)
    ]
    handles.append(Line2D([], [], **DEFAULT, linestyle="none", label="default layer"))
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles))
    mark_partial(figure, data)
    return figure


def _stack(axes: Axes, own: DataFrame) -> None:
    """One bar per layer, in percent; whiskers for the lowest outcome from below and for refusal from above."""
    table = own[own["mean"]].pivot(index="layer", columns="metric", values=["value", "low", "high"]) * 100
    at = table.index.astype(float)
    stacked = _stacked(own)
    tops = table["value"][stacked].cumsum(axis=1)
    for outcome in stacked:
        top, bottom = tops[outcome], tops[outcome] - table["value"][outcome]
        corners = [
            [(x - WIDTH / 2, low), (x - WIDTH / 2, high), (x + WIDTH / 2, high), (x + WIDTH / 2, low)]
            for x, low, high in zip(at, bottom, top, strict=True)
        ]
        # One artist for all layers: drawing each bar as a rectangle would take twice as long as everything else.
        bars = PolyCollection(
            corners, facecolor=COLOURS[outcome], hatch=_hatch(outcome), edgecolor="white", linewidth=0.4
        )
        axes.add_collection(bars)
    lines.layers(axes, own)
    axes.set(ylim=(0, 100), yticks=[0, 50, 100])
    axes.plot(own.loc[own["default"], "layer"].iloc[0], 107, **DEFAULT, clip_on=False)
    for outcome, end in ((stacked[0], 0), ("refusal", 100)):
        low, high = (abs(end - table[limit][outcome]) for limit in ("low", "high"))
        axes.vlines(at, low, high, color="white", linewidth=1.7)
        axes.vlines(at, low, high, color=INK, linewidth=0.7)


def _stacked(data: DataFrame) -> list[str]:
    """The outcomes that the judges distinguish, from the bottom up; `answered` comes first if no judge knows harm."""
    return [outcome for outcome in COLOURS if outcome in set(data["metric"])]


def _hatch(outcome: str) -> str | None:
    """Hatching for incoherent responses, so that grey alone does not mark them."""
    return "/////" if outcome == "incoherent" else None


def _named(metric: str) -> str:
    """The outcome whose share a metric is, in words."""
    return OUTCOME_OF[metric].replace("_target", "-target harm")


def caption(data: DataFrame, style: Style) -> str:
    lowest = OUTCOME_OF[_stacked(data)[0]]
    answers = "compliance with the harm, a harmless answer"
    if "off_target" in set(data["metric"]):
        answers = "compliance with the harm, another harm than was asked for (off-target), a harmless answer"
    if lowest == "answered":
        answers = "an answer (no judge here calls it harmful or harmless)"
    return captions.join(
        f"Outcome of the responses to harmful prompts, by exit layer: refusal, {answers}, or no answer.",
        captions.settings(data, style, bars=f"{lowest} share from below and refusal from above"),
    )


def finding(frames: Frames, subjects: pd.DataFrame, names: Names) -> Iterator[str]:
    """The series, exit layer and data set whose outcomes differ most from those at the default layer."""
    cells = shown.cells(frames["metrics"], tuned(subjects), list(COLOURS))
    table = cells[cells["mean"]].pivot_table(
        index=[*results.SERIES, "dataset", "layer", "default"], columns="metric", values="value", sort=False
    )
    default = table.index.get_level_values("default").astype(bool)
    base = table[default].droplevel(["layer", "default"])
    others = table[~default].droplevel("default")
    if others.empty or base.empty:
        return
    distance = (others - base.reindex(others.index.droplevel("layer")).to_numpy()).abs().sum(axis=1)
    model, arm, dataset, layer = distance.idxmax()
    here, there = others.loc[distance.idxmax()], base.loc[(model, arm, dataset)]
    said = ", ".join(f"{_named(name)} {share(there[name])} to {share(here[name])}" for name in here.index)
    yield (
        f"Outcomes change most, from the default layer to another exit, for {arm or names.models[model]} at exit"
        f" {layer} on {names.datasets[dataset]}: {said}."
    )
