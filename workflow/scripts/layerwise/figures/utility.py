"""What a safe model must still do, by exit layer: answer visual questions, and not refuse what is benign."""

from matplotlib.figure import Figure
from pandas import DataFrame

from layerwise import frames as results
from layerwise.figures import captions, lines
from layerwise.figures.style import DOUBLE, Style, grid, mark_partial, title

METRICS = {"utility": "Questions answered right", "over_refusal": "Benign requests refused"}


def data(frames: dict[str, DataFrame], subjects: DataFrame) -> DataFrame:
    return results.cells(frames["metrics"], results.studied(subjects), list(METRICS))


def draw(data: DataFrame, style: Style) -> Figure:
    data, looks = data.assign(line=lines.named(data)), lines.looks(data, style)
    pairs = data[["metric", "dataset"]].drop_duplicates().itertuples(index=False, name=None)
    panels = sorted(pairs, key=lambda pair: list(METRICS).index(pair[0]))
    figure, axes = grid(1, len(panels), DOUBLE, 2.1, sharex=True, sharey=True)
    for place, (metric, dataset) in zip(axes[0], panels, strict=True):
        own = data[(data["metric"] == metric) & (data["dataset"] == dataset)]
        lines.panel(place, own, looks)
        lines.percent(place, data)
        place.set_title(f"{METRICS[metric]}\n{title(style.dataset(dataset), own)}")
    axes[0][0].set_ylabel("Share (%)")
    figure.supxlabel("Exit layer", size=7)
    lines.legend(figure, data, looks)
    mark_partial(figure, data)
    return figure


def caption(data: DataFrame, style: Style) -> str:
    return captions.join(
        "Utility (visual questions answered right) and over-refusal (benign requests refused), by exit layer.",
        captions.settings(data, style),
    )
