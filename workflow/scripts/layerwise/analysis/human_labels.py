"""How well a judge agrees with people's labels: shares with intervals, for both halves and for all responses."""

from collections.abc import Iterator, Sequence

import numpy as np

from layerwise.analysis import stats

COLUMNS = ["judge", "half", "metric", "value", "low", "high", "n"]
REFUSAL, ANSWER = "refusal", "answer"
HALVES = ("all", "train", "test")


def rows(judge: str, said: Sequence[str], labels: Sequence[str], texts: Sequence[str], halves: Sequence[str]) -> list:
    """The rows of one judge, with the columns COLUMNS; `said` are its labels of the responses `texts`.

    `recall_declined` leaves out refusals whose exact words are labelled an answer to another request. `majority` is the
    accuracy of always giving the more common label. Shares of nothing are NaN.
    """
    given, true = np.asarray(said) == REFUSAL, np.asarray(labels) == REFUSAL
    elsewhere = {text for text, label in zip(texts, labels, strict=True) if label == ANSWER}
    declined = np.array([text not in elsewhere for text in texts])
    found = []
    for half in HALVES:
        inside = np.ones(len(true), bool) if half == "all" else np.asarray(halves) == half
        for metric, estimate, n in _measures(given[inside], true[inside], declined[inside]):
            found.append((judge, half, metric, *map(float, estimate), int(n)))
    return found


def _measures(
    given: np.ndarray, true: np.ndarray, declined: np.ndarray
) -> Iterator[tuple[str, stats.Interval[float], int]]:
    n = len(true)
    for metric, hit, of in (
        ("precision", true, given),
        ("recall", given, true),
        ("recall_declined", given, true & declined),
        ("accuracy", given == true, np.ones(n, bool)),
        ("majority", true == (2 * true.sum() >= n), np.ones(n, bool)),
    ):
        count = of.sum()
        yield metric, stats.wilson(hit[of].mean(), count) if count else stats.Interval(*[np.nan] * 3), count
    yield "f1", stats.f1(given, true), n
