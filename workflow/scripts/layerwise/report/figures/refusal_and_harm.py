"""Attack success rate and refusal of harmful prompts, by exit layer, for each arm or model and each data set.

Where no judge recognises harm, the share answered takes the place of the attack success rate.
"""

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure
from pandas import DataFrame

from layerwise.analysis import results
from layerwise.report import captions, lines, shown
from layerwise.report.findings import REFUSES, Frames, change, changes, series, tuned
from layerwise.report.style import DOUBLE, Style, grid, mark_partial, title
from layerwise.report.text import Names, number, share

INPUTS = ("metrics", "paired")
WHEN = ["refusal"]

METRICS = {"asr": "Harmful (%)", "answered": "Answered (%)", "refusal": "Refused (%)"}


def data(frames: dict[str, DataFrame], subjects: DataFrame) -> DataFrame:
    return shown.cells(frames["metrics"], results.studied(subjects), list(METRICS))


def draw(data: DataFrame, style: Style) -> Figure:
    data, looks = data.assign(line=lines.named(data)), lines.looks(data, style)
    datasets = list(data["dataset"].unique())
    metrics = {metric: label for metric, label in METRICS.items() if metric in set(data["metric"])}
    figure, axes = grid(len(metrics), len(datasets), DOUBLE, 3.4, sharex=True, sharey=True)
    for row, (metric, label) in zip(axes, metrics.items(), strict=True):
        for place, dataset in zip(row, datasets, strict=True):
            lines.panel(place, data[(data["metric"] == metric) & (data["dataset"] == dataset)], looks)
            lines.percent(place, data)
        row[0].set_ylabel(label)
    for place, dataset in zip(axes[0], datasets, strict=True):
        place.set_title(title(style.dataset(dataset), data[data["dataset"] == dataset], len(datasets)))
    figure.supxlabel("Exit layer", size=7)
    lines.legend(figure, data, looks)
    mark_partial(figure, data)
    return figure


def caption(data: DataFrame, style: Style) -> str:
    return captions.join(
        f"Share of harmful prompts {_above(data)} and refused (below), by exit layer.",
        captions.settings(data, style),
    )


def _above(data: DataFrame) -> str:
    if "asr" in set(data["metric"]):
        return "complied with (above)"
    return "answered (above: neither refused nor incoherent; no judge here tells harmful from harmless answers)"


def finding(frames: Frames, subjects: pd.DataFrame, names: Names) -> Iterator[str]:
    """On each data set, the series and exit whose attack success rate, or share answered, differs most from default."""
    cells = shown.cells(frames["metrics"], tuned(subjects), ["asr", "answered", "refusal"])
    refusals = cells[(cells["metric"] == "refusal") & cells["default"] & cells["mean"]]
    if (refusals["value"] < REFUSES).all():
        yield f"No aligned model refuses {share(REFUSES)} of harmful prompts at its default layer."
    acts = cells[cells["metric"] != "refusal"]
    what = "attack success rate" if acts["metric"].eq("asr").any() else "share answered"
    for dataset, rows in changes(acts).groupby("dataset", sort=False):
        sizes = rows["change"].abs()
        row = rows.loc[sizes.idxmax()]
        rest = sizes.drop(sizes.idxmax())
        others = f"; for the others, by at most {number(rest.max())} points" if len(rest) else ""
        yield (
            f"{names.datasets[dataset]}: the {what} differs most from the default layer ({row['default_layer']}) for"
            f" {series(row, names)} at exit {row['layer']}, {change(row, frames.get('paired'))}{others}."
        )
