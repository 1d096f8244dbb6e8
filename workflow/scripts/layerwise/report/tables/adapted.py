"""Published models before and after adaptation, in the form of the original Table 2, and what it costs."""

import pandas as pd

from layerwise.report.findings import Frames
from layerwise.report.text import MISSING, PRINTED, Names, Table, estimate, filled
from layerwise.vocabulary import DEFAULT, GROUPS, METRICS

INPUTS = ("metrics",)
WHEN = ("adapted",)
SHOWN = ("asr_guard", "asr", "refusal", "toxicity", "reward", "over_refusal", "vqa_accuracy")


def table(frames: Frames, spec: dict, names: Names) -> Table:
    """For each adapted arm, data set and group of layers: each metric of the published model → of the arm."""
    metrics, found = frames["metrics"], []
    rows = metrics[metrics["layer"].isna() | (metrics["group"] == DEFAULT)]
    for subject in spec["subjects"]:
        if not subject.get("adapted_from"):
            continue
        before = rows[(rows["model"] == subject["adapted_from"]) & (rows["arm"] == "")]
        after = rows[(rows["model"] == subject["id"]) & (rows["arm"] == subject["arm"])]
        after = after[after["seed"] == subject["seed"]]
        for dataset in spec["datasets"]:
            for group in (*GROUPS, DEFAULT):
                cells = [part[(part["dataset"] == dataset) & (part["group"] == group)] for part in (before, after)]
                if any(part.empty for part in cells):
                    continue
                about = {"Model": names.models[subject["id"]], "Arm": subject["arm"], "Seed": subject["seed"]}
                about |= {"Data set": names.datasets[dataset], "Layers": group}
                about |= {METRICS[metric].label: _change(cells[0], cells[1], metric, names) for metric in SHOWN}
                found.append(about | {"n": str(cells[1]["n"].max())})
    note = (
        "Published model → after adaptation, each with its 95 % interval: shares in percent, the reward in logits."
        " Early, Middle and Late are means over the exit layers of a third of the encoder."
    )
    return Table(filled(pd.DataFrame(found)), note)


def _change(before: pd.DataFrame, after: pd.DataFrame, metric: str, names: Names) -> str:
    """One metric before and after; if several judges measure it, each with the judge's name."""
    texts = []
    for judge in dict.fromkeys(after.loc[after["metric"] == metric, "judge"]):
        values = [part[(part["metric"] == metric) & (part["judge"] == judge)] for part in (before, after)]
        if any(part.empty for part in values):
            continue
        change = " → ".join(estimate(part.iloc[0], *PRINTED[METRICS[metric].unit]) for part in values)
        texts.append((names.judges.get(judge, judge), change))
    return "; ".join(f"{judge}: {text}" if len(texts) > 1 else text for judge, text in texts) or MISSING
