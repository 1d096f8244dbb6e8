"""The training loop: AdamW, linear warm-up, linear decay in the second half, clipped gradients."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from layerwise.files import atomic
from layerwise.jobs.program import progress

BETAS = (0.9, 0.98)
WEIGHT_DECAY = 0.01
LARGEST_GRADIENT = 1.0
# The learning rate is constant in the first half and falls to this share of its peak in the second.
LAST_RATE = 0.1


@dataclass(frozen=True)
class Point:
    """One step of a training curve; the last four are of methods with a reward.

    `reward`: its mean over the rollouts, which the step's weights at its start gave. `kl`: how far they are from the
    starting arm, in nats per answer. `clip_fraction`: the share of tokens whose probability changed beyond the clip.
    """

    stage: str
    step: int
    loss: float
    learning_rate: float
    reward: float | None = None
    kl: float | None = None
    clip_fraction: float | None = None
    value_loss: float | None = None


@dataclass(frozen=True)
class Saved:
    """The saved state of a long training, so that a kill costs at most a minute and changes no byte.

    A saved state counts only for the same `key`, which names everything that decides the training. `skip` passes over
    the batch of a step that was already taken.
    """

    path: Path
    key: str
    skip: Callable[[], object] = lambda: None
    seconds: float = 60.0

    def skipping(self, skip: Callable[[], object]) -> "Saved":
        return replace(self, skip=skip)

    def load(self, parameters: Sequence[nn.Parameter], optimizer: torch.optim.Optimizer) -> list["Point"]:
        """Restore parameters and optimizer; returns the curve so far, empty if nothing is saved."""
        if not self.path.exists():
            return []
        try:
            found = torch.load(self.path, weights_only=True)
        except Exception:  # whatever is wrong with the file, starting over is right
            return []
        if found["key"] != self.key:
            return []
        with torch.no_grad():
            for parameter, value in zip(parameters, found["parameters"], strict=True):
                parameter.copy_(value)
        optimizer.load_state_dict(found["optimizer"])
        for _ in found["curve"]:
            self.skip()
        return [Point(**point) for point in found["curve"]]

    def save(
        self, parameters: Sequence[nn.Parameter], optimizer: torch.optim.Optimizer, curve: Sequence["Point"]
    ) -> None:
        """Write parameters, optimizer and curve aside, then in one step to `path`."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        aside = self.path.with_name(f"{self.path.name}.tmp")
        values = {"key": self.key, "parameters": [p.detach() for p in parameters]}
        values |= {"optimizer": optimizer.state_dict(), "curve": [asdict(point) for point in curve]}
        with open(aside, "wb") as stream:
            torch.save(values, stream)
            stream.flush()
            os.fsync(stream.fileno())
        aside.replace(self.path)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


def fit(
    name: str,
    stage: str,
    parameters: Sequence[nn.Parameter],
    loss_of: Callable[[int], Tensor],
    steps: int,
    learning_rate: float,
    warmup: int,
    saved: Saved | None = None,
) -> list[Point]:
    """Take `steps` steps down the gradient of `loss_of(step)`; `learning_rate` is the peak, `warmup` is in steps.

    With `saved`, a killed training resumes from its saved state, and further states are saved.
    """
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, betas=BETAS, weight_decay=WEIGHT_DECAY, fused=True)
    curve = saved.load(parameters, optimizer) if saved else []
    last = time.monotonic()
    left = range(len(curve), steps)
    for step in progress(left, len(left), f"{name} {stage}", lambda: f"loss {curve[-1].loss:.3f}"):
        rate = rate_at(step, steps, learning_rate, warmup)
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = loss_of(step)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, LARGEST_GRADIENT)
        optimizer.step()
        curve.append(Point(stage, step, loss.item(), rate))
        if saved and time.monotonic() - last > saved.seconds:
            saved.save(parameters, optimizer, curve)
            last = time.monotonic()
    return curve


def rate_at(step: int, steps: int, peak: float, warmup: int) -> float:
    """The learning rate of a step, counted from 0."""
    decayed = max(0.0, step - steps / 2) / (steps / 2)
    return peak * min(1.0, (step + 1) / warmup) * (1 - (1 - LAST_RATE) * decayed)


def write_curve(path: Path, curve: Sequence[Point]) -> None:
    """Write a training curve as CSV, atomically: stage, step, loss, learning_rate, and what a reward adds."""
    names = [field.name for field in fields(Point) if any(getattr(point, field.name) is not None for point in curve)]
    with atomic(path) as stream:
        stream.write(",".join(names) + "\n")
        for point in curve:
            values = (getattr(point, name) for name in names)
            stream.write(",".join(f"{one:.6g}" if isinstance(one, float) else str(one) for one in values) + "\n")
