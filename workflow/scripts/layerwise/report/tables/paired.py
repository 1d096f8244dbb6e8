"""Each exit layer compared with the default layer, prompt by prompt."""

import pandas as pd

from layerwise.report.findings import Frames
from layerwise.report.text import PRINTED, Names, Table, filled, none, number, p_value
from layerwise.vocabulary import METRICS

INPUTS = ("paired",)
WHEN = ()


def table(frames: Frames, spec: dict, names: Names) -> Table:
    """Each exit layer minus the default layer, on the same prompts, with columns per seed."""
    keys = ["model", "arm", "dataset", "metric", "layer"]
    found: dict[tuple, dict[str, str]] = {}
    for _, row in frames["paired"].iterrows():
        model, arm, dataset, metric, layer = (row[key] for key in keys)
        about = {"Model": names.models[model], "Arm": arm, "Data set": names.datasets[dataset]}
        about |= {"Metric": METRICS[metric].label, "Exit": str(layer)}
        line = found.setdefault(tuple(about.values()), about)
        seed = f", seed {row['seed']}" if row["seed"] else ""
        printed = PRINTED[METRICS[metric].unit]
        difference, low, high = (number(row[key], *printed) for key in ("difference", "low", "high"))
        line[f"Difference{seed}"] = f"{difference} [{low}, {high}]"
        line[f"b : c{seed}"] = f"{row['b']:.0f} : {row['c']:.0f}"
        line[f"p (Holm){seed}"] = p_value(row["p_holm"])
        line["n"] = str(max(int(row["n"]), int(line.get("n", 0))))
    if not found:
        return none("Nothing is compared: the default layer is the only exit layer of this experiment.")
    table = pd.DataFrame(found.values())
    table = table[[column for column in table if column != "n"] + ["n"]]
    note = (
        "Difference: share at the exit layer minus share at the default layer, in points, or mean margin minus mean"
        " margin, in logits [95 % interval]. b: prompts positive at this layer only; c: at the default layer only (of"
        " margins: larger, smaller at this layer). p: exact McNemar test (of margins: sign test), Holm-corrected over"
        " the layers of one model, data set and metric."
    )
    return Table(filled(table), note)
