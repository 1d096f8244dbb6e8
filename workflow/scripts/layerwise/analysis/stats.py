"""The statistics of the study: intervals and tests, chosen once.

| quantity | method |
| --- | --- |
| a share | Wilson's interval (Wilson 1927) |
| a mean, or a mean over exit layers | bootstrap over clusters, percentile interval; of fewer than ten, Wilson's |
| a mean of margins, which have no limits | the same; of fewer than ten clusters, Student's |
| an area under the ROC curve | DeLong's interval, clustered (Obuchowski 1997) |
| F1 of a judge | bootstrap over responses, percentile interval |
| a difference of two shares of the same prompts | Newcombe's square-and-add interval (Newcombe 1998, method 10) |
| whether the two shares differ | exact McNemar test; flips whole clusters where a cluster holds several prompts |
| many such tests | Holm's correction |
| two judges of the same responses | Cohen's kappa |

A cluster is what repeats: a twin pair, a behaviour, an image. The prompts of a cluster are not independent, so the
intervals for shares use each cell's `effective_size` instead of its number of prompts (Kish 1965; Korn & Graubard
1998). With one prompt per cluster, the effective size is the number of prompts, and the intervals are the textbook
ones. All intervals cover 95 %.
"""

from functools import lru_cache
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from scipy.stats import binomtest, norm
from scipy.stats import t as student_t
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.proportion import proportion_confint

CONFIDENCE = 0.95
RESAMPLES = 2000
SEED = 20240411
FEW = 10  # with fewer clusters, a bootstrap's interval is too narrow
Z = norm.ppf(0.5 + CONFIDENCE / 2)


Number = TypeVar("Number", float, np.ndarray)


class Interval(NamedTuple, Generic[Number]):
    """An estimate with its limits: three numbers, or three arrays of one shape."""

    value: Number
    low: Number
    high: Number


def wilson(share: Number, n: Number) -> Interval[Number]:
    """A share with Wilson's score interval. `n` need not be whole: it may be an effective size.

    Also valid, but too wide, for the mean of scores in [0, 1], since a 0/1 score varies most of all.
    """
    low, high = proportion_confint(np.multiply(share, n), n, alpha=1 - CONFIDENCE, method="wilson")
    return Interval(share, np.clip(low, 0, share), np.clip(high, share, 1))


