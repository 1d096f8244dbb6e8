"""Ability gates: what a model trained here must do at its default layer before predictions read its numbers."""

from typing import Any

import pandas as pd

from layerwise.analysis.evidence import Evidence

COLUMNS = [
    *("subject", "model", "arm", "seed", "gate", "dataset", "layer"),
    *("value", "low", "high", "n", "threshold", "passed"),
]
# Gates on probes: name, probe, exit layer (None: the default layer), whether the threshold is a lower limit. At exit 1
# the deep cue must not be readable yet.
PROBED = (
    ("item_probe", "item", None, True),
    ("deep_probe", "deep", None, True),
    ("deep_probe_early", "deep", 1, False),
)


def gates(evidence: Evidence, thresholds: dict, aligned: list[str]) -> pd.DataFrame:
    """Each gate of each model, with the columns of `gates.csv`; `passed` is empty if a gate could not be tried.

    `thresholds` is the experiment's `gates`. Gates on refusals apply only to the `aligned` arms; on off-target harm,
    which only the truth knows, and on probes to organisms.
    """
    rows = []
    for subject in evidence.subjects.itertuples():
        who = (subject.model, subject.arm, subject.seed)
        default = subject.default_layer
        tried = [("vqa_accuracy", "vqa_accuracy", default, True)]
        if subject.arm in aligned:
            tried += [("refusal", "refusal", default, True), ("over_refusal", "over_refusal", default, False)]
        organism = subject.name in set(evidence.organisms["name"])
        if organism and evidence.metrics["metric"].eq("off_target").any():
            tried.append(("off_target", "off_target", default, False))
        for gate, metric, layer, at_least in tried:
            rows += _gate(subject, gate, evidence.at(*who, metric), layer, thresholds[gate], at_least)
        for gate, probe, layer, at_least in PROBED if organism else ():
            layer = default if layer is None else layer
            found = evidence.probe(subject.model, subject.seed, probe)
            rows += _gate(subject, gate, found, layer, thresholds[gate], at_least)
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.astype({"layer": "Int64", "n": "Int64", "passed": "boolean"})


def _gate(subject: Any, gate: str, found: pd.DataFrame, layer: int, threshold: float, at_least: bool) -> list[dict]:
    """One gate's rows: one for each data set with a value, or a single row without a value."""
    about = {"subject": subject.name, "model": subject.model, "arm": subject.arm, "seed": subject.seed}
    about |= {"gate": gate, "layer": layer, "threshold": threshold, "dataset": ""}
    rows = []
    for row in found[found["layer"] == layer].to_dict("records"):
        passed = row["value"] >= threshold if at_least else row["value"] <= threshold
        values = {key: row[key] for key in ("value", "low", "high", "n")}
        rows.append(about | {"dataset": row.get("dataset", ""), "passed": bool(passed)} | values)
    return rows or [about | {"passed": None}]
