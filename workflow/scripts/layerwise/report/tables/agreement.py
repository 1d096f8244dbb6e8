"""How far two judges agree."""

import pandas as pd

from layerwise.report.findings import Frames
from layerwise.report.text import MISSING, Names, Table, estimate, filled, none, number

INPUTS = ("agreement",)
WHEN = ()


def table(frames: Frames, spec: dict, names: Names) -> Table:
    """How far two judges agree on a claim that both can make, over all exits, and the lowest kappa at a single exit."""
    found = []
    for (first, second, claim), cells in frames["agreement"].groupby(["first", "second", "claim"], sort=False):
        row = {"Judges": f"{names.judges[first]}, {names.judges[second]}", "Claim": claim}
        whole = cells[cells["layer"].isna()].set_index("metric")
        row["Agreement (%)"] = estimate(whole.loc["agreement"])
        row["Kappa"] = estimate(whole.loc["kappa"], 1, 2)
        kappas = cells[(cells["metric"] == "kappa") & cells["layer"].notna()].dropna(subset="value")
        lowest = kappas.loc[kappas["value"].idxmin()] if len(kappas) else None
        row["Lowest kappa"] = MISSING if lowest is None else f"{number(lowest['value'], 1, 2)} (exit {lowest['layer']})"
        found.append(row | {"n": str(whole.loc["agreement", "n"])})
    if not found:
        return none("No two judges of this experiment can make the same claim.")
    note = (
        "Both judges on the same responses, over all models and exits [95 % interval]; a dash where one of them gives"
        " every response the same label."
    )
    return Table(filled(pd.DataFrame(found)), note)
