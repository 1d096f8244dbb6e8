"""The tidy result files as frames of one set of types, and the part of them that a figure, a table or the paper shows.

A *series* is a model and an arm (empty for published models); it has one row a seed, and where there are several
seeds one more with seed `all`, their mean.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd
import yaml

from layerwise.records import InputError

TEXT = dict.fromkeys(
    ("model", "arm", "seed", "dataset", "group", "judge", "metric", "subject", "probe")
    + ("truth", "label", "control", "first", "second", "claim", "gate")
    + ("prediction", "statement", "quantity", "verdict", "detail", "half"),
    str,
)
ONSET = 0.75  # the AUC of its probe from which on a cue counts as readable
SERIES = ["model", "arm"]
POINT = ["dataset", "judge", "metric"]
SHOWN = [*SERIES, "seed", *POINT, "layer", "value", "low", "high", "n", "default", "mean", "complete"]


def read(paths: Iterable[Path]) -> dict[str, pd.DataFrame]:
    """Result files by name: a CSV by its file name, all in a folder `probes` together as `probes`, YAML as it stands.

    Raises InputError for a CSV that cannot be read, naming it.
    """
    found: dict[str, list] = {}
    for path in map(Path, paths):
        if path.suffix == ".yaml":
            found[path.stem] = yaml.safe_load(path.read_text(encoding="utf-8"))
            continue
        found.setdefault(name(path), []).append(_table(path))
    return {
        key: parts if isinstance(parts, dict) else pd.concat(parts, ignore_index=True) for key, parts in found.items()
    }


def name(path: Path) -> str:
    """What a result file is called among frames."""
    return "probes" if path.parent.name == "probes" else path.stem


def _table(path: Path) -> pd.DataFrame:
    """One CSV; text that is missing is the empty text, `layer` is a whole number or missing."""
    try:
        table = pd.read_csv(path, dtype=TEXT)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: not a table of results ({error}). Delete it; the next run makes it again."
        ) from error
    text = [column for column in TEXT if column in table]
    table[text] = table[text].fillna("")
    if "layer" in table:
        table["layer"] = pd.to_numeric(table["layer"]).astype("Int64")
    return table


def subjects(listed: Sequence[dict]) -> pd.DataFrame:
    """The `subjects` of a spec as a frame: name, model, arm and seed as text, default_layer, layers, frozen_blocks, and
    weights_of, the model of which it is a variant."""
    table = pd.DataFrame(listed).rename(columns={"id": "model"})
    table["arm"] = table["arm"].fillna("")
    table["seed"] = [str(int(seed)) if pd.notna(seed) else "" for seed in table["seed"]]
    return table


def studied(listed: pd.DataFrame) -> pd.DataFrame:
    """Subjects without controls, which are variants of others, and without the extra points of a dose and response:
    organisms in fewer arms than the fullest one."""
    arms = listed[listed["frozen_blocks"].notna()].groupby("model")["arm"].nunique()
    extra = arms[arms < arms.max()].index
    return listed[~listed["model"].isin(extra) & listed["weights_of"].isna()]


def doses(listed: pd.DataFrame) -> pd.DataFrame:
    """The subjects of a dose and response, by the number of frozen blocks: the extra points and what they vary.

    Raises InputError where an experiment has no such points.
    """
    organisms = listed[listed["frozen_blocks"].notna()]
    extra = organisms[~organisms["name"].isin(studied(listed)["name"])]
    if extra.empty:
        raise InputError(
            "no dose and response here: it needs organisms of other `frozen_blocks` in fewer arms than the main one. "
            "Add some under 'models' (config/bench.yaml shows how), or do not ask for it."
        )
    compared = listed[listed["arm"].isin(extra["arm"]) & listed["seed"].isin(extra["seed"])]
    return compared.sort_values("frozen_blocks", kind="stable")


def first_exit(rows: pd.DataFrame, threshold: float) -> int | None:
    """The first exit layer whose value reaches a threshold; None where none does."""
    reached = rows.loc[rows["value"] >= threshold, "layer"]
    return None if reached.empty else int(reached.min())


def cells(metrics: pd.DataFrame, listed: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The named metrics at single exit layers, in the order of the subjects, with three columns more.

    `default` is the default exit layer; `mean` a series' mean over seeds, or its one seed; `complete` is false where a
    cell gave fewer rows than its like. A planned cell without any is there with n = 0: a gap is seen as a gap.
    """
    known = metrics["metric"].isin(names) & metrics["model"].isin(listed["model"])
    rows = metrics[known & metrics["layer"].notna() & (metrics["group"] != "Default")]
    planned = _planned(listed).merge(rows[["model", *POINT]].drop_duplicates(), on="model")
    keys = [*SERIES, "seed", "layer", *POINT]
    table = planned.merge(rows[[*keys, "value", "low", "high", "n"]], on=keys, how="left")
    table["n"] = table["n"].fillna(0).astype(int)
    over_seeds = table["seed"] == "all"
    like = table.groupby(["model", *POINT, over_seeds])["n"].transform("max")
    table["complete"] = table["value"].notna() & (table["n"] >= like.where(~over_seeds, table["seeds"]))
    return table[SHOWN]


def probed(probes: pd.DataFrame, listed: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The named probes in the shape of `cells`: `metric` is the probe, `judge` what it is scored by, `dataset` empty.

    A probe reads every exit of an encoder, whichever are swept: planned are the layers that some subject has.
    Rows with seed `all` are added: mean over seeds, smallest and largest seed, number of seeds.
    """
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
    """Every cell that the experiment plans: series, seed (with `all` where there are several), layer."""
    rows = []
    for (model, arm), group in listed.groupby(SERIES, sort=False):
        several = len(group) > 1
        for seed in [*group["seed"], *(["all"] if several else [])]:
            for layer in group["layers"].iloc[0]:
                default = layer == group["default_layer"].iloc[0]
                rows.append((model, arm, seed, layer, default, seed == "all" or not several, len(group)))
    table = pd.DataFrame(rows, columns=[*SERIES, "seed", "layer", "default", "mean", "seeds"])
    return table.astype({"layer": "Int64"})
