"""The tidy result files as frames with fixed types, and the parts of them that figures, tables and the paper show.

A *series* is a model and an arm (empty for published models); it has one row per seed and, if there are several seeds,
one more with seed `all`, their mean.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd
import yaml

from layerwise.errors import InputError

TEXT = dict.fromkeys(
    ("model", "arm", "seed", "dataset", "group", "judge", "metric", "subject", "probe")
    + ("truth", "label", "control", "first", "second", "claim", "gate")
    + ("prediction", "statement", "quantity", "outcome", "detail", "half"),
    str,
)
ONSET = 0.75  # from this AUC of the probe on the mean over cells on, a cue counts as linearly readable
SERIES = ["model", "arm"]


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
    """The name of a result file among frames."""
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
    table["seed"] = table["seed"].fillna("")
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
    organisms = listed[listed["frozen_blocks"].notna() & listed["weights_of"].isna()]
    extra = organisms[~organisms["name"].isin(studied(listed)["name"])]
    if extra.empty:
        raise InputError(
            "no dose and response here: it needs organisms with other `frozen_blocks` in fewer arms than the main one. "
            "Add some under 'models' (config/bench.yaml shows how), or do not ask for it."
        )
    compared = organisms[organisms["arm"].isin(extra["arm"]) & organisms["seed"].isin(extra["seed"])]
    return compared.sort_values("frozen_blocks", kind="stable")


def first_exit(rows: pd.DataFrame, threshold: float) -> int | None:
    """The first exit layer whose value reaches a threshold; None if no layer's does."""
    reached = rows.loc[rows["value"] >= threshold, "layer"]
    return None if reached.empty else int(reached.min())
