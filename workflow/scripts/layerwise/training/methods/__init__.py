"""Methods that train an arm, one file each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from layerwise.training.loop import Point, Saved, fit


@dataclass(frozen=True)
class Lesson:
    """One stage of supervised training: the parameters, and the loss of a step; `skip` passes over a step's batch."""

    parameters: Sequence[nn.Parameter]
    loss_of: Callable[[int], Tensor]
    learning_rate: float
    warmup: int
    skip: Callable[[], object] = lambda: None


class Learner(Protocol):
    """A model in training, for supervised methods; the others have `training.rollouts.Policy`."""

    def lesson(self, stage: str) -> Lesson:
        """The supervised examples of a stage of its recipe."""


class Method(Protocol):
    """What the file of a method declares and offers.

    `STARTS_FROM_ARM`: whether it starts from another arm or from published weights, or else from the vision encoder or
    the backbones. `REWARDED`: whether it learns from a reward, which the arm then names; such a method also declares
    `STEPS`, the number of its steps unless an arm sets its own.
    """

    STARTS_FROM_ARM: bool
    REWARDED: bool

    @property
    def STAGES(self) -> Mapping[str, Sequence[str]]:
        """For each kind of model, `organism`, `assembled` and `published`, the stages that the method runs."""

    def train(self, learner: Any, spec: dict, name: str, saved: Saved | None = None) -> list[Point]:
        """Train the learner's model and return the curve. `name` is for progress lines."""


def supervised(learner: Learner, spec: dict, name: str, saved: Saved | None = None) -> list[Point]:
    """Run the stages in `spec["steps"]`, one after the other, on the cross-entropy of the right answers."""
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
