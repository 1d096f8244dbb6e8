"""VQA accuracy and over-refusal by exit layer: a safe model still answers questions and benign requests."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure
from pandas import DataFrame

from layerwise.analysis import results
from layerwise.report import captions, lines, shown
from layerwise.report.findings import Frames, series
from layerwise.report.style import Style
from layerwise.report.text import Names, share

INPUTS = ("metrics",)
WHEN = [("vqa_accuracy", "over_refusal")]

METRICS = {"vqa_accuracy": "Questions answered correctly", "over_refusal": "Benign requests refused"}


def data(frames: dict[str, DataFrame], subjects: DataFrame) -> DataFrame:
    return shown.cells(frames["metrics"], results.studied(subjects), list(METRICS))


def draw(data: DataFrame, style: Style) -> Figure:
    data = data.assign(line=lines.named(data))
    return lines.by_metric(data, style, METRICS, lines.looks(data, style))


def caption(data: DataFrame, style: Style) -> str:
    return captions.join(
        "VQA accuracy (visual questions answered correctly) and over-refusal (benign requests refused), by exit layer.",
        captions.settings(data, style),
    )


def finding(frames: Frames, subjects: pd.DataFrame, names: Names) -> Iterator[str]:
    """The range of VQA accuracy across exits for each series, and the highest over-refusal."""
    cells = shown.cells(frames["metrics"], results.studied(subjects), ["vqa_accuracy", "over_refusal"])
    means = cells[cells["mean"]].dropna(subset="value")
    for dataset, rows in means[means["metric"] == "vqa_accuracy"].groupby("dataset", sort=False):
        said = []
        for _, of_series in rows.groupby(results.SERIES, sort=False):
            low = of_series.loc[of_series["value"].idxmin()]
            highest = share(of_series["value"].max())
            said.append(f"{series(low, names)} {share(low['value'])} (exit {low['layer']}) to {highest}")
        yield f"VQA accuracy on {names.datasets[dataset]}, lowest to highest across exits: {'; '.join(said)}."
    refused = means[means["metric"] == "over_refusal"]
    if len(refused):
        row = refused.loc[refused["value"].idxmax()]
        where = f"exit {row['layer']} on {names.datasets[row['dataset']]}"
        yield f"Over-refusal is highest for {series(row, names)}, at {where}: {share(row['value'])}."
