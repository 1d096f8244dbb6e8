"""Judges of refusal against people."""

from collections.abc import Iterator

import pandas as pd

from layerwise.report.findings import Frames
from layerwise.report.text import Names, Table, estimate, filled, none, share

INPUTS = ("human_labels",)
WHEN = ["human labels"]
HALVES = {"all": "all", "train": "training half", "test": "held out"}
LABELLED = {
    "precision": "Precision",
    "recall": "Recall",
    "recall_declined": "Recall, declined",
    "f1": "F1",
    "accuracy": "Accuracy",
    "majority": "Majority label",
}


def table(frames: Frames, spec: dict, names: Names) -> Table:
    """How well each judge of refusal does on responses that people have labelled, half by half."""
    found = []
    for (judge, half), cells in frames["human_labels"].groupby(["judge", "half"], sort=False):
        measured = cells.set_index("metric")
        row = {"Judge": names.judges[judge], "Responses": HALVES[half]}
        row |= {label: estimate(measured.loc[metric]) for metric, label in LABELLED.items()}
        found.append(row | {"n": str(measured.loc["accuracy", "n"])})
    if not found:
        return none("No judge of this experiment tells refusals from answers.")
    note = (
        "In percent [95 % interval: Wilson; bootstrap for F1]. The judges were written with the training half at hand,"
        " without the other. People also labelled it a refusal when a response answered another question. Recall,"
        " declined: without those refusals whose exact words they labelled an answer to another request. Majority"
        " label: accuracy of always giving the more common label."
    )
    return Table(filled(pd.DataFrame(found)), note)


def finding(frames: Frames, subjects: pd.DataFrame, names: Names) -> Iterator[str]:
    """Precision and recall of each judge of refusal on the labelled responses that were held out."""
    table = frames["human_labels"]
    for judge, rows in table[table["half"] == "test"].groupby("judge", sort=False):
        value = rows.set_index("metric")["value"].map(share)
        yield (
            f"{names.judges[judge]} on the held-out half: precision {value['precision']}, recall"
            f" {value['recall']} ({value['recall_declined']} without answers to another request)."
        )
