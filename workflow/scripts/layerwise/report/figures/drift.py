"""How far the projected image features of each exit layer lie from the default layer's, in direction and in length."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure
from pandas import DataFrame

from layerwise.analysis import results
from layerwise.report import captions, lines, shown
from layerwise.report.findings import Frames, series
from layerwise.report.style import QUIET, SINGLE, Style, grid, mark_partial
from layerwise.report.text import Names, plain

INPUTS = ("probes",)
WHEN = ["probed", "images"]

PROBES = {"drift_cosine": "Cosine with default", "drift_norm": "Norm / default norm"}


def data(frames: dict[str, DataFrame], subjects: DataFrame) -> DataFrame:
    return shown.probed(frames["probes"], results.studied(subjects), list(PROBES))


def draw(data: DataFrame, style: Style) -> Figure:
    data, looks = data.assign(line=lines.named(data)), lines.looks(data, style)
    figure, axes = grid(len(PROBES), 1, SINGLE, 2.9, sharex=True)
    for (place,), (probe, label) in zip(axes, PROBES.items(), strict=True):
        own = data[data["metric"] == probe]
        lines.panel(place, own, looks, scale=1)
        place.set_ylabel(label)
        place.axhline(1, color=QUIET, linewidth=0.6, zorder=0.5)
        lowest, highest = min(0, own[["value", "low"]].min().min()), max(1, own[["value", "high"]].max().max())
        room = 0.06 * (highest - lowest)
        place.set_ylim(lowest - room, highest + room)
    figure.supxlabel("Exit layer", size=7)
    lines.legend(figure, data, looks)
    mark_partial(figure, data)
    return figure


def caption(data: DataFrame, style: Style) -> str:
    return captions.join(
        "Projected image features of each exit layer compared with the default layer's: mean cosine and mean ratio of"
        " norms.",
        captions.settings(data, style, unit="images", scale=1, points=""),
    )


def finding(frames: Frames, subjects: pd.DataFrame, names: Names) -> Iterator[str]:
    """The smallest and the largest distance of the other exits' features from the default layer's."""
    cells = shown.probed(frames["probes"], results.studied(subjects), ["drift_cosine", "drift_norm"])
    cells = cells[cells["mean"] & ~cells["default"]].dropna(subset="value")
    for metric, name in (("drift_cosine", "mean cosine"), ("drift_norm", "mean ratio of norms")):
        for _, rows in cells[cells["metric"] == metric].groupby(results.SERIES, sort=False):
            low, high = rows.loc[rows["value"].idxmin()], rows.loc[rows["value"].idxmax()]
            yield (
                f"{series(low, names)}: at the other exits the {name} to the default layer's features ranges from"
                f" {plain(low['value'])} (exit {low['layer']}) to {plain(high['value'])} (exit {high['layer']})."
            )
