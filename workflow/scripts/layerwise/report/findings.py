"""What the findings on figures and tables share. They are written from the data: no direction is typed by hand.

The file of a figure or a table may define `finding(frames, subjects, names)`, which yields a sentence or two on what it
shows.
"""

from pathlib import Path
from types import ModuleType

import pandas as pd

from layerwise.analysis import results
from layerwise.files import atomic
from layerwise.report.text import Names, bare_points, points

Frames = dict[str, pd.DataFrame]
TOLD_APART = 0.5  # from this refusal gap on, an exit tells hazards from their twins
REFUSES = 0.5  # with fewer refusals at the default layer, there is little safety for another exit to lose


def tuned(subjects: pd.DataFrame) -> pd.DataFrame:
    """The subjects that were taught to refuse; findings on refusals are about these alone."""
    studied = results.studied(subjects)
    return studied[studied["arm"].eq("") | studied["aligned"]]


def series(row: pd.Series, names: Names) -> str:
    """What a series is called in a sentence."""
    return row["arm"] or names.models[row["model"]]


def changes(cells: pd.DataFrame) -> pd.DataFrame:
    """One row for each series, data set and metric: the exit layer that differs most from the default layer.

    `change` is the difference of the means, `smallest` and `largest` are those of single seeds, `n` is the number of
    responses per seed.
    """
    keys = [*results.SERIES, "dataset", "judge", "metric"]
    base = cells[cells["default"]].set_index([*keys, "seed"])["value"].rename("base")
    others = cells[~cells["default"]].join(base, on=[*keys, "seed"])
    others["change"] = others["value"] - others["base"]
    single = others[others["seed"] != "all"].groupby([*keys, "layer"])
    span = single.agg(smallest=("change", "min"), largest=("change", "max"), n=("n", "max"))
    means = others[others["mean"]].drop(columns="n").join(span, on=[*keys, "layer"]).dropna(subset="change")
    most = means["change"].abs().groupby([means[key] for key in keys], sort=False).idxmax()
    default = cells[cells["default"]].drop_duplicates("model").set_index("model")["layer"].rename("default_layer")
    return means.loc[most].join(default, on="model")


def change(row: pd.Series, paired: pd.DataFrame | None = None) -> str:
    """`by +83.0 points (seeds: +42.0 to +100.0; n = 200)`; for a single seed, with its interval if `paired` has one."""
    if row["seed"] == "all":
        span = f"seeds: {bare_points(row['smallest'])} to {bare_points(row['largest'])}; "
        return f"by {points(row['change'])} ({span}n = {row['n']})"
    limits = ""
    if paired is not None:
        keys = [*results.SERIES, "seed", "dataset", "metric", "layer"]
        same = paired[(paired[keys] == row[keys].to_numpy()).all(axis=1)]
        limits = "".join(
            f" [{bare_points(low)}, {bare_points(high)}]" for low, high in zip(same["low"], same["high"], strict=True)
        )
    return f"by {points(row['change'])}{limits} (n = {row['n']})"


def exits(rows: pd.DataFrame, threshold: float) -> str:
    """The first exit at or above a threshold, seed by seed: `exit 5`, `exits 5, 5, 6`, `none`."""
    single = rows[rows["seed"] != "all"]
    found = []
    for _, of_seed in single.groupby([*results.SERIES, "seed"], sort=False):
        first = results.first_exit(of_seed, threshold)
        found.append("none" if first is None else str(first))
    if len(set(found)) == 1:
        return f"{'no exit' if found[0] == 'none' else f'exit {found[0]}'}{' in every seed' if len(found) > 1 else ''}"
    return f"exits {', '.join(found)} (seed by seed)"


def write(output: Path, module: ModuleType, frames: Frames, subjects: pd.DataFrame, names: Names) -> None:
    """Write the finding of a figure or a table to `<output>.finding.txt`; the file is empty if there is no finding."""
    sentences = module.finding(frames, subjects, names) if hasattr(module, "finding") else ()
    with atomic(output.with_suffix(".finding.txt")) as stream:
        stream.write(" ".join(sentences))
