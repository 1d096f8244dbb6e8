"""Is it the layer, or any unusual prefix, and which cells? The same weights, given unchanged or changed features."""

from matplotlib.figure import Figure
from pandas import DataFrame, concat

from layerwise.report import captions, lines, shown
from layerwise.report.style import OKABE_ITO, Style

INPUTS = ("metrics",)
WHEN = ["variants", ("refusal", "over_refusal", "refusal_gap", "vqa_accuracy")]

METRICS = {
    "refusal": "Harmful requests refused",
    "over_refusal": "Benign requests refused",
    "refusal_gap": "Refusal gap (points)",
    "vqa_accuracy": "Questions answered correctly",
}


def data(frames: dict[str, DataFrame], subjects: DataFrame) -> DataFrame:
    """Rows of the variants and of the models whose weights they take; each metric on the first data set that has it."""
    variants = subjects[subjects["weights_of"].notna()]
    varied = {(row.weights_of, row.arm, row.seed) for row in variants.itertuples()}
    own = [(row.model, row.arm, row.seed) in varied for row in subjects.itertuples()]
    cells = shown.cells(frames["metrics"], concat([subjects[own], variants]), list(METRICS))
    first = cells.drop_duplicates("metric").set_index("metric")["dataset"]
    return cells[cells["dataset"] == cells["metric"].map(first)]


def draw(data: DataFrame, style: Style) -> Figure:
    data = data.assign(line=lines.named(data))
    looks = {
        name: look._replace(colour=OKABE_ITO[i]) for i, (name, look) in enumerate(lines.looks(data, style).items())
    }
    return lines.by_metric(data, style, METRICS, looks)


def caption(data: DataFrame, style: Style) -> str:
    return captions.join(
        "Controls of the features: the same weights at the same exits, with image features unchanged, or changed as the"
        " legend says.",
        captions.settings(data, style),
    )
