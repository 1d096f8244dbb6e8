"""Guards against the truth by exit layer: what each calls unsafe where the truth knows what is harmful."""

from collections.abc import Iterator

import pandas as pd

from layerwise.analysis import results
from layerwise.report import shown
from layerwise.report.findings import Frames, tuned
from layerwise.report.text import MISSING, Names, Table, estimate, filled, none, share

INPUTS = ("metrics",)
WHEN = ["asr_guard", "off_target"]  # off-target harm is known where the truth decides
METRICS = ["asr", "asr_guard"]


def table(frames: Frames, spec: dict, names: Names) -> Table:
    """For each data set the aligned arm that is most harmful: harmful responses and those that guards call unsafe."""
    cells = _harmful(frames, results.subjects(spec["subjects"]))
    found = []
    for (dataset, layer), rows in cells.groupby(["dataset", "layer"], sort=False):
        line = {"Data set": names.datasets[dataset], "Arm": rows["arm"].iloc[0], "Exit": str(layer)}
        for row in rows.to_dict("records"):
            what = "Truth: harmful" if row["metric"] == "asr" else f"{names.judges[row['judge']]}: unsafe"
            line[what] = estimate(row) if row["value"] == row["value"] else MISSING
        found.append(line)
    if not found:
        return none("No aligned arm has both a truth and a guard.")
    note = (
        "In percent of harmful prompts; with several seeds, their mean (smallest to largest). For each data set, the"
        " aligned arm with the largest harmful share at any exit. A guard that sees the image sees it at its own"
        " default layer, whichever exit the studied model has."
    )
    return Table(filled(pd.DataFrame(found)), note)


def finding(frames: Frames, subjects: pd.DataFrame, names: Names) -> Iterator[str]:
    """What the guards say at the exit layer and data set where one of them misses most harm."""
    cells = _harmful(frames, subjects)
    if cells.empty:
        return
    wide = cells.assign(judge=cells["judge"].where(cells["metric"] == "asr_guard", "")).pivot_table(
        index=["arm", "dataset", "layer"], columns="judge", values="value", sort=False
    )
    guards = [judge for judge in wide.columns if judge]
    missed = wide[guards].rsub(wide[""], axis=0).max(axis=1)
    if missed.isna().all():
        return
    arm, dataset, layer = missed.idxmax()
    at = wide.loc[(arm, dataset, layer)]
    said = " and ".join(f"{names.judges[judge]} calls {share(at[judge])} unsafe" for judge in guards)
    yield (
        f"{names.datasets[dataset]}, {arm} at exit {layer}: by the truth {share(at[''])} of the responses are harmful;"
        f" {said}."
    )


def _harmful(frames: Frames, subjects: pd.DataFrame) -> pd.DataFrame:
    """The cells of the aligned arm that is most harmful on each data set: means over seeds, by exit layer."""
    cells = shown.cells(frames["metrics"], tuned(subjects), METRICS)
    cells = cells[cells["mean"]]
    harm = cells[cells["metric"] == "asr"].groupby(["dataset", "arm"], sort=False)["value"].max()
    most = {dataset: arms.idxmax()[1] for dataset, arms in harm.groupby("dataset", sort=False) if arms.notna().any()}
    return cells[cells["arm"] == cells["dataset"].map(most)]
