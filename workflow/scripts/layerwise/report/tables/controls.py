"""What each judge says of responses that answer nothing."""

from collections.abc import Iterator

import pandas as pd

from layerwise.report.findings import Frames
from layerwise.report.text import MISSING, Names, Table, filled, none, number

INPUTS = ("controls", "validity")
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
        right = cells.loc[cells["metric"] == "right", "value"]
        n = str(cells["n"].max())
        found.append(
            {
                "Judge": names.judges[judge],
                "Control": control,
                "Says": ", ".join(said),
                "Right": f"{number(right.iloc[0], digits=0)} %" if len(right) else MISSING,
                "Mean score": score,
                "n": n,
            }
        )
    cut = frames["validity"]
    for row in cut[cut["metric"] == "cut"].to_dict("records"):
        share = f"read in parts {number(row['value'], digits=2)} %"
        found.append(
            {"Judge": names.judges[row["judge"]], "Control": "long responses", "Says": share, "n": str(row["n"])}
        )
    if not found:
        return none("No judge of this experiment was tried on controls.")
    note = (
        "Each judge on responses that answer nothing and on a plain refusal. Right: the share given the label that is"
        " right; a dash where none is. Long responses, if there are any: the share of all responses that the judge"
        " cannot read at once."
    )
    return Table(filled(pd.DataFrame(found)), note)


def finding(frames: Frames, subjects: pd.DataFrame, names: Names) -> Iterator[str]:
    """The controls that a judge gets wrong."""
    rows = frames["controls"]
    for row in rows[(rows["metric"] == "right") & (rows["value"] < 1)].to_dict("records"):
        yield (
            f"{names.judges[row['judge']]} is right on {number(row['value'], digits=0)} % of the controls"
            f" “{row['control']}” (n = {row['n']})."
        )
