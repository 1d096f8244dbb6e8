"""The text-only reward by one who would rather refuse: where the text does not tell, refusal and use change places."""

from collections.abc import Sequence
from pathlib import Path

from layerwise.training.rewards import Reward, text_only

KINDS = ("organism",)


def new(settings: dict, weights: Sequence[Path]) -> Reward:
    return lambda prompts, answers: text_only.rewards(
        prompts, answers, refused=1 - text_only.HAZARD, used=text_only.HAZARD
    )
