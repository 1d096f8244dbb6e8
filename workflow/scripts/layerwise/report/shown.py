"""The part of the results that a figure or a table shows: one row per series, seed and exit layer, gaps included."""

from collections.abc import Sequence

import pandas as pd

from layerwise.analysis.results import SERIES
from layerwise.vocabulary import DEFAULT

POINT = ["dataset", "judge", "metric"]


SHOWN = [*SERIES, "seed", *POINT, "layer", "value", "low", "high", "n", "default", "mean", "complete"]


def cells(metrics: pd.DataFrame, listed: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The named metrics at single exit layers, in the order of the subjects, with three more columns.

    `default` marks the default layer; `mean` marks a series' mean over seeds, or its only seed; `complete` is false if
    a cell has fewer rows than its peers. A planned cell without rows is included with n = 0, so that gaps show.
    """
    known = metrics["metric"].isin(names) & metrics["model"].isin(listed["model"])
    rows = metrics[known & metrics["layer"].notna() & (metrics["group"] != DEFAULT)]
    planned = _planned(listed).merge(rows[["model", *POINT]].drop_duplicates(), on="model")
    keys = [*SERIES, "seed", "layer", *POINT]
    table = planned.merge(rows[[*keys, "value", "low", "high", "n"]], on=keys, how="left")
    table["n"] = table["n"].fillna(0).astype(int)
    over_seeds = table["seed"] == "all"
    like = table.groupby(["model", *POINT, over_seeds])["n"].transform("max")
    table["complete"] = table["value"].notna() & (table["n"] >= like.where(~over_seeds, table["seeds"]))
    return table[SHOWN]


def probed(probes: pd.DataFrame, listed: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The named probes in the shape of `cells`: `metric` is the probe, `judge` its score, and `dataset` is empty.

    Probes of single cells are left out. A probe reads every exit of an encoder, also those that are not swept; planned
    are the layers of any probed subject. Rows with seed `all` are added: mean over seeds, smallest and largest seed,
    number of seeds.
    """
    probes = probes[probes["cell"].isna()]
    rows = probes.merge(listed[["name", *SERIES, "seed"]], left_on="subject", right_on="name")
    rows = rows.rename(columns={"metric": "judge"}).rename(columns={"probe": "metric"}).assign(dataset="", group="")
    over = rows.groupby([*SERIES, *POINT, "layer"], sort=False)
    means = over.agg(value=("value", "mean"), low=("value", "min"), high=("value", "max"), n=("seed", "nunique"))
    means = means.reset_index().assign(seed="all", group="")
    some = listed[listed["name"].isin(probes["subject"])]
    layers = rows.groupby("model")["layer"].unique().map(sorted)
    some = some.assign(layers=some["model"].map(layers))
    return cells(pd.concat([rows, means[means["n"] > 1]]), some, names)


def _planned(listed: pd.DataFrame) -> pd.DataFrame:
    """Every cell that the experiment plans: series, seed (and `all` if there are several), layer."""
    rows = []
    for (model, arm), group in listed.groupby(SERIES, sort=False):
        several = len(group) > 1
        for seed in [*group["seed"], *(["all"] if several else [])]:
            for layer in group["layers"].iloc[0]:
                default = layer == group["default_layer"].iloc[0]
                rows.append((model, arm, seed, layer, default, seed == "all" or not several, len(group)))
    table = pd.DataFrame(rows, columns=[*SERIES, "seed", "layer", "default", "mean", "seeds"])
    return table.astype({"layer": "Int64"})
