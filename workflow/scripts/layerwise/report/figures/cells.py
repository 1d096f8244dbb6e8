"""Where in the image the deep cue is linearly readable: a probe on each cell by itself, at each exit layer."""

from collections.abc import Iterator
from math import isqrt

import pandas as pd
from matplotlib.figure import Figure
from pandas import DataFrame

from layerwise.analysis import results
from layerwise.report import captions
from layerwise.report.findings import Frames
from layerwise.report.style import DOUBLE, INK, Style, grid
from layerwise.report.text import Names

INPUTS = ("probes",)
WHEN = ["organisms", "probed"]


def data(frames: dict[str, DataFrame], subjects: DataFrame) -> DataFrame:
    """The probes of single cells, of the first probed organism and arm, seed by seed."""
    probed = results.studied(subjects)
    probed = probed[probed["name"].isin(frames["probes"]["subject"])]
    first = probed[(probed["model"] == probed["model"].iloc[0]) & (probed["arm"] == probed["arm"].iloc[0])]
    rows = frames["probes"].merge(first[["name", *results.SERIES, "seed"]], left_on="subject", right_on="name")
    rows = rows.loc[
        rows["probe"] == "deep_cell", [*results.SERIES, "seed", "layer", "cell", "value", "low", "high", "n"]
    ]
    return rows.assign(default=rows["layer"] == first["default_layer"].iloc[0]).reset_index(drop=True)


def draw(data: DataFrame, style: Style) -> Figure:
    means = data.groupby(["layer", "cell"])["value"].mean().unstack()
    side = isqrt(len(means.columns))
    figure, ((*places,),) = grid(1, len(means), DOUBLE, 1.25)
    for place, (layer, values) in zip(places, means.iterrows(), strict=True):
        shown = place.imshow(values.to_numpy(float).reshape(side, side), vmin=0.5, vmax=1, cmap="cividis")
        place.set(xticks=[], yticks=[], title=str(layer))
        place.grid(False)
        for spine in place.spines.values():
            spine.set(visible=bool(data.loc[data["layer"] == layer, "default"].any()), color=INK, linewidth=1)
    figure.colorbar(shown, ax=places, label="AUC", shrink=0.8, ticks=[0.5, 0.75, 1])
    figure.supxlabel("Exit layer", size=7)
    return figure


def caption(data: DataFrame, style: Style) -> str:
    seeds = list(data["seed"].unique())
    return captions.join(
        "Where the deep cue is linearly readable: AUC of a linear probe on each cell of the image by itself, at each"
        " exit layer (dark: chance, 0.5; light: 1). Framed: the default layer.",
        captions.subjects(data, style),
        f"Mean over {len(seeds)} seeds ({', '.join(seeds)})." if len(seeds) > 1 else captions.seeds(data),
        captions.interval(data, 1, "", "", mean=True),
        captions.numbers(data, "images"),
    )


def finding(frames: Frames, subjects: pd.DataFrame, names: Names) -> Iterator[str]:
    """From how many cells the cue can be read at the default layer: if from all, no two cells carry it alone."""
    found = data(frames, subjects)
    by_cell = found[found["default"]].groupby("cell")["value"].mean()
    yield (
        f"At the default layer the deep cue is linearly readable (AUC ≥ {results.ONSET}) from"
        f" {(by_cell >= results.ONSET).sum()} of {len(by_cell)} single cells."
    )
