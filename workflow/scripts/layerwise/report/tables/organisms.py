"""Tables of the organisms: is each one able, and did it come out as registered?"""

import pandas as pd

from layerwise.report.text import MISSING, Names, Table, estimate, filled, none, number

# Gates that are a largest allowed value; all others are a smallest.
AT_MOST = ("over_refusal", "deep_probe_early")
GATES = {
    "vqa_accuracy": "Questions answered right",
    "refusal": "Hazards refused",
    "over_refusal": "Twins refused",
    "item_probe": "Item probe (accuracy)",
    "deep_probe": "Deep-cue probe (AUC)",
    "deep_probe_early": "Deep-cue probe (AUC), early",
}
KEYS = ["model", "arm", "gate", "dataset"]


def gates(frames: dict[str, pd.DataFrame], spec: dict, names: Names) -> Table:
    """Each ability gate of each organism: a column for each seed."""
    table, found = frames["gates"], {}
    for row in table.to_dict("records"):
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
        return none("Gates are of organisms; this experiment has none.")
    note = "In percent [95 % interval]. Who fails one is not able; where gates count, its numbers are not read."
    return Table(filled(pd.DataFrame(found.values())), note)


def predictions(frames: dict[str, pd.DataFrame], spec: dict, names: Names) -> Table:
    """Each registered prediction in each seed: outcome, the number that decides, and the rest in words."""
    table = frames["predictions"]
    if table.empty:
        return none("Predictions are of organisms; this experiment has none.")
    rows = [
        {
            "Prediction": row["prediction"],
            "Model": names.models[row["model"]],
            "Arm": row["arm"],
            "Seed": row["seed"],
            "Outcome": row["outcome"],
            "Value": _decides(row, "value"),
            "Threshold": _decides(row, "threshold"),
            "Detail": row["detail"],
        }
        for row in table.sort_values(["prediction", "model", "arm"], kind="stable").to_dict("records")
    ]
    said = table.drop_duplicates("prediction").sort_values("prediction")
    note = " ".join(f"{one.prediction}: {one.statement} Value: {one.quantity}." for one in said.itertuples())
    return Table(filled(pd.DataFrame(rows)), note)


def _decides(row: dict, key: str) -> str:
    """The deciding number or its threshold: percent or points, of a dose and response a count of steps."""
    return number(row[key], 1, 0) if row["prediction"] == "P5" else number(row[key])
