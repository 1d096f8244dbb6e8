"""Judges of responses, one file each: `load("refusal")` is the class `Judge` in `refusal.py`.

A judge maps (`Prompt`, `Response`) to a label of its own and, where it has one, a score in [0, 1].
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from layerwise.errors import InputError
from layerwise.records import Prompt, Response


class Judge(Protocol):
    """What every judge offers.

    `kinds`: the kinds of prompts that it applies to; others get no verdict. `sees`: the fields of `Prompt` that a
    verdict depends on. `labels`: all that it may say. `batch_size`: responses that it takes at a time.
    `options` are the YAML file's; a judge refuses those it does not know. `weights`: its checkpoint or the receipt of
    one, and perhaps the receipt of what that rests on; none for a judge that is rules.
    """

    kinds: frozenset[str]
    sees: tuple[str, ...]
    labels: tuple[str, ...]
    batch_size: int

    def __init__(self, options: dict, weights: Sequence[Path] = ()) -> None: ...

    def __call__(self, pairs: Sequence[tuple[Prompt, Response]]) -> list[tuple[str, float | None]]: ...


def settings(judge: str, given: dict, defaults: dict, section: str = "options") -> dict:
    """A judge's settings laid over its defaults. Raises InputError for one that the judge does not know."""
    for key in given:
        if key not in defaults:
            allowed = ", ".join(sorted(defaults)) or "none"
            raise InputError(f"judge '{judge}': unknown key '{section}.{key}'; allowed: {allowed}.")
    return {**defaults, **given}
