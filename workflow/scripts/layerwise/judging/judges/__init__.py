"""Judges of responses, one file each. A judge maps (`Prompt`, `Response`) to a label of its own and perhaps a score.

A file declares at its top, and is light to import, since every plan reads it:

- `Options`: what its YAML file may say under `options`, with types, ranges and defaults.
- `WEIGHTS`: which of `source`, `base` and `train` it reads; none for rules. With `train`, also `Training`: what may
  stand there. The trainer is the file of the same name in `training/judges/`.
- `MEASURES`: the metrics that its verdicts give, apart from the outcome.
- `CLAIMS`: which of its labels means which outcome. A role in an experiment's `outcome` asks for some of them, and two
  judges are compared on those that both have.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from layerwise.records import Prompt, Response
from layerwise.vocabulary import Metric


class Measure(NamedTuple):
    """A metric that a judge's verdicts on prompts of one kind give: the share that has `label`, or the mean score.

    With `score`, the label decides only what counts as positive where exit layers are compared prompt by prompt.
    `about` describes a metric that `vocabulary.METRICS` does not have.
    """

    metric: str
    kind: str
    label: str
    score: bool = False
    about: Metric | None = None


class Judge(Protocol):
    """What every judge offers.

    `kinds`: the kinds of prompts that it applies to; others get no verdict. `sees`: the fields of `Prompt` that a
    verdict depends on. `labels`: all that it may say. `batch_size`: responses that it takes at a time. `options` is an
    instance of its file's `Options`. `weights`: its checkpoint or the receipt of one, and perhaps the receipt of what
    that rests on; none for a judge that is rules.
    """

    batch_size: int

    @property
    def kinds(self) -> frozenset[str]: ...

    @property
    def sees(self) -> tuple[str, ...]: ...

    @property
    def labels(self) -> tuple[str, ...]: ...

    def __init__(self, options: Any, weights: Sequence[Path] = ()) -> None: ...

    def __call__(self, pairs: Sequence[tuple[Prompt, Response]]) -> list[tuple[str, float | None]]: ...
