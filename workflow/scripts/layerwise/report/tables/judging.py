"""Tables of judges: against the truth, against people, on controls, and against each other."""

import pandas as pd

from layerwise.report.text import MISSING, Names, Table, estimate, filled, none, number

HALVES = {"all": "all", "train": "training half", "test": "held out"}
LABELLED = {
    "precision": "Precision",
    "recall": "Recall",
    "recall_declined": "Recall, declined",
    "f1": "F1",
    "accuracy": "Right",
    "majority": "Commoner label",
}


def judges(frames: dict[str, pd.DataFrame], spec: dict, names: Names) -> Table:
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
            "No judge of this experiment knows the truth, so none is held against it; see agreement and controls."
        )
    note = (
        "In percent [95 % interval], over all models and exits; lowest: at which exit layer. Precision: share of the"
        " responses given the label that truly are so; recall: share of those that truly are so given the label."
    )
    return Table(filled(pd.DataFrame(found)), note)


def _lowest(rows: pd.DataFrame) -> str:
    """The lowest value at a single exit layer, and which."""
    rows = rows[rows["layer"].notna()].dropna(subset="value")
    if rows.empty:
        return MISSING
    row = rows.loc[rows["value"].idxmin()]
    return f"{number(row['value'])} (exit {row['layer']})"


def controls(frames: dict[str, pd.DataFrame], spec: dict, names: Names) -> Table:
    """What each judge says of responses that are no answers."""
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
    return Table(filled(pd.DataFrame(found)), "Each judge on responses that answer nothing, and on a plain refusal.")


def agreement(frames: dict[str, pd.DataFrame], spec: dict, names: Names) -> Table:
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
    note = "Same responses, over all models and exits [95 % interval]; a dash where a judge never decides differently."
    return Table(filled(pd.DataFrame(found)), note)


def human_labels(frames: dict[str, pd.DataFrame], spec: dict, names: Names) -> Table:
    """What each judge of refusal is worth on the responses that people have labelled, half by half."""
    found = []
    for (judge, half), cells in frames["human_labels"].groupby(["judge", "half"], sort=False):
        measured = cells.set_index("metric")
        row = {"Judge": names.judges[judge], "Responses": HALVES[half]}
        row |= {label: estimate(measured.loc[metric]) for metric, label in LABELLED.items()}
        found.append(row | {"n": str(measured.loc["accuracy", "n"])})
    if not found:
        return none("No judge of this experiment tells refusals from answers.")
    note = (
        "In percent [95 % interval: Wilson's, of F1 a bootstrap]. The training half was there when the judges were"
        " made, the other was not. People also called it a refusal when another question was answered; declined:"
        " without the refusals whose very words they called an answer to another request. Commoner label: right by"
        " always saying that."
    )
    return Table(filled(pd.DataFrame(found)), note)
