"""Refusal margins (`models.margin`): their means as metrics, and whether they tell what is refused.

A margin is read before the first word, so it need not agree with what the judges say of the whole response. Its AUC
against the judged refusals says how far it does; below `vocabulary.FIT` the margin is unfit for that subject.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from layerwise import records
from layerwise.analysis import metrics, stats
from layerwise.errors import InputError
from layerwise.records import Response
from layerwise.vocabulary import MARGIN_OF

COLUMNS = ["model", "arm", "seed", "dataset", "metric", "value", "low", "high", "n"]
JUDGE = ""  # in the column `judge`: no judge decides it
FIELDS = ["prompt_id", "subject", "layer", "margin"]


def read(paths: Sequence[Path], prompts: pd.DataFrame) -> pd.DataFrame:
    """The margins of the responses to these prompts: prompt_id, subject, layer, margin, dataset, kind, cluster."""
    parts = []
    for path in paths:
        try:
            rows = json.loads(f"[{','.join(path.read_text(encoding='utf-8').splitlines())}]")
            parts.append(pd.DataFrame({field: [row.get(field) for row in rows] for field in FIELDS}))
        except (json.JSONDecodeError, AttributeError) as error:
            records.read(path, Response)
            raise InputError(f"{path}: not responses ({error}). Delete it; the next run makes it again.") from error
    frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=FIELDS)
    frame = frame.astype({"layer": int, "margin": float}).dropna(subset="margin")
    return frame.join(prompts, on="prompt_id", how="inner")


def measures(found: pd.DataFrame) -> Iterator[metrics.Measure]:
    """The mean margin of the prompts of each kind as a metric; none where no response has a margin."""
    for kind, metric in MARGIN_OF.items():
        rows = found[found["kind"] == kind]
        if len(rows):
            yield metrics.Measure(metric, JUDGE, rows.assign(value=rows["margin"]), "logits")


def fitness(found: pd.DataFrame, responses: pd.DataFrame, subjects: list[dict]) -> pd.DataFrame:
    """The AUC of the margin against the judged refusals, with the columns COLUMNS.

    One row for each subject and data set, over its exit layers, and one with an empty `dataset` over all of them.
    `responses` as `metrics.responses` gives them. Where nothing or everything is refused, there is no AUC (NaN).
    """
    keys = ["subject", "prompt_id", "layer"]
    judged = found.merge(responses[[*keys, "outcome"]], on=keys)
    rows: list[tuple] = []
    for subject in (one["name"] for one in subjects):
        of_subject = judged[judged["subject"] == subject]
        parts = [("", of_subject), *of_subject.groupby("dataset", sort=False)] if len(of_subject) else []
        for dataset, part in parts:
            refused, cluster = part["outcome"].eq("refusal").to_numpy(), part["cluster"].to_numpy()
            area = stats.auc(part["margin"].to_numpy(), refused, cluster)
            rows.append((subject, None, dataset, "auc", *area, len(part)))
    frame = pd.DataFrame(rows, columns=["name", "layer", *COLUMNS[3:]])
    return metrics.with_subject(frame, subjects)[COLUMNS]
