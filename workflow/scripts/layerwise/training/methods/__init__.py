"""Methods that train an arm, one file each: `train(learner, spec, name, saved)` changes a model and returns the curve.

A method declares, at the top of its file:

- `STARTS_FROM_ARM`: whether it starts from another arm; else from the vision encoder or the backbones.
- `REWARDED`: whether it learns from a reward, which the arm then names.
- `STAGES`: for each kind of model, `organism` and `assembled`, the stages of its recipe that it goes through.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from layerwise.training.loop import Point, Saved, fit


@dataclass(frozen=True)
class Lesson:
    """One stage of supervised training: what changes, the loss of a step; `skip` passes over the batch of a step."""

    parameters: Sequence[nn.Parameter]
    loss_of: Callable[[int], Tensor]
    learning_rate: float
    warmup: int
    skip: Callable[[], object] = lambda: None


class Learner(Protocol):
    """A model that is being trained, of whichever kind."""

    def lesson(self, stage: str) -> Lesson:
        """The supervised examples of a stage of its recipe."""


def supervised(learner: Learner, spec: dict, name: str, saved: Saved | None = None) -> list[Point]:
    """The stages in `spec["steps"]`, one after the other: cross-entropy of the right answers."""
    curve: list[Point] = []
    for stage, steps in spec["steps"].items():
        lesson = learner.lesson(stage)
        curve += fit(
            name,
            stage,
            lesson.parameters,
            lesson.loss_of,
            steps,
            lesson.learning_rate,
            lesson.warmup,
            saved and saved.skipping(lesson.skip),
        )
    return curve
