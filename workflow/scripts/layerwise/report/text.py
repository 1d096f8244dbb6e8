"""Numbers as text for tables: rounded, with their interval; shares in percent, differences of shares in points."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import pandas as pd

MISSING = "–"
# How a metric is printed, by its unit: what it is multiplied by, and the digits after the point.
PRINTED = {"share": (100, 1), "points": (100, 1), "score": (100, 1), "logits": (1, 2)}
SPACE = "\N{NO-BREAK SPACE}"


class Names(NamedTuple):
    """Display names of models, data sets and judges, by id; and the cue of each data set of the synthetic world."""

    models: Mapping[str, str]
    datasets: Mapping[str, str]
    judges: Mapping[str, str]
    cues: Mapping[str, str | None] = MappingProxyType({})


class Table(NamedTuple):
    """Rows of text, and a note on how to read them; a table without rows says why."""

    rows: pd.DataFrame
    note: str


def number(value: float, scale: float = 100, digits: int = 1) -> str:
    """A number times `scale`, with a true minus sign; a dash for a missing one."""
    if pd.isna(value):
        return MISSING
    text = f"{value * scale:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")


def estimate(row: pd.Series, scale: float = 100, digits: int = 1) -> str:
    """A value with its 95 % interval in brackets, or a mean over seeds with the smallest and largest in parentheses."""
    value, low, high = (number(row[key], scale, digits) for key in ("value", "low", "high"))
    if MISSING in (value, low):
        return value
    return f"{value} ({low} to {high})" if row.get("seed") == "all" else f"{value} [{low}, {high}]"


def p_value(p: float) -> str:
    """A p value with two significant digits; `< 0.001` if it is smaller than that."""
    return MISSING if pd.isna(p) else "< 0.001" if p < 0.001 else f"{p:.2g}"


def filled(table: pd.DataFrame) -> pd.DataFrame:
    """The table without its empty columns, and with a dash in each gap."""
    table = table.astype(object).where(table.notna(), MISSING)
    return table.loc[:, [not table[column].isin(["", MISSING]).all() for column in table]].reset_index(drop=True)


def none(why: str) -> Table:
    """A table without rows, which says why it has none."""
    return Table(pd.DataFrame({"Note": [why]}), "")


def share(value: float) -> str:
    """A share in percent."""
    return MISSING if pd.isna(value) else f"{number(value)}{SPACE}%"


def points(value: float) -> str:
    """A difference of shares, with its sign."""
    if pd.isna(value):
        return MISSING
    text = number(value)
    return f"{'+' if float(text.replace('−', '-')) > 0 else ''}{text}{SPACE}points"


def bare_points(value: float) -> str:
    """A difference of shares, with its sign but without the word "points"."""
    return points(value).removesuffix(f"{SPACE}points")


def plain(value: float) -> str:
    """A number with two digits."""
    return number(value, 1, 2)


def logits(value: float) -> str:
    """A margin, with its unit."""
    return MISSING if pd.isna(value) else f"{plain(value)}{SPACE}logits"
