"""Whether the refusal margin, read before the first word, tells what the judges call a refusal."""

import pandas as pd

from layerwise.report.findings import Frames
from layerwise.report.text import MISSING, Names, Table, estimate, filled, number
from layerwise.vocabulary import FIT

INPUTS = ("margins",)
WHEN = [("margin", "margin_on_benign")]


def table(frames: Frames, spec: dict, names: Names) -> Table:
    """The AUC of the margin against the judged refusals, for each subject, over all data sets and the lowest of one."""
    found = []
    for (model, arm, seed), rows in frames["margins"].groupby(["model", "arm", "seed"], sort=False):
        (whole,) = rows[rows["dataset"] == ""].to_dict("records")
        single = rows[rows["dataset"] != ""].dropna(subset="value")
        lowest = single.loc[single["value"].idxmin()] if len(single) else None
        about = {"Model": names.models[model], "Arm": arm, "Seed": seed, "AUC": estimate(pd.Series(whole), 1, 3)}
        about["Lowest AUC"] = (
            MISSING if lowest is None else f"{number(lowest['value'], 1, 3)} ({names.datasets[lowest['dataset']]})"
        )
        unknown = pd.isna(whole["value"])
        fit = MISSING if unknown else "fit" if whole["value"] >= FIT else "unfit"
        found.append(about | {"Margin": fit, "n": str(whole["n"])})
    note = (
        "AUC of the margin against the judged refusals, over all exits and harmful and benign prompts [95 % interval,"
        " clustered by prompt]; lowest: on a single data set. Where nothing or everything is refused there is none."
        f" Unfit: below {FIT}; the margins of that model say little about its refusals."
    )
    return Table(filled(pd.DataFrame(found)), note)
