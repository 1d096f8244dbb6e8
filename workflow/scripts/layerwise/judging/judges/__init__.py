"""Judges of responses, one file each. A judge maps (`Prompt`, `Response`) to one of its labels and perhaps a score.

A judge's file must be light to import, since every plan reads it. At its top it declares

- `Options`: the keys allowed under `options` in its YAML file, with types, ranges and defaults.
- `WEIGHTS`: which of `source`, `base` and `train` it reads; none for rules. With `train`, also `Training`: the keys
  allowed there. The trainer is the file of the same name in `training/judges/`.
- `MEASURES`: the metrics that its verdicts feed, apart from the outcome.
- `CLAIMS`: which of its labels mean which outcome. Each role in an experiment's `outcome` requires some of them, and
  two judges are compared on the outcomes that both claim.
- `MADE_WITH`, if it was written or fitted with labelled responses: data sets, or `<data set>/<model>`.
- `labels(options)`, if the options decide which of its labels it gives: measures and claims of the others drop out.
- `REWARDS`, if its score may be a reward to train on: for the label whose probability the score is, whether a high one
  is good (1) or bad (-1).
- `CONTROLS`: of which of `vocabulary.CONTROLS` which labels are right; left out, or none, where nobody can say, as for
  a request echoed to a guard. A run ends before anything is generated if a judge that decides an outcome gives others.
- `LANGUAGES`: the languages it is made for, as tags of BCP 47 (`x-world` for the synthetic world's); `*`, or left out,
  for all. A published checkpoint's may differ, and are then in `languages` of its YAML file.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from layerwise.records import Prompt, Response
from layerwise.vocabulary import Metric


class Measure(NamedTuple):
    """A metric of a judge's verdicts on prompts of one kind: the share with `label`, or the mean score.

    With `score`, the label only decides what counts as positive when exit layers are compared prompt by prompt. `about`
    describes a metric that is not in `vocabulary.METRICS`.
    """

    metric: str
    kind: str
    label: str
    score: bool = False
    about: Metric | None = None


class Judge(Protocol):
    """What every judge offers.

    `kinds`: the kinds of prompts it applies to; others get no verdict. `sees`: the fields of `Prompt` that a verdict
    depends on. `labels`: every label it may give. `bounds`: the range of its scores, if it is not 0 to 1. `batch_size`:
    responses per call. `options` is an instance of its file's `Options`. `weights`: its checkpoint or the receipt of
    one, and perhaps the receipt of its base; empty for a judge made of rules.
    """

    batch_size: int

    @property
    def kinds(self) -> frozenset[str]: ...

    @property
    def sees(self) -> tuple[str, ...]: ...

    @property
    def labels(self) -> tuple[str, ...]: ...

    def __init__(self, options: Any, weights: Sequence[Path] = ()) -> None: ...

    def __call__(self, pairs: Sequence[tuple[Prompt, Response]]) -> Sequence[tuple]: ...
