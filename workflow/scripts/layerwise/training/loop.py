"""The one training loop: AdamW, linear warm-up, a linear decay in the second half, clipped gradients."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from layerwise.jobs import progress
from layerwise.records import atomic

BETAS = (0.9, 0.98)
WEIGHT_DECAY = 0.01
LARGEST_GRADIENT = 1.0
# The rate is constant in the first half and falls in the second to this share of its peak.
LAST_RATE = 0.1


@dataclass(frozen=True)
class Point:
    """One step of a training curve."""

    stage: str
    step: int
    loss: float
    learning_rate: float


def fit(
    name: str,
    stage: str,
    parameters: Sequence[nn.Parameter],
    loss_of: Callable[[int], Tensor],
    steps: int,
    learning_rate: float,
    warmup: int,
) -> list[Point]:
    """Take `steps` steps down the gradient of `loss_of(step)`; `learning_rate` is the peak, `warmup` in steps."""
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, betas=BETAS, weight_decay=WEIGHT_DECAY, fused=True)
    curve: list[Point] = []
    for step in progress(range(steps), steps, f"{name} {stage}", lambda: f"loss {curve[-1].loss:.3f}"):
        rate = rate_at(step, steps, learning_rate, warmup)
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = loss_of(step)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, LARGEST_GRADIENT)
        optimizer.step()
        curve.append(Point(stage, step, loss.item(), rate))
    return curve


def rate_at(step: int, steps: int, peak: float, warmup: int) -> float:
    """The learning rate of a step, counted from 0."""
    decayed = max(0.0, step - steps / 2) / (steps / 2)
    return peak * min(1.0, (step + 1) / warmup) * (1 - (1 - LAST_RATE) * decayed)


def write_curve(path: Path, curve: Sequence[Point]) -> None:
    """Write a training curve as CSV, atomically: stage, step, loss, learning_rate."""
    with atomic(path) as stream:
        stream.write("stage,step,loss,learning_rate\n")
        for point in curve:
            stream.write(f"{point.stage},{point.step},{point.loss:.6g},{point.learning_rate:.6g}\n")
