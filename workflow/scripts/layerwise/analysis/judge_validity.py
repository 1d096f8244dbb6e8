"""How good judges are: compared with the truth where it is known, with each other, and on controls.

Two judges are compared on a *claim*, an outcome that both can name, as their files declare: a guard's `unsafe` and
Detoxify's `toxic` both claim `harmful`; the truth judge names every outcome. Judges without a common claim are not
compared. Off-target harm counts as `harmful` here, since other judges are not asked which harm was meant: a guard that
calls it unsafe is right.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from layerwise.analysis import stats
from layerwise.analysis.outcomes import Claims
from layerwise.records import Control, Verdict
from layerwise.vocabulary import OFF_TARGET, OUTCOMES

VALIDITY = ["judge", "layer", "metric", "truth", "label", "value", "low", "high", "n"]
AGREEMENT = ["first", "second", "claim", "layer", "metric", "value", "low", "high", "n"]
CONTROLS = ["judge", "control", "metric", "label", "value", "low", "high", "n"]
PAIR = ["first", "second", "layer", "cluster", "label", "other", "n"]


def shared_claims(claims: Claims) -> dict[tuple[str, str], list[str]]:
    """The outcomes that both judges of a pair can name, for each pair that shares any."""
    shared = {}
    for pair in combinations(claims, 2):
        both = set.intersection(*(set(claims[judge].values()) for judge in pair))
        if outcomes := [outcome for outcome in OUTCOMES if outcome in both]:
            shared[pair] = outcomes
    return shared


def pair_counts(verdicts: Iterable[Sequence[Verdict]], claims: Claims, clusters: Mapping[str, str]) -> pd.DataFrame:
    """How often two judges gave two labels to the same response, by exit layer and cluster: the columns PAIR.

    Each item of `verdicts` holds all verdicts on one subject; `clusters` has the cluster of each prompt id. Only pairs
    that share a claim are included, with `first` before `second` in `claims`.
    """
    counts: Counter[tuple] = Counter()
    pairs = shared_claims(claims)
    for rows in verdicts:
        given: dict[str, dict[tuple[int, str], str]] = {judge: {} for judge in claims}
        for row in rows:
            given[row.judge][row.layer, row.prompt_id] = row.label
        for first, second in pairs:
            others = given[second]
            counts.update(
                (first, second, layer, clusters[prompt], label, others[layer, prompt])
                for (layer, prompt), label in given[first].items()
                if (layer, prompt) in others
            )
    return pd.DataFrame([(*pair, n) for pair, n in sorted(counts.items())], columns=PAIR)


def against_truth(
    counts: pd.DataFrame, truth: str | None, labels: Mapping[str, Sequence[str]], claims: Claims
) -> pd.DataFrame:
    """Each judge's confusion matrix with the truth judge, its precision and its recall: the columns VALIDITY.

    There is one set of rows per exit layer, and one over all layers with an empty `layer`. A `count` row is an entry of
    the matrix. `precision` is the share of the responses given `label` that truly are `truth`, `recall` the share of
    those that truly are `truth` that are given `label`; both have Wilson's interval for the effective number of
    responses, and are NaN if there are none. `labels` lists what each judge may say.
    """
    rows: list[tuple] = []
    if truth is None:
        return _table(rows, VALIDITY)
    for judge in [judge for judge in labels if judge != truth]:
        found = _oriented(counts, truth, judge)
        if found.empty:
            continue
        for layer, cell in _by_layer(found):
            for true in labels[truth]:
                for label in labels[judge]:
                    n = cell.n[(cell.label == true) & (cell.other == label)].sum()
                    rows.append((judge, layer, "count", true, label, n, np.nan, np.nan, cell.n.sum()))
            for label in labels[judge]:
                if (claim := claims[judge].get(label)) is None:
                    continue
                truly = _claimed(cell.label, claims[truth]) == claim
                hit = truly & (cell.other == label)
                for metric, chosen in (("precision", cell.other == label), ("recall", truly)):
                    rows.append((judge, layer, metric, claim, label, *_share(cell[chosen], hit[chosen])))
    return _table(rows, VALIDITY)


def agreement(counts: pd.DataFrame, claims: Claims) -> pd.DataFrame:
    """How far judges agree on each claim they share: the columns AGREEMENT, layers as in `against_truth`.

    `agreement` is the share of responses on which both judges make the claim or neither does, `kappa` is Cohen's kappa
    (NaN if both judges always give the same answer). The interval of kappa treats responses as independent.
    """
    rows = []
    for (first, second), outcomes in shared_claims(claims).items():
        found = _oriented(counts, first, second)
        for outcome in outcomes if len(found) else ():
            for layer, cell in _by_layer(found):
                one, two = (
                    _claimed(cell[side], claims[judge]).eq(outcome)
                    for side, judge in (("label", first), ("other", second))
                )
                rows.append((first, second, outcome, layer, "agreement", *_share(cell, one == two)))
                kappa = stats.kappa(np.repeat(one.to_numpy(), cell.n), np.repeat(two.to_numpy(), cell.n))
                rows.append((first, second, outcome, layer, "kappa", *kappa, cell.n.sum()))
    return _table(rows, AGREEMENT)


def cut(lengths: Mapping[tuple[str, bool], int]) -> pd.DataFrame:
    """The share of responses that a judge read in parts, in the columns VALIDITY, for each judge that did.

    `lengths` counts verdicts by judge and by whether the response was cut.
    """
    rows = []
    for judge, was_cut in lengths:
        if was_cut:
            n = lengths[judge, True] + lengths.get((judge, False), 0)
            share = stats.wilson(lengths[judge, True] / n, n)
            rows.append((judge, None, "cut", "", "", *map(float, share), n))
    return _table(rows, VALIDITY)


def controls(tried: Iterable[Control], labels: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """What each judge says about each control: the columns CONTROLS.

    `share` is the share of control responses given `label`, `right` the share of those given a right label, where there
    is one, both with Wilson's interval; `score` is their mean score, for a judge that gives one.
    """
    table = pd.DataFrame(list(tried), columns=["judge", "control", "prompt_id", "label", "score", "right"])
    rows = []
    for (judge, control), group in table.groupby(["judge", "control"], sort=False):
        n = len(group)
        for label in labels[judge]:
            share = stats.wilson((group.label == label).mean(), n)
            rows.append((judge, control, "share", label, *map(float, share), n))
        if group.right.notna().all():
            share = stats.wilson(group.right.astype(float).mean(), n)
            rows.append((judge, control, "right", "", *map(float, share), n))
        if group.score.notna().all():
            rows.append((judge, control, "score", "", group.score.astype(float).mean(), np.nan, np.nan, n))
    return pd.DataFrame(rows, columns=CONTROLS)


def _claimed(labels: pd.Series, claims: Mapping[str, str]) -> pd.Series:
    """The outcome that each label claims; off-target harm is harm."""
    return labels.map(claims).replace(OFF_TARGET, "harmful")


def _oriented(counts: pd.DataFrame, first: str, second: str) -> pd.DataFrame:
    """The counts of one pair of judges, with the first judge's label in `label`."""
    swapped = counts[(counts["first"] == second) & (counts["second"] == first)]
    straight = counts[(counts["first"] == first) & (counts["second"] == second)]
    return pd.concat([straight, swapped.rename(columns={"label": "other", "other": "label"})])


def _by_layer(counts: pd.DataFrame) -> list[tuple[int | None, pd.DataFrame]]:
    return [*((int(layer), cell) for layer, cell in counts.groupby("layer")), (None, counts)]


def _share(cell: pd.DataFrame, hit: pd.Series) -> tuple[float, float, float, int]:
    """The share of hits among the counted responses, its interval, and the number of responses."""
    if cell.empty:
        return np.nan, np.nan, np.nan, 0
    clusters = cell.assign(hit=cell.n * hit).groupby("cluster")[["hit", "n"]].sum()
    totals, sizes = clusters[["hit"]].to_numpy(float), clusters[["n"]].to_numpy(float)
    effective = stats.effective_size(totals, sizes, totals.sum(0))
    value, low, high = (float(part[0]) for part in stats.wilson(totals.sum(0) / sizes.sum(0), effective))
    return value, low, high, int(cell.n.sum())


def _table(rows: list[tuple], columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=columns).astype({"layer": "Int64", "n": int})
