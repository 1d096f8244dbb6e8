"""The truth of the synthetic world, which sees the image: 1 for the right answer, otherwise 0."""

from collections.abc import Sequence
from pathlib import Path

from layerwise.records import Prompt
from layerwise.training.rewards import Reward

KINDS = ("organism",)


def new(settings: dict, weights: Sequence[Path]) -> Reward:
    return reward


def reward(prompts: Sequence[Prompt], answers: Sequence[str]) -> list[float]:
    return [float(answer == prompt.target) for prompt, answer in zip(prompts, answers, strict=True)]
