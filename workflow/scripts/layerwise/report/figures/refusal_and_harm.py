"""Harmful share and refusal of harmful prompts, by exit layer, for each arm or model and each data set.

Where no judge tells what is harmful, the share that is answered stands in the harmful share's place.
"""

from matplotlib.figure import Figure
from pandas import DataFrame

from layerwise.analysis import results
from layerwise.report import captions, lines, shown
from layerwise.report.style import DOUBLE, Style, grid, mark_partial, title

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
    return "answered (above: neither refused nor incoherent; no judge here calls an answer harmful or harmless)"
