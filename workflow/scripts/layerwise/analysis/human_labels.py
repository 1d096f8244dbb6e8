"""How well a judge agrees with people's labels, for each model whose responses they labelled: shares with intervals."""

from collections.abc import Iterator, Sequence

import numpy as np

from layerwise.analysis import stats

COLUMNS = ["judge", "dataset", "model", "label", "seen", "metric", "value", "low", "high", "n"]


def rows(
    judge: str, dataset: str, label: str, said: Sequence[str], rows: Sequence, seen: Sequence[str]
) -> Iterator[tuple]:
    """The rows of one judge on one data set, with the columns COLUMNS; `said` are its labels of the labelled `rows`.

    `label` is the one sought. `seen` names what the judge was made with: data sets, or `<data set>/<model>`.
    `recall_declined` leaves out refusals whose exact words are labelled an answer elsewhere. Shares of nothing are NaN.
    """
    given, true = np.asarray(said) == label, np.array([row.label for row in rows]) == label
    elsewhere = {row.response for row in rows if row.label != label}
    declined = np.array([row.response not in elsewhere for row in rows])
    models = np.array([row.model for row in rows])
    for model in dict.fromkeys(models.tolist()):
        inside = models == model
        known = dataset in seen or f"{dataset}/{model}" in seen
        for metric, estimate, n in _measures(given[inside], true[inside], declined[inside]):
            yield (judge, dataset, model, label, known, metric, *map(float, estimate), int(n))


def _measures(
    given: np.ndarray, true: np.ndarray, declined: np.ndarray
) -> Iterator[tuple[str, stats.Interval[float], int]]:
    for metric, hit, of in (
        ("precision", true, given),
        ("recall", given, true),
        ("recall_declined", given, true & declined),
        ("false_alarms", given, ~true),
    ):
        if metric == "recall_declined" and not (true & ~declined).any():
            continue
        count = of.sum()
        yield metric, stats.wilson(hit[of].mean(), count) if count else stats.Interval(*[np.nan] * 3), count
    yield "f1", stats.f1(given, true), len(true)
