"""Rewards, one file each: what an answer is worth to a method that learns from rewards.

The file declares `KINDS`, the kinds of models (`organism`, `assembled`, `published`) that it can be a reward for, and
offers `new(settings, weights)`, which returns a `Reward`. An arm's `reward` names the file, or a judge of
`config/judges/` whose score is the reward: that is the file `judge`, which alone has settings and weights.
"""

from collections.abc import Sequence
from typing import Protocol

from layerwise.records import Prompt


class Reward(Protocol):
    """A number for each answer, the higher the better. For an organism, a prompt's target is its one right answer."""

    def __call__(self, prompts: Sequence[Prompt], answers: Sequence[str]) -> list[float]: ...
