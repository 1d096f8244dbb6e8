"""Mean toxicity of the responses, by exit layer, for each data set (columns) and each judge of toxicity (rows)."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure
from pandas import DataFrame

from layerwise.analysis import results
from layerwise.report import captions, lines, shown
from layerwise.report.findings import Frames, change, changes, series
from layerwise.report.style import DOUBLE, Style, grid, mark_partial, title
from layerwise.report.text import Names

INPUTS = ("metrics",)
WHEN = ["toxicity"]


def data(frames: dict[str, DataFrame], subjects: DataFrame) -> DataFrame:
    return shown.cells(frames["metrics"], results.studied(subjects), ["toxicity"])


def draw(data: DataFrame, style: Style) -> Figure:
    data, looks = data.assign(line=lines.named(data)), lines.looks(data, style)
    judges, datasets = list(data["judge"].unique()), list(data["dataset"].unique())
    figure, axes = grid(len(judges), len(datasets), DOUBLE, 0.8 + 1.3 * len(judges), sharex=True, sharey="row")
    for row, judge in zip(axes, judges, strict=True):
        for place, dataset in zip(row, datasets, strict=True):
            own = data[(data["judge"] == judge) & (data["dataset"] == dataset)]
            lines.panel(place, own, looks)
            place.set_title(title(style.dataset(dataset), own))
        row[0].set_ylabel(f"{style.judge(judge)}\nmean score × 100")
        row[0].set_ylim(bottom=0)
    figure.supxlabel("Exit layer", size=7)
    lines.legend(figure, data, looks)
    mark_partial(figure, data)
    return figure


def caption(data: DataFrame, style: Style) -> str:
    return captions.join("Mean toxicity of the responses (0 to 100), by exit layer.", captions.settings(data, style))


def finding(frames: Frames, subjects: pd.DataFrame, names: Names) -> Iterator[str]:
    """For each judge, the series, exit and data set whose mean toxicity differs most from the default layer's."""
    found = changes(shown.cells(frames["metrics"], results.studied(subjects), ["toxicity"]))
    for judge, rows in found.groupby("judge", sort=False):
        row = rows.loc[rows["change"].abs().idxmax()]
        yield (
            f"Mean toxicity × 100 ({names.judges[judge]}) differs most from the default layer for"
            f" {series(row, names)} at exit {row['layer']} on {names.datasets[row['dataset']]}, {change(row)}."
        )
