"""The registered predictions and their outcomes: a field for each prediction, arm and seed."""

import math
import textwrap
from collections.abc import Iterator

import pandas as pd
import seaborn as sns
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from pandas import DataFrame

from layerwise.errors import InputError
from layerwise.report import captions
from layerwise.report.findings import Frames
from layerwise.report.style import DOUBLE, INK, LETTERS, Style, grid
from layerwise.report.text import Names

INPUTS = ("predictions",)
WHEN = ["trained"]

# A sign for each outcome, so that nothing depends on the colour alone.
OUTCOMES = {
    "holds": ("✓", "#A6DBD0"),
    "fails": ("✗", "#E9A3AB"),
    "not able": ("⊘", "#D9D9D9"),
    "not testable": ("–", "#F4F4F4"),
}
COLUMNS = ["prediction", "model", "arm", "seed", "statement", "quantity", "value", "threshold", "outcome", "detail"]


def data(frames: dict[str, DataFrame], subjects: DataFrame) -> DataFrame:
    table = frames["predictions"][COLUMNS]
    if table.empty:
        raise InputError(
            "predictions.csv has no rows: predictions are about models trained here, and this experiment has none."
            " Do not ask for the figure `predictions` here."
        )
    return table


def draw(data: DataFrame, style: Style) -> Figure:
    rows = data[["prediction", "model", "arm", "statement"]].drop_duplicates().sort_values("prediction", kind="stable")
    seeds, models = list(dict.fromkeys(data["seed"])), data["model"].nunique()
    keys = ["prediction", "model", "arm", "statement"]
    cells = {(*(row[key] for key in keys), row["seed"]): row for row in data.to_dict("records")}
    codes, texts = (DataFrame(blank, index=range(len(rows)), columns=seeds) for blank in (math.nan, ""))
    labels, wide = [], min(0.95 * len(seeds), DOUBLE / 2)
    for i, named in enumerate(rows.itertuples(index=False, name=None)):
        for seed in seeds:
            if cell := cells.get((*named, seed)):
                codes.loc[i, seed] = list(OUTCOMES).index(cell["outcome"])
                texts.loc[i, seed] = f"{OUTCOMES[cell['outcome']][0]} {cell['outcome']}\n{measured(cell)}".strip()
        prediction, model, arm, statement = named
        of_whom = arm if models == 1 else f"{style.model(model)}, {arm}"
        labels.append((f"{prediction}  {of_whom}", textwrap.fill(statement, int(LETTERS * (DOUBLE - wide)))))

    row = 0.18 + 0.12 * max(2, *(statement.count("\n") + 1 for _, statement in labels))  # inches
    height = 0.3 + row * len(rows)
    figure, ((left, axes),) = grid(1, 2, DOUBLE, height, sharey=True, width_ratios=(DOUBLE - wide, wide))
    colours = ListedColormap([colour for _, colour in OUTCOMES.values()])
    sns.heatmap(
        codes, annot=texts.to_numpy(), fmt="", cmap=colours, vmin=-0.5, vmax=len(OUTCOMES) - 0.5, cbar=False,
        linewidths=2, annot_kws={"color": INK, "size": 7}, ax=axes,
    )  # fmt: skip
    axes.set(xticks=[i + 0.5 for i in range(len(seeds))], xticklabels=[f"seed {seed}" for seed in seeds])
    axes.tick_params(left=False, bottom=False, top=False, labelleft=False, labeltop=True, labelbottom=False)
    axes.grid(False)
    left.set_axis_off()
    for i, (head, statement) in enumerate(labels):
        left.text(0, i + 0.042 / row, head, weight="bold", va="top")
        left.text(0, i + 0.16 / row, statement, va="top", linespacing=1.1)
    return figure


def measured(cell: dict) -> str:
    """The deciding number and its threshold: in percent or points, or in steps of the dose."""
    if cell["value"] != cell["value"]:
        return ""
    if cell["prediction"] == "P5":
        return f"{cell['value']:.0f} of {cell['threshold']:.0f}"
    return f"{100 * cell['value']:.1f} ({100 * cell['threshold']:.0f})".replace("-", "−")


def caption(data: DataFrame, style: Style) -> str:
    quantities = data.drop_duplicates("prediction").set_index("prediction")["quantity"]
    said = "; ".join(f"{prediction}: {quantity}" for prediction, quantity in quantities.sort_index().items())
    return captions.join(
        "The registered predictions, seed by seed. Each outcome is followed by the number that decides it and, in"
        f" parentheses, the threshold, in percent or points ({said}). Not able: the model failed an ability gate, so"
        " its numbers are not read. Empty: the prediction does not apply to that seed.",
        captions.subjects(data, style),
    )


def finding(frames: Frames, subjects: pd.DataFrame, names: Names) -> Iterator[str]:
    """How often each prediction has each outcome."""
    table = frames["predictions"].sort_values(["prediction", "arm"], kind="stable")
    for (prediction, arm), rows in table.groupby(["prediction", "arm"], sort=False):
        counts = rows["outcome"].value_counts()
        said = ", ".join(f"{outcome} in {n}" for outcome, n in counts.items())
        yield f"{prediction} ({arm}), {len(rows)} {'seed' if len(rows) == 1 else 'seeds'}: {said}."
