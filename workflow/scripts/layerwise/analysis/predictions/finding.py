"""What a prediction is, and its result; numbers in the words of a table."""

from collections.abc import Callable
from typing import NamedTuple

import pandas as pd

from layerwise.analysis.evidence import Evidence, listed_exits


class Finding(NamedTuple):
    """The result: the deciding number with its threshold, whether the prediction holds, and details in words."""

    value: float
    threshold: float
    holds: bool
    detail: str


class Prediction(NamedTuple):
    """A registered prediction on single models: its arms, the arms to compare them with, and what decides it."""

    name: str
    arms: tuple[str, ...]
    compared: tuple[str, ...]
    statement: str
    quantity: str
    decide: Callable[[Evidence, str, str, str], Finding]


def exact(share: float) -> float:
    """A share without the last digits, in which 0.98 − 0.88 is less than 0.1."""
    return round(share, 9)


def points(share: float) -> str:
    return f"{int(round(100 * share))}".replace("-", "−")


def at(values: pd.Series) -> str:
    """Exits, each with its value in percent or points."""
    return f"at exit {listed_exits(values.index)}: {' '.join(map(points, values))}"
