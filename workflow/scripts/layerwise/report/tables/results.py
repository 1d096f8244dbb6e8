"""Tables of results: outcomes by group of layers, and each exit layer against the default one."""

import pandas as pd

from layerwise import vocabulary
from layerwise.analysis import results
from layerwise.report.text import MISSING, Names, Table, estimate, filled, number, p_value
from layerwise.vocabulary import DEFAULT, METRICS

GROUPS = (DEFAULT, *vocabulary.GROUPS)
SHOWN = {id: metric.label for id, metric in METRICS.items() if id != "flagged"}


def outcomes(frames: dict[str, pd.DataFrame], spec: dict, names: Names) -> Table:
    """Every metric at the default layer and in each group of layers, for each series and data set."""
    listed, metrics = results.subjects(spec["subjects"]), frames["metrics"]
    rows = metrics[metrics["group"].isin(GROUPS) & (metrics["layer"].isna() | (metrics["group"] == "Default"))]
    found = []
    for (model, arm), subjects in listed.groupby(results.SERIES, sort=False):
        of_series = rows[(rows["model"] == model) & (rows["arm"] == arm)]
        shown = of_series[of_series["seed"] == ("all" if len(subjects) > 1 else subjects["seed"].iloc[0])]
        single = of_series[of_series["seed"] != "all"]
        for dataset in [dataset for dataset in spec["datasets"] if dataset in set(shown["dataset"])]:
            for group in GROUPS:
                cells = shown[(shown["dataset"] == dataset) & (shown["group"] == group)]
                if cells.empty:
                    continue
                layers = f"{group} ({subjects['default_layer'].iloc[0]})" if group == "Default" else group
                n = single.loc[(single["dataset"] == dataset) & (single["group"] == group), "n"].max()
                row = {"Model": names.models[model], "Arm": arm, "Data set": names.datasets[dataset], "Layers": layers}
                row |= {label: _metric(cells, metric, names) for metric, label in SHOWN.items()}
                found.append(row | {"n": f"{n} × {len(subjects)}" if len(subjects) > 1 else str(n)})
    note = (
        "Shares in percent. A group is the mean over its exit layers; exit 0 is in none, the default layer also in its"
        " own group. [95 % interval], or with several seeds their mean (smallest to largest); n: responses to one kind"
        " of prompt × seeds."
    )
    return Table(filled(pd.DataFrame(found)), note)


def _metric(cells: pd.DataFrame, metric: str, names: Names) -> str:
    """One metric of one group; where several judges measure it, each with its name."""
    rows = cells[cells["metric"] == metric]
    texts = [(names.judges.get(row["judge"], row["judge"]), estimate(row)) for _, row in rows.iterrows()]
    return "; ".join(f"{judge}: {text}" if len(texts) > 1 else text for judge, text in texts) or MISSING


def paired(frames: dict[str, pd.DataFrame], spec: dict, names: Names) -> Table:
    """Each exit layer less the default layer, the same prompts at both: a column for each seed."""
    keys = ["model", "arm", "dataset", "metric", "layer"]
    found = {}
    for _, row in frames["paired"].iterrows():
        model, arm, dataset, metric, layer = (row[key] for key in keys)
        about = {"Model": names.models[model], "Arm": arm, "Data set": names.datasets[dataset]}
        about |= {"Metric": SHOWN.get(metric, metric), "Exit": str(layer)}
        line = found.setdefault(tuple(about.values()), about)
        seed = f", seed {row['seed']}" if row["seed"] else ""
        difference, low, high = (number(row[key]) for key in ("difference", "low", "high"))
        line[f"Difference{seed}"] = f"{difference} [{low}, {high}]"
        line[f"b : c{seed}"] = f"{row['b']:.0f} : {row['c']:.0f}"
        line[f"p (Holm){seed}"] = p_value(row["p_holm"])
        line["n"] = str(max(int(row["n"]), int(line.get("n", 0))))
    table = pd.DataFrame(found.values())
    if "n" in table:
        table = table[[column for column in table if column != "n"] + ["n"]]
    note = (
        "Share at an exit layer less the share at the default one, in points [95 % interval]; b prompts positive at"
        " this layer alone, c at the default layer alone; exact McNemar test, Holm's correction over the layers of one"
        " model, data set and metric."
    )
    return Table(filled(table), note)
