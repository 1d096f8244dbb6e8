"""Registered predictions and their outcomes, seed by seed."""

import pandas as pd

from layerwise.analysis.predictions import organisms
from layerwise.report.findings import Frames
from layerwise.report.text import Names, Table, filled, none, number

INPUTS = ("predictions",)
WHEN = ["trained"]


def table(frames: Frames, spec: dict, names: Names) -> Table:
    """Each registered prediction in each seed: its outcome, the number that decides it, and details in words."""
    table = frames["predictions"]
    if table.empty:
        return none("Predictions are about models trained here; this experiment has none.")
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
    renamed = said["statement"].str.contains("discrimination").any()
    return Table(filled(pd.DataFrame(rows)), f"{note} {organisms.NAMES}" if renamed else note)


def _decides(row: dict, key: str) -> str:
    """The deciding number or its threshold: in percent or points; for dose and response, a count of steps."""
    return number(row[key], 1, 0) if row["prediction"] == "P5" else number(row[key])
