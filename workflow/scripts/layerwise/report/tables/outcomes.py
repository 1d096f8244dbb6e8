"""Every metric at the default layer and in each group of layers."""

import pandas as pd

from layerwise.analysis import results
from layerwise.report.findings import Frames
from layerwise.report.text import MISSING, PRINTED, Names, Table, estimate, filled
from layerwise.vocabulary import DEFAULT, GROUPS, Metric, described

INPUTS = ("metrics",)
WHEN = ()
LAYERS = (DEFAULT, *GROUPS)


def table(frames: Frames, spec: dict, names: Names) -> Table:
    """Every metric at the default layer and in each group of layers, for each series and data set."""
    listed, metrics = results.subjects(spec["subjects"]), frames["metrics"]
    known = described(spec["metrics"])
    measuring = {metric: list(dict.fromkeys(metrics.loc[metrics["metric"] == metric, "judge"])) for metric in known}
    rows = metrics[metrics["group"].isin(LAYERS) & (metrics["layer"].isna() | (metrics["group"] == DEFAULT))]
    found = []
    for (model, arm), subjects in listed.groupby(results.SERIES, sort=False):
        of_series = rows[(rows["model"] == model) & (rows["arm"] == arm)]
        shown = of_series[of_series["seed"] == ("all" if len(subjects) > 1 else subjects["seed"].iloc[0])]
        single = of_series[of_series["seed"] != "all"]
        for dataset in [dataset for dataset in spec["datasets"] if dataset in set(shown["dataset"])]:
            for group in LAYERS:
                cells = shown[(shown["dataset"] == dataset) & (shown["group"] == group)]
                if cells.empty:
                    continue
                layers = f"{group} ({subjects['default_layer'].iloc[0]})" if group == DEFAULT else group
                n = single.loc[(single["dataset"] == dataset) & (single["group"] == group), "n"].max()
                row = {"Model": names.models[model], "Arm": arm, "Data set": names.datasets[dataset], "Layers": layers}
                for metric, about in known.items():
                    if metric != "flagged":
                        row |= _columns(about.label, cells[cells["metric"] == metric], measuring[metric], about, names)
                found.append(row | {"n": f"{n} × {len(subjects)}" if len(subjects) > 1 else str(n)})
    note = (
        "Shares in percent, margins in logits [95 % interval]; with several seeds, their mean (smallest to largest)."
        " Early, Middle and Late are means over the exit layers of a third of the encoder; exit 0 belongs to none of"
        " them, and the default layer also counts in its third. n: responses to one kind of prompt × seeds."
    )
    mistaken = [
        f" {names.judges[one['judge']]} is not made for the language of {names.datasets[one['dataset']]}"
        f" ({', '.join(one['languages'])})."
        for one in spec.get("mismatches", ())
    ]
    return Table(filled(pd.DataFrame(found)), "".join([note, *mistaken]))


def _columns(label: str, rows: pd.DataFrame, judges: list[str], about: Metric, names: Names) -> dict[str, str]:
    """The cells of one metric: a column, or one for each judge if several measure it."""
    if len(judges) < 2:
        return {label: estimate(rows.iloc[0], *PRINTED[about.unit]) if len(rows) else MISSING}
    found = {}
    for judge in judges:
        of_judge = rows[rows["judge"] == judge]
        name = f"{label} ({names.judges.get(judge, judge)})"
        found[name] = estimate(of_judge.iloc[0], *PRINTED[about.unit]) if len(of_judge) else MISSING
    return found
