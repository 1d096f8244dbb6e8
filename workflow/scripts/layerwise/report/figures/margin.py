"""The mean refusal margin before the first word, by exit layer: of harmful prompts (above) and of benign ones (below).

Shares of refusals saturate at 0 and 100 %; the margin shows what moves there.
"""

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure
from pandas import DataFrame

from layerwise.analysis import results
from layerwise.report import captions, lines, shown
from layerwise.report.findings import Frames, changes, series, tuned
from layerwise.report.style import DOUBLE, QUIET, Style, grid, mark_partial, title
from layerwise.report.text import Names, plain
from layerwise.vocabulary import MARGIN_OF

INPUTS = ("metrics",)
WHEN = [("margin", "margin_on_benign")]


def data(frames: dict[str, DataFrame], subjects: DataFrame) -> DataFrame:
    return shown.cells(frames["metrics"], results.studied(subjects), list(MARGIN_OF.values()))


def draw(data: DataFrame, style: Style) -> Figure:
    data, looks = data.assign(line=lines.named(data)), lines.looks(data, style)
    kinds = {kind: metric for kind, metric in MARGIN_OF.items() if metric in set(data["metric"])}
    datasets = list(data["dataset"].unique())
    figure, axes = grid(len(kinds), len(datasets), DOUBLE, 0.8 + 1.3 * len(kinds), sharex=True, sharey=True)
    for row, (kind, metric) in zip(axes, kinds.items(), strict=True):
        for place, dataset in zip(row, datasets, strict=True):
            own = data[(data["metric"] == metric) & (data["dataset"] == dataset)]
            if own.empty:
                place.set_axis_off()
                continue
            lines.panel(place, own, looks, scale=1)
            place.axhline(0, color=QUIET, linewidth=0.6, zorder=0.5)
            place.set_title(title(style.dataset(dataset), own, len(datasets)))
        row[0].set_ylabel(f"{kind.capitalize()}\nmargin (logits)")
    figure.supxlabel("Exit layer", size=7)
    lines.legend(figure, data, looks)
    mark_partial(figure, data)
    return figure


def caption(data: DataFrame, style: Style) -> str:
    return captions.join(
        "Mean refusal margin, the log-odds of a refusal's first token before the first word, by exit layer: of harmful"
        " prompts, and of benign ones. Above 0 (line) the model begins to refuse.",
        captions.settings(data, style, scale=1, points=""),
    )


def finding(frames: Frames, subjects: pd.DataFrame, names: Names) -> Iterator[str]:
    """On each data set, the series and exit whose margin on harmful prompts differs most from the default layer's."""
    cells = shown.cells(frames["metrics"], tuned(subjects), [MARGIN_OF["harmful"]])
    for dataset, rows in changes(cells).groupby("dataset", sort=False):
        row = rows.loc[rows["change"].abs().idxmax()]
        several = row["seed"] == "all"
        span = f" ({plain(row['smallest'])} to {plain(row['largest'])} by seed)" if several else ""
        yield (
            f"{names.datasets[dataset]}: the refusal margin of harmful prompts differs most from the default layer"
            f" ({row['default_layer']}) for {series(row, names)} at exit {row['layer']}, by {plain(row['change'])}"
            f" logits{span}."
        )
