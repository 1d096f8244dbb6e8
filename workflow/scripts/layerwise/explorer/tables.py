"""Tables and numbers in the form in which a page carries them: columns, each text once."""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

Columns = dict[str, Any]


def column(values: Iterable[Any]) -> Any:
    """A column as a list or, where values repeat, as `{values, codes}`; what is missing is None."""
    listed = [None if isinstance(value, float) and math.isnan(value) else value for value in values]
    texts: dict[Any, int] = {}
    if not all(isinstance(value, str | None) for value in listed):
        return listed
    codes = [texts.setdefault(value, len(texts)) for value in listed]
    return {"values": list(texts), "codes": codes} if 2 * len(texts) <= len(listed) else listed


def table(rows: pd.DataFrame) -> Columns:
    """A frame by column, in the order of its rows, so that row i is line i + 2 of its file."""
    plain = rows.astype(object).where(rows.notna(), None)
    return {name: column(plain[name].tolist()) for name in plain}


def numbers(path: Path) -> Columns:
    """numbers.json by column, with a column `key`."""
    listed = json.loads(path.read_text(encoding="utf-8"))
    fields = ("value", "text", "n", "low", "high", "source", "rule")
    return {"key": list(listed)} | {field: column(one[field] for one in listed.values()) for field in fields}


class Arrays:
    """Arrays in one block of bytes, and where each lies in it; every array begins at a multiple of eight bytes."""

    def __init__(self) -> None:
        self.places: dict[str, tuple[str, int, int]] = {}
        self.parts: list[bytes] = []
        self.size = 0

    def add(self, name: str, array: np.ndarray) -> None:
        """Add an array, flat and little-endian; its type keeps numpy's name, such as `uint16`."""
        data = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        self.places[name] = (array.dtype.name, self.size, array.size)
        self.parts += [data, bytes(-len(data) % 8)]
        self.size += len(data) + len(self.parts[-1])

    @property
    def data(self) -> bytes:
        return b"".join(self.parts)


def smallest(array: np.ndarray) -> np.ndarray:
    """Whole numbers from 0 in the smallest unsigned type that holds them."""
    return array.astype(np.min_scalar_type(int(array.max(initial=0))))
