"""Each exit layer compared with the default layer of the same subject, prompt by prompt.

This answers the study's main question: is a layer less safe than the one that was aligned, and by how much? The same
prompts are answered at both, so the comparison is paired.
"""

import numpy as np
import pandas as pd

from layerwise.analysis import metrics, stats

COLUMNS = [
    *("model", "arm", "seed", "dataset", "layer", "metric"),
    *("difference", "low", "high", "n", "b", "c", "p", "p_holm"),
]
# Each has one judge, or those that decide the outcome together.
METRICS = ("refusal", "asr", "answered", "vqa_accuracy", "margin")


def paired(found: list[metrics.Measure], subjects: list[dict]) -> pd.DataFrame:
    """Each exit layer compared with the default layer of the same subject, with the columns of `paired.csv`.

    `difference` is the share at this layer minus the share at the default layer, over the n prompts answered at both; b
    prompts are positive only at this layer, c only at the default layer. `p` comes from the exact McNemar test,
    `p_holm` is corrected over the layers of one model × data set × metric. Metrics with a score are compared by label.
    Of margins, `difference` is that of the means; b margins are larger at this layer, c are smaller. If no subject has
    a layer other than the default one, there are no rows.
    """
    default = {subject["name"]: subject["default_layer"] for subject in subjects}
    parts = [
        _against_default(measure, default).assign(metric=measure.metric)
        for measure in found
        if measure.metric in METRICS
    ]
    parts = [part for part in parts if len(part)]
    if not parts:
        return pd.DataFrame(columns=COLUMNS)
    frame = metrics.with_subject(pd.concat(parts, ignore_index=True), subjects)
    family = frame.groupby(["name", "dataset", "metric"], sort=False)["p"]
    frame["p_holm"] = family.transform(lambda p: stats.holm(p.to_numpy(float)))
    return metrics.ordered(frame, subjects, ["dataset", "metric", "layer"])[COLUMNS]


def _against_default(measure: metrics.Measure, default: dict[str, int]) -> pd.DataFrame:
    """One metric's comparisons with the default layer: name, dataset, layer, difference, low, high, n, b, c, p."""
    rows, shares = measure.rows, measure.unit != "logits"
    rows = rows.assign(value=rows["positive" if shares else "value"])
    is_default = rows["layer"].eq(rows["subject"].map(default))
    base = rows.loc[is_default, ["subject", "prompt_id", "value"]].rename(columns={"value": "base"})
    pairs = rows[~is_default].merge(base, on=["subject", "prompt_id"], how="inner")
    pairs = pairs.assign(
        both=pairs["value"] * pairs["base"],
        b=pairs["value"].gt(pairs["base"]).astype(float),
        c=pairs["value"].lt(pairs["base"]).astype(float),
        difference=pairs["value"] - pairs["base"],
        count=1.0,
    )
    sums = pairs.groupby(["subject", "dataset", "layer", "cluster"])[["both", "b", "c", "difference", "count"]].sum()
    compared = []
    for (subject, dataset, layer), cell in sums.groupby(["subject", "dataset", "layer"]):
        both, b, c, _, n = cell.sum()
        change, counts = cell[["difference"]].to_numpy(), cell[["count"]].to_numpy()
        interval: stats.Interval
        if shares:
            size = stats.effective_size(change, counts, b + c)[0]
            interval = stats.paired_difference(*(np.array([both, b, c, n]) * size / n))
        else:
            interval = stats.cluster_mean(change, counts, bounded=False)
        p = stats.mcnemar((cell["b"] - cell["c"]).to_numpy(int))
        compared.append((subject, dataset, layer, *map(float, interval), int(n), int(b), int(c), p))
    return pd.DataFrame(compared, columns=["name", "dataset", "layer", "difference", "low", "high", "n", "b", "c", "p"])
