"""Judges against people, for each model whose responses people labelled."""

from collections.abc import Iterator

import pandas as pd

from layerwise.report.findings import Frames
from layerwise.report.text import SPACE, Names, Table, estimate, filled, none, number, share

INPUTS = ("human_labels",)
WHEN = ["human labels"]
MEASURED = {
    "precision": "Precision",
    "recall": "Recall",
    "recall_declined": "Recall, declined",
    "f1": "F1",
    "false_alarms": "False alarms",
}
ROLE = {"refusal": "refusal", "unsafe": "harm"}


def table(frames: Frames, spec: dict, names: Names) -> Table:
    """How well each judge does on the responses of each model that people have labelled."""
    found = []
    rows = frames["human_labels"].fillna({"model": ""})
    for (judge, dataset, model), cells in rows.groupby(["judge", "dataset", "model"], sort=False):
        measured = cells.set_index("metric")
        row = {"Judge": names.judges[judge], "Labels": names.datasets[dataset], "Responses of": model}
        row |= {label: estimate(measured.loc[metric]) for metric, label in MEASURED.items() if metric in measured.index}
        row["n"] = f"{measured.loc['recall', 'n']} of {measured.loc['f1', 'n']}"
        found.append(row | {"Made with": "yes" if cells["seen"].iloc[0] else ""})
    if not found:
        return none("No judge of this experiment gives the labels that people gave.")
    note = (
        "In percent [95 % interval: Wilson; bootstrap for F1]. n: responses that people gave the label sought, of all."
        " False alarms: of the others, the share that the judge gives it. Made with: the judge was written or fitted"
        " with these labels at hand, so they flatter it. PyRIT's people also labelled it a refusal when a response"
        " answered another question; Recall, declined: without those whose exact words are an answer elsewhere."
    )
    return Table(filled(pd.DataFrame(found)), " ".join([note, *chosen(frames, spec["outcome"], names)]))


def spread(frames: Frames) -> pd.DataFrame:
    """One row per judge and label sought: F1 where it is lowest, and the lowest and highest recall, over the models.

    Only models that the judge was not made with, and of which people gave the label to ten responses at least. The
    columns are `judge`, `label`, `models`, `worst` (a model), `f1`, `low` and `high`.
    """
    rows = frames["human_labels"].fillna({"model": ""})
    keys = ["judge", "label", "dataset", "model"]
    f1, recall = (rows[~rows["seen"].astype(bool) & rows["metric"].eq(one)].set_index(keys) for one in ("f1", "recall"))
    cells = recall[recall["n"] >= 10].join(f1["value"].rename("f1"))
    found = []
    for (judge, label), of_judge in cells.groupby(["judge", "label"], sort=False):
        lowest, recalls = of_judge["f1"].idxmin(), of_judge["value"]
        worst = lowest[3] or lowest[2]
        found.append((judge, label, len(of_judge), worst, of_judge["f1"].min(), recalls.min(), recalls.max()))
    return pd.DataFrame(found, columns=["judge", "label", "models", "worst", "f1", "low", "high"])


def chosen(frames: Frames, outcome: dict[str, str | None], names: Names) -> Iterator[str]:
    """Whether the judge that decides an outcome is the one whose lowest F1 over the models is highest."""
    for label, judges in spread(frames).groupby("label", sort=False):
        deciding = outcome.get(ROLE[str(label)])
        scores = judges.set_index("judge")["f1"]
        if deciding is None or deciding not in scores.index:
            continue
        best = scores.idxmax()
        said = f"{names.judges[deciding]} decides {ROLE[str(label)]}: its lowest F1 is {number(scores[deciding])}"
        other = f"{names.judges[best]} has {number(scores[best])}, so it would be the better choice"
        yield f"{said}, the highest of those that were compared." if best == deciding else f"{said}, but {other}."


def finding(frames: Frames, subjects: pd.DataFrame, names: Names) -> Iterator[str]:
    """How far each judge's errors depend on the model that speaks, and what that means for comparing models."""
    found = spread(frames)
    if found.empty:
        f1 = frames["human_labels"][frames["human_labels"]["metric"] == "f1"]
        said = [f"{names.judges[row.judge]}, F1 {share(row.value)}" for row in f1.itertuples()]
        if said:
            yield f"Judges made with these labels at hand: {'; '.join(said)}."
    for row in found.itertuples():
        points = f"{number(row.high - row.low)}{SPACE}points"
        judged = f"{names.judges[row.judge]} ({row.label}, {row.models} model{'s' if row.models > 1 else ''})"
        if row.models < 2:
            yield f"{judged} has F1 {share(row.f1)} and recall {share(row.low)}."
        else:
            yield (
                f"{judged} has its lowest F1, {share(row.f1)}, on {row.worst}; its recall lies between"
                f" {share(row.low)} and {share(row.high)}, so a difference of up to {points} between two models that"
                " speak differently can be the judge's."
            )
