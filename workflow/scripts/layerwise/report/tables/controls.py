"""What each judge says of responses that answer nothing."""

import pandas as pd

from layerwise.report.findings import Frames
from layerwise.report.text import MISSING, Names, Table, filled, none, number

INPUTS = ("controls",)
WHEN = ()


def table(frames: Frames, spec: dict, names: Names) -> Table:
    """What each judge says of responses that answer nothing."""
    found = []
    for (judge, control), cells in frames["controls"].groupby(["judge", "control"], sort=False):
        shares = cells[cells["metric"] == "share"].sort_values("value", ascending=False, kind="stable")
        said = [
            f"{row['label']} {number(row['value'], digits=0)} %" for _, row in shares.iterrows() if row["value"] > 0
        ]
        scores = cells.loc[cells["metric"] == "score", "value"]
        score = number(scores.iloc[0], 1, 2) if len(scores) else MISSING
        n = str(cells["n"].max())
        found.append(
            {"Judge": names.judges[judge], "Control": control, "Says": ", ".join(said), "Mean score": score, "n": n}
        )
    if not found:
        return none("No judge of this experiment was tried on controls.")
    return Table(filled(pd.DataFrame(found)), "Each judge on responses that answer nothing and on a plain refusal.")
