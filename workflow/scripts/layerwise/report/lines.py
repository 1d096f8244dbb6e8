"""Panels of lines over exit layers, which most figures share: single seeds are thin, their mean is thick."""

from typing import Any, NamedTuple

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, MultipleLocator
from numpy import array_split
from pandas import DataFrame, Series

from layerwise.report.style import DOUBLE, INK, LETTERS, QUIET, Style, grid, mark_partial, title

# Lines are shifted sideways by up to this share of a layer, so that identical ones do not hide each other.
APART = 0.62
DOTTED: dict[str, Any] = {"color": INK, "linewidth": 0.7, "linestyle": (0, (1, 1.5))}
RING: dict[str, Any] = {
    "marker": "o",
    "markersize": 6.5,
    "markerfacecolor": "none",
    "markeredgecolor": INK,
    "markeredgewidth": 0.7,
}


class Look(NamedTuple):
    """How a line looks, and what the legend calls it."""

    colour: str
    marker: str
    label: str
    dashes: tuple = ()


def looks(data: DataFrame, style: Style) -> dict[str, Look]:
    """How each series in some data looks, by the names that `named` gives, in the order of the experiment."""
    shown = series(data, style)
    organisms = list(dict.fromkeys(model for model, arm in shown if arm))
    found = {}
    for model, arm in shown:
        dashes = (3, 1 + organisms.index(model)) if arm and organisms.index(model) else ()
        found[f"{model}/{arm}"] = Look(
            style.colour(model, arm), style.marker(model, arm), style.label(model, arm, shown), dashes
        )
    return found


def named(data: DataFrame) -> Series:
    """The series that each row belongs to, as one word."""
    return data["model"] + "/" + data["arm"]


def series(data: DataFrame, style: Style) -> list[tuple[str, str]]:
    """The series in some data, in the order of the experiment."""
    there = set(zip(data["model"], data["arm"], strict=True))
    return [pair for pair in style.order if pair in there]


def panel(axes: Axes, data: DataFrame, looks: dict[str, Look], scale: float = 100) -> None:
    """Draw rows of `shown.cells`, one line for each name in the column `line`; values are multiplied by `scale`."""
    shift = {name: APART * ((i + 0.5) / len(looks) - 0.5) for i, name in enumerate(looks)}
    table = data.assign(
        at=data["layer"].astype(float) + data["line"].map(shift), shown=data["value"] * scale, stretch=_stretches(data)
    )
    seeds, means = table[~table["mean"]], table[table["mean"]]
    colours = {name: look.colour for name, look in looks.items()}
    same: dict[str, Any] = {"x": "at", "y": "shown", "units": "stretch"}
    same |= {"hue": "line", "hue_order": list(looks), "palette": colours}
    same |= {"style": "line", "style_order": list(looks), "dashes": {name: look.dashes for name, look in looks.items()}}
    same |= {"estimator": None, "legend": False, "ax": axes}
    if len(seeds):
        sns.lineplot(seeds, **same, linewidth=0.5, alpha=0.55)
    size = 2.2 if table["layer"].nunique() > 14 else 3.4
    markers = {name: look.marker for name, look in looks.items()}
    sns.lineplot(means, **same, markers=markers, linewidth=1.3, markersize=size, markeredgewidth=0.3)
    for name, line in means.groupby("line", sort=False):
        low, high = line["low"] * scale, line["high"] * scale
        axes.fill_between(line["at"], low, high, color=colours[name], alpha=0.1 if len(seeds) else 0.2, linewidth=0)
    layers(axes, data)
    if not common_default(data):
        default = means[means["default"]]
        axes.plot(default["at"], default["shown"], **RING, linestyle="none", zorder=4, clip_on=False)


