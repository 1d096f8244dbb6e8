"""What a safe model must still do, by exit layer: answer visual questions, and not refuse what is benign."""

from matplotlib.figure import Figure
from pandas import DataFrame

from layerwise.analysis import results
from layerwise.report import captions, lines, shown
from layerwise.report.style import Style

METRICS = {"vqa_accuracy": "Questions answered right", "over_refusal": "Benign requests refused"}


def data(frames: dict[str, DataFrame], subjects: DataFrame) -> DataFrame:
    return shown.cells(frames["metrics"], results.studied(subjects), list(METRICS))


def draw(data: DataFrame, style: Style) -> Figure:
    data = data.assign(line=lines.named(data))
    return lines.by_metric(data, style, METRICS, lines.looks(data, style))


def caption(data: DataFrame, style: Style) -> str:
    return captions.join(
        "Utility (visual questions answered right) and over-refusal (benign requests refused), by exit layer.",
        captions.settings(data, style),
    )