def effective_size(totals: np.ndarray, counts: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """The number of independent prompts that a cell is worth: prompts / design effect, at most its prompts.

    `totals` and `counts` have one row per cluster (sum and number of its values) and one column per cell; `squares` is
    each cell's sum of squared values. If all values are equal, they do not tell how similar the prompts of a cluster
    are; then the number of clusters is returned, which is safe.
    """
    n, clusters = counts.sum(0), np.count_nonzero(counts, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = totals.sum(0) / n
        between = ((totals - mean * counts) ** 2).sum(0) / n**2 * clusters / (clusters - 1)
        independent = (squares / n - mean**2) / (n - 1)
        effect = between / independent
    constant = ~(independent > 1e-12) | (clusters < 2)
    return np.where(constant, clusters, n / np.maximum(np.where(constant, 1, effect), 1))


@lru_cache(maxsize=8)
def resamples(clusters: int) -> np.ndarray:
    """How often each cluster is drawn in each bootstrap resample: shape (RESAMPLES, clusters), seeded."""
    chances = np.full(clusters, 1 / clusters)
    return np.random.default_rng(SEED).multinomial(clusters, chances, size=RESAMPLES).astype(float)


def bootstrap_means(totals: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Each column's mean in each bootstrap resample of the clusters (the rows): shape (RESAMPLES, columns).

    All columns share the resamples, so a function of several columns can be bootstrapped from the result.
    (scipy.stats.bootstrap draws them anew for each statistic: equal in distribution, but a thousand times slower here.)
    A column without values in a resample is NaN there.
    """
    drawn = resamples(len(totals))
    with np.errstate(divide="ignore", invalid="ignore"):
        return (drawn @ totals) / (drawn @ counts)


def mean_over_columns(totals: np.ndarray, counts: np.ndarray) -> tuple[float, np.ndarray]:
    """The mean over the columns (exit layers) of each column's mean, and the same in each bootstrap resample.

    Columns without values are left out.
    """
    there = counts.sum(0) > 0
    totals, counts = totals[:, there], counts[:, there]
    return float((totals.sum(0) / counts.sum(0)).mean()), np.nanmean(bootstrap_means(totals, counts), axis=1)


def percentile_interval(value: float, resampled: np.ndarray) -> Interval[float] | None:
    """An estimate with the percentiles of its bootstrap resamples.

    None if all resamples are equal: then the bootstrap is blind, and would say that 20 refusals in 20 prove 100 %.
    """
    if np.ptp(resampled) < 1e-12:
        return None
    low, high = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(value, float(min(low, value)), float(max(high, value)))


def cluster_mean(totals: np.ndarray, counts: np.ndarray, bounded: bool = True) -> Interval[float]:
    """The mean over the columns of each column's mean of values, bootstrapped over the rows (clusters).

    Rows without any value are left out. Where the bootstrap is blind, and for fewer clusters than FEW, of which its
    resamples are too much alike: of values in [0, 1], Wilson's interval for that many clusters; of others (not
    `bounded`), Student's, which is NaN where all clusters are alike.
    """
    there = counts.sum(1) > 0
    totals, counts = totals[there], counts[there]
    value, resampled = mean_over_columns(totals, counts)
    interval = percentile_interval(value, resampled) if len(totals) >= FEW else None
    if interval is not None:
        return interval
    if bounded:
        return Interval(*map(float, wilson(value, len(totals))))
    with np.errstate(invalid="ignore"):
        return student(value, np.nanmean(totals / np.where(counts > 0, counts, np.nan), axis=1))


def student(value: float, clusters: np.ndarray) -> Interval[float]:
    """A mean with Student's interval from each cluster's mean; NaN limits for a single cluster, or if all are equal."""
    spread = clusters.std(ddof=1) if len(clusters) > 1 else 0.0
    if spread < 1e-12:
        return Interval(value, np.nan, np.nan)
    reach = float(student_t.ppf(0.5 + CONFIDENCE / 2, len(clusters) - 1) * spread / np.sqrt(len(clusters)))
    return Interval(value, value - reach, value + reach)


def f1(given: np.ndarray, true: np.ndarray) -> Interval[float]:
    """F1 of what was given (booleans) against what is true, bootstrapped; NaN limits where the bootstrap is blind."""
    drawn = resamples(len(true))
    both, either = (given & true).astype(float), given.astype(float) + true
    with np.errstate(invalid="ignore"):
        value, resampled = 2 * both.sum() / either.sum(), 2 * (drawn @ both) / (drawn @ either)
    resampled = resampled[~np.isnan(resampled)]
    interval = percentile_interval(value, resampled) if len(resampled) else None
    return interval or Interval(value, np.nan, np.nan)


def paired_difference(
    both: np.ndarray, first: np.ndarray, second: np.ndarray, n: np.ndarray | int
) -> Interval[np.ndarray]:
    """The difference (first − second) of two shares of the same n prompts, with Newcombe's interval (method 10).

    `both`, `first` and `second` count the prompts that are positive in both, in the first only, in the second only.
    None of the numbers need be whole, so tables scaled to an effective size are allowed. statsmodels 0.15 has no
    interval for a paired difference; this one needs no search for roots and stays inside [-1, 1].
    """
    both, first, second, n = (np.asarray(part, float) for part in (both, first, second, n))
    one, two = wilson((both + first) / n, n), wilson((both + second) / n, n)
    neither = n - both - first - second
    excess = both * neither - first * second
    # Newcombe's correction: a positive correlation counts only beyond half a prompt.
    excess = np.where(excess > 0, np.maximum(excess - n / 2, 0), excess)
    product = (both + first) * (second + neither) * (both + second) * (first + neither)
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = np.where(product > 1e-9, excess / np.sqrt(product), 0.0)
    value = one.value - two.value

    def reach(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.sqrt(np.maximum(a**2 + b**2 - 2 * correlation * a * b, 0))

    low = value - reach(one.value - one.low, two.high - two.value)
    high = value + reach(one.high - one.value, two.value - two.low)
    return Interval(value, np.maximum(low, -1), np.minimum(high, 1))


def mcnemar(differences: np.ndarray) -> float:
    """The two-sided p of the exact McNemar test, from each cluster's (positive first only) − (positive second only).

    Under the null hypothesis, the two sides of a cluster are exchangeable, for all its prompts together. With one
    prompt per cluster this is the textbook test; otherwise it is the exact sign-flip test on the clusters' differences.
    """
    sizes = np.abs(np.asarray(differences, int))
    sizes = sizes[sizes > 0]
    if not len(sizes):
        return 1.0
    if sizes.max() == 1:
        return float(binomtest(int((np.asarray(differences) > 0).sum()), len(sizes)).pvalue)
    # The distribution of the sum of ±sizes, one cluster after another; index i is the sum i − total.
    total = int(sizes.sum())
    chance = np.zeros(2 * total + 1)
    chance[total] = 1.0
    for size in sizes:
        chance = (np.roll(chance, size) + np.roll(chance, -size)) / 2
    sums = np.arange(-total, total + 1)
    return min(1.0, float(chance[np.abs(sums) >= abs(int(np.sum(differences)))].sum()))


def holm(p: np.ndarray) -> np.ndarray:
    """p values of one family, corrected by Holm's method; an empty family stays empty.

    (statsmodels' multipletests gives the same, but collects garbage at each call: 40 ms for each of some hundred.)
    """
    order = np.argsort(p)
    steps = np.maximum.accumulate(np.asarray(p, float)[order] * np.arange(len(p), 0, -1))
    return np.minimum(steps, 1.0)[np.argsort(order)]


def kappa(first: np.ndarray, second: np.ndarray) -> Interval[float]:
    """Cohen's kappa of two lists of labels of the same items, with its asymptotic interval.

    NaN if both lists hold a single common label: agreement beyond chance is then undefined. If only one of the lists is
    constant, kappa is 0, whatever the other holds, and has no interval.
    """
    labels, codes = np.unique(np.concatenate([first, second]), return_inverse=True)
    if len(labels) < 2:
        return Interval(np.nan, np.nan, np.nan)
    if min(len(np.unique(one)) for one in (first, second)) < 2:
        return Interval(0.0, np.nan, np.nan)
    table = np.zeros((len(labels), len(labels)))
    np.add.at(table, (codes[: len(first)], codes[len(first) :]), 1)
    result = cohens_kappa(table)
    reach = Z * result.std_kappa
    return Interval(float(result.kappa), float(result.kappa - reach), float(result.kappa + reach))


def auc(scores: np.ndarray, positive: np.ndarray, cluster: np.ndarray | None = None) -> Interval[float]:
    """The area under the ROC curve with the interval of DeLong et al. (1988) on the logit scale (Pepe 2003).

    The share of (positive, negative) pairs in which the positive has the higher score; ties count half. With the
    `cluster` (a number) of each score, the variance is that of Obuchowski (1997) for clustered scores. Where the two
    sides do not overlap the variance is 0 and says nothing; then, and with a single one on a side, Wilson's interval
    for the smaller side is given. NaN where a side has none.
    """
    above, below = np.asarray(scores)[positive], np.asarray(scores)[~positive]
    if not len(above) or not len(below):
        return Interval(np.nan, np.nan, np.nan)
    # For each positive, the share of negatives below it; for each negative, the share of positives above it.
    wins = _share_below(above, np.sort(below))
    losses = 1 - _share_below(below, np.sort(above))
    value = float(wins.mean())
    smaller = min(len(above), len(below))
    if cluster is not None:
        smaller = min(len(np.unique(cluster[side])) for side in (positive, ~positive))
        error = _clustered_error(wins, losses, cluster[positive], cluster[~positive], value)
    else:
        error = np.sqrt(wins.var(ddof=1) / len(above) + losses.var(ddof=1) / len(below)) if smaller > 1 else 0.0
    if error < 1e-9:
        return Interval(*map(float, wilson(value, smaller)))
    reach = Z * error / (value * (1 - value))
    logit = np.log(value / (1 - value))
    return Interval(value, *(float(1 / (1 + np.exp(-(logit + side * reach)))) for side in (-1, 1)))


def _clustered_error(wins: np.ndarray, losses: np.ndarray, above: np.ndarray, below: np.ndarray, value: float) -> float:
    """The standard error of an AUC from its placements, summed by cluster: `above` and `below` are their clusters."""
    clusters = 1 + max(above.max(), below.max())
    shifts = np.bincount(above, (wins - value) / len(wins), minlength=clusters)
    shifts += np.bincount(below, (losses - value) / len(losses), minlength=clusters)
    seen = len(np.union1d(above, below))
    return float(np.sqrt(seen / (seen - 1) * (shifts**2).sum())) if seen > 1 else 0.0


def _share_below(values: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """For each value, the share of an ordered list below it; ties count half."""
    return (np.searchsorted(ordered, values) + np.searchsorted(ordered, values, "right")) / 2 / len(ordered)
