"""Ability gates: what each model trained here can do at its default layer."""

import pandas as pd

from layerwise.report.findings import Frames
from layerwise.report.text import MISSING, Names, Table, estimate, filled, none, number

INPUTS = ("gates",)
WHEN = ["trained"]
# Gates that set an upper limit; all others set a lower one.
AT_MOST = ("over_refusal", "off_target", "deep_probe_early")
GATES = {
    "vqa_accuracy": "VQA accuracy",
    "refusal": "Hazards refused",
    "over_refusal": "Twins refused",
    "off_target": "Off-target harm",
    "item_probe": "Item probe (accuracy)",
    "deep_probe": "Deep-cue probe (AUC)",
    "deep_probe_early": "Deep-cue probe (AUC), early",
}
KEYS = ["model", "arm", "gate", "dataset"]


def table(frames: Frames, spec: dict, names: Names) -> Table:
    """Each ability gate of each model trained here, with a column per seed."""
    found: dict[tuple, dict[str, str]] = {}
    for row in frames["gates"].to_dict("records"):
        sign = "≤" if row["gate"] in AT_MOST else "≥"
        line = found.setdefault(
            tuple(row[key] for key in KEYS),
            {
                "Model": names.models[row["model"]],
                "Arm": row["arm"],
                "Gate": GATES.get(row["gate"], row["gate"]),
                "Data set": names.datasets.get(row["dataset"], MISSING),
                "Exit": str(row["layer"]),
                "Needs": f"{sign} {number(row['threshold'], digits=0)}",
            },
        )
        passed = MISSING if pd.isna(row["passed"]) else "passed" if row["passed"] in (True, "True") else "FAILED"
        line[f"Seed {row['seed']}"] = f"{estimate(row)} {passed}" if passed != MISSING else "not tried"
    if not found:
        return none("Ability gates apply to models trained here; this experiment has none.")
    note = (
        "In percent [95 % interval]. A model that fails a gate is not able; where gates count, predictions do not read"
        " its numbers."
    )
    return Table(filled(pd.DataFrame(found.values())), note)
