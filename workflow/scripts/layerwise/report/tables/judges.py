"""Judges against the truth: precision and recall."""

import pandas as pd

from layerwise.report.findings import Frames
from layerwise.report.text import MISSING, Names, Table, estimate, filled, none, number

INPUTS = ("validity",)
WHEN = ()


def table(frames: Frames, spec: dict, names: Names) -> Table:
    """Precision and recall of each judge against the truth, over all exits, and the lowest at a single exit."""
    rows, found = frames["validity"], []
    rows = rows[rows["metric"].isin(["precision", "recall"])]
    for (judge, label, truth), cells in rows.groupby(["judge", "label", "truth"], sort=False):
        row = {"Judge": names.judges[judge], "Label": label, "Truth": truth}
        for metric in ("precision", "recall"):
            of_metric = cells[cells["metric"] == metric]
            (whole,) = of_metric[of_metric["layer"].isna()].to_dict("records")
            row |= {
                metric.capitalize(): estimate(whole),
                f"Lowest {metric}": _lowest(of_metric),
                f"n ({metric})": whole["n"],
            }
        found.append(row)
    if not found:
        return none(
            "No judge of this experiment knows the truth, so there is none to compare with; see agreement and controls."
        )
    note = (
        "In percent [95 % interval], over all models and exits; lowest: at a single exit layer. Precision: of the"
        " responses given the label, the share that deserve it. Recall: of the responses that deserve the label, the"
        " share given it. Off-target harm, a harm that was not asked for, deserves a label of harm."
    )
    return Table(filled(pd.DataFrame(found)), note)


def _lowest(rows: pd.DataFrame) -> str:
    """The lowest value at a single exit layer, with that layer."""
    rows = rows[rows["layer"].notna()].dropna(subset="value")
    if rows.empty:
        return MISSING
    row = rows.loc[rows["value"].idxmin()]
    return f"{number(row['value'])} (exit {row['layer']})"
