"""The original study's numbers beside those measured here."""

import pandas as pd

from layerwise.report.findings import Frames
from layerwise.report.text import MISSING, Names, Table, filled, none, number
from layerwise.vocabulary import GROUPS

INPUTS = ("published", "metrics")
WHEN = ()
# Each quantity of the original study, and the metric that measures it here: its ASR is what a guard calls unsafe.
QUANTITIES = {
    "asr": ("ASR (%)", "asr_guard"),
    "toxicity": ("Toxicity × 100", "toxicity"),
    "reward": ("Reward", "reward"),
}


def table(frames: Frames, spec: dict, names: Names) -> Table:
    """Each number of the original Table 2 with a model and test set of this experiment: published, measured, agrees?"""
    known = {subject["id"] for subject in spec["subjects"]}
    lines = [
        line
        for line in frames["published"]["table2"]
        if line["model"] in known and line["test_set"] in spec["datasets"]
    ]
    if not lines:
        theirs = ", ".join(dict.fromkeys(line["model"] for line in frames["published"]["table2"]))
        ours = "; ".join(dict.fromkeys(names.models[subject["id"]] for subject in spec["subjects"]))
        trained = any(subject["arm"] for subject in spec["subjects"])
        which = "models trained here" if trained else "other models or test sets"
        return none(
            f"Nothing is comparable: Table 2 of the original study covers {theirs}; this experiment studies {which}"
            f" ({ours})."
        )
    found = []
    adapted = [subject for subject in spec["subjects"] if subject.get("adapted_from")]
    for line in lines:
        for quantity, (label, metric) in QUANTITIES.items():
            measured = _measured(frames["metrics"], line, line["model"], metric)
            about = {"Model": names.models[line["model"]], "Test set": names.datasets[line["test_set"]]}
            about |= {"Layers": line["group"], "Quantity": label}
            about["Published"] = number(line["original"][quantity], 1, 2)
            found.append(about | measured_text(line["original"][quantity], measured, quantity))
            found[-1]["Published after L-PPO"] = number(line["after"][quantity], 1, 2)
            for subject in adapted:
                if subject["adapted_from"] == line["model"]:
                    after = _measured(frames["metrics"], line, subject["id"], metric, subject["arm"], subject["seed"])
                    text = measured_text(line["after"][quantity], after, quantity)
                    found[-1][f"After {subject['arm']}"] = f"{text['Measured']} {text['95 % interval']}"
    note = (
        "Agrees: the published number lies within the 95 % interval of the measured one. Toxicity and reward are"
        " measured with other instruments (Detoxify instead of Perspective API; a reward model that the original does"
        " not name). After …: an arm that this experiment adapted. Average: mean of the three groups."
    )
    return Table(filled(pd.DataFrame(found)), note)


def measured_text(published: float, measured: dict | None, quantity: str) -> dict[str, str]:
    """Measured value, interval, n and agreement, as text; agreement is defined for the attack success rate alone."""
    if measured is None:
        return {"Measured": "not measured", "95 % interval": MISSING, "n": MISSING, "Agrees": MISSING}
    scale = 1 if quantity == "reward" else 100
    value, low, high = (scale * measured[key] for key in ("value", "low", "high"))
    agrees = MISSING if pd.isna(low) else "yes" if low <= published <= high else "no"
    return {
        "Measured": number(value, 1, 2),
        "95 % interval": MISSING if pd.isna(low) else f"[{number(low, 1, 2)}, {number(high, 1, 2)}]",
        "n": str(measured["n"]),
        "Agrees": agrees if quantity == "asr" else "other instrument",
    }


def _measured(metrics: pd.DataFrame, line: dict, model: str, metric: str, arm: str = "", seed: str = "") -> dict | None:
    """The measured value of a group, or the mean of all three groups (without an interval)."""
    rows = metrics[(metrics["model"] == model) & (metrics["dataset"] == line["test_set"])]
    rows = rows[(rows["arm"] == arm) & (rows["seed"] == seed)]
    rows = rows[(rows["metric"] == metric) & rows["layer"].isna()].drop_duplicates("group").set_index("group")
    if line["group"] in rows.index:
        return rows.loc[line["group"]].to_dict()
    if line["group"] == "Average" and set(GROUPS) <= set(rows.index):
        three = rows.loc[list(GROUPS)]
        return {"value": three["value"].mean(), "low": float("nan"), "high": float("nan"), "n": three["n"].sum()}
    return None
