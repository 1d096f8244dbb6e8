"""Rollouts: answers sampled from a language model in training, and what they are worth."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from transformers import GenerationConfig


class Rollouts(NamedTuple):
    """Sampled answers and what they are worth: tokens (B, A), which of them are real (B, A), rewards (B).

    `inputs` is what the policy needs to read them again.
    """

    inputs: Any
    answers: Tensor
    real: Tensor
    rewards: Tensor


class Policy(Protocol):
    """The language model of a learner as it answers a stage's questions. `width` is the size of its hidden states.

    `settings` are those of the method, as in `study.recipes.Ppo`.
    """

    parameters: Sequence[nn.Parameter]
    width: int

    def __init__(self, learner: Any, stage: str, settings: dict) -> None: ...

    def roll(self, step: int, count: int) -> Rollouts:
        """So many sampled answers. The step decides which questions; torch's random state decides what is sampled."""

    def read(self, rollouts: Rollouts, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The last hidden states (rows, A, width) from which the answers' tokens follow, and their logits."""


@torch.no_grad()
def sampled(
    model: nn.Module, inputs: dict[str, Any], longest: int, ends: list[int], pad: int, never: list[int] | None = None
) -> Tensor:
    """Sampled answers (B, longest), padded behind their end, at temperature 1 from all tokens except `never`.

    `inputs` are the arguments of `model.generate`, whose key-value cache is used. torch's random state decides.
    """
    config = GenerationConfig(
        max_new_tokens=longest,
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        eos_token_id=ends,
        pad_token_id=pad,
        suppress_tokens=never,
    )
    output = model.generate(**inputs, generation_config=config)
    # The output repeats the prompt if it was given as tokens.
    said = output[:, inputs["input_ids"].shape[1] if "input_ids" in inputs else 0 :]
    return nn.functional.pad(said, (0, longest - said.shape[1]), value=pad)