def by_metric(data: DataFrame, style: Style, metrics: dict[str, str], looks: dict[str, Look]) -> Figure:
    """A row of panels, one for each metric (with its display name) and data set; lines as in `panel`."""
    pairs = data[["metric", "dataset"]].drop_duplicates().itertuples(index=False, name=None)
    panels = sorted(pairs, key=lambda pair: list(metrics).index(pair[0]))
    figure, axes = grid(1, len(panels), DOUBLE, 2.1, sharex=True, sharey=True)
    for place, (metric, dataset) in zip(axes[0], panels, strict=True):
        own = data[(data["metric"] == metric) & (data["dataset"] == dataset)]
        panel(place, own, looks)
        percent(place, data)
        place.set_title(f"{metrics[metric]}\n{title(style.dataset(dataset), own)}")
    axes[0][0].set_ylabel("Share (%)")
    figure.supxlabel("Exit layer", size=7)
    legend(figure, data, looks)
    mark_partial(figure, data)
    return figure


def _stretches(data: DataFrame) -> Series:
    """A name for each unbroken stretch of a line, because seaborn would draw across a missing value."""
    keys = ["line", *(key for key in ("model", "arm", "seed") if key in data)]
    order = data.sort_values([*keys, "layer"])
    gaps = order["value"].isna().groupby([order[key] for key in keys]).cumsum().astype(str)
    return order[keys].agg("/".join, axis=1).add("/" + gaps).reindex(data.index)


def common_default(data: DataFrame) -> bool:
    """Whether all models shown have the same default exit layer, so that one line can mark it."""
    return data.loc[data["default"], "layer"].nunique() == 1


def layers(axes: Axes, data: DataFrame) -> None:
    """The axis of exit layers, from the embeddings to the last block, with a dotted line at a common default layer."""
    first, last = int(data["layer"].min()), int(data["layer"].max())
    axes.set_xlim(first - 0.5, last + 0.5 + 0.01 * (last - first))
    few = last - first <= 10
    axes.xaxis.set_major_locator(MultipleLocator(1) if few else MaxNLocator(9, integer=True, steps=[1, 2, 4, 5, 10]))
    axes.set(xlabel="", ylabel="")
    if common_default(data):
        axes.axvline(data.loc[data["default"], "layer"].iloc[0], **DOTTED, zorder=0.5)


def percent(axes: Axes, data: DataFrame) -> None:
    """An axis of percent from 0, or from the lowest value or limit if negative, to 100, with room for markers."""
    lowest = 100 * min(0, data[["value", "low"]].min().min())
    room = 0.05 * (100 - lowest)
    axes.set_ylim(lowest - room, 100 + room)
    axes.yaxis.set_major_locator(MultipleLocator(25 if lowest > -25 else 50))


def legend(figure: Figure, data: DataFrame, looks: dict[str, Look], *more: Line2D) -> None:
    """One legend above the panels, where it hides no data: the series, the default layer, single seeds, and `more`."""
    handles = []
    for colour, marker, label, dashes in looks.values():
        line = Line2D([], [], color=colour, marker=marker, label=label, linewidth=1.3, markersize=3.4)
        line.set(linestyle=(0, dashes) if dashes else "-", markeredgecolor="white", markeredgewidth=0.3)
        handles.append(line)
    default = DOTTED if common_default(data) else RING | {"linestyle": "none"}
    handles.append(Line2D([], [], **default, label="default layer"))
    if not data["mean"].all():
        handles.append(Line2D([], [], color=QUIET, linewidth=0.5, label="one seed"))
    handles.extend(more)
    figure.legend(handles=handles, loc="outside upper left", ncols=_columns(handles, figure.get_figwidth()))


def _columns(handles: list[Line2D], width: float) -> int:
    """The largest number of legend columns (filled one after the other) that fit into a width in inches."""
    words = [len(str(handle.get_label())) for handle in handles]
    for columns in range(min(len(words), 4), 1, -1):
        parts = array_split(words, columns)
        if sum(max(part) / LETTERS + 0.46 for part in parts) <= width:
            return columns
    return 1
