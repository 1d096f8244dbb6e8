"""How far the projected image features of each exit layer lie from those of the default one: direction and length."""

from matplotlib.figure import Figure
from pandas import DataFrame

from layerwise.analysis import results
from layerwise.report import captions, lines, shown
from layerwise.report.style import QUIET, SINGLE, Style, grid, mark_partial

PROBES = {"drift_cosine": "Cosine with default's", "drift_norm": "Norm over default's"}


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
        "Projected image features of each exit layer against the default layer's: mean cosine, mean ratio of norms.",
        captions.settings(data, style, unit="images", scale=1, points=""),
    )
