"""Proximal policy optimisation of the language model alone: PPO at the default exit, L-PPO at a random one.

The arm's exits make the difference: with `exits: all`, each example's image features come from an exit layer drawn for
it, which is the layer-wise alignment of Bachu et al. (2025). Vision encoder and projector stay as they are. The policy
is held near the arm that it starts from, token by token. What decides the draws of a step is its number, so that a
killed training resumes without a saved random state.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from layerwise import plugins
from layerwise.files import digest
from layerwise.jobs.program import progress
from layerwise.training import ppo
from layerwise.training.loop import BETAS, LARGEST_GRADIENT, Point, Saved, rate_at
from layerwise.training.rollouts import Policy, Rollouts

STARTS_FROM_ARM = True
REWARDED = True
STEPS = 200
STAGES = {"organism": ("safety",), "assembled": ("alignment",), "published": ("adapter",)}


class Experience(NamedTuple):
    """What a step learns from: rollouts with, for each token (B, A), its log-probability when it was sampled, its
    value then, the value that it should have, and its advantage. `kl`: the divergence from the starting arm per answer.
    """

    rollouts: Rollouts
    chances: Tensor
    values: Tensor
    returns: Tensor
    advantages: Tensor
    kl: float


def train(learner: Any, spec: dict, name: str, saved: Saved | None = None) -> list[Point]:
    """Train the learner's language model on its reward and return the curve."""
    ((stage, steps),) = spec["steps"].items()
    kind = "organism" if "organism" in spec else "family"
    policy: Policy = plugins.find("training.policies", kind).Policy(learner, stage, spec["ppo"])
    return learn(policy, spec["ppo"], spec["seed"], steps, stage, name, saved)


def learn(
    policy: Policy, settings: dict, seed: int, steps: int, stage: str, name: str, saved: Saved | None = None
) -> list[Point]:
    """Train a policy with the settings of `study.recipes.Ppo` and return the curve."""
    start = [parameter.detach().clone() for parameter in policy.parameters]
    head = nn.Linear(policy.width, 1, device=start[0].device)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    optimizer = torch.optim.AdamW(
        [{"params": list(policy.parameters)}, {"params": list(head.parameters())}],
        lr=settings["learning_rate"],
        betas=BETAS,
        weight_decay=0.0,
        fused=True,
    )
    learned = [*policy.parameters, *head.parameters()]
    curve = saved.load(learned, optimizer) if saved else []
    last, left = time.monotonic(), range(len(curve), steps)
    for step in progress(left, len(left), f"{name} {stage}", lambda: f"reward {curve[-1].reward:.3f}"):
        rate = rate_at(step, steps, settings["learning_rate"], settings["warmup"])
        for group in optimizer.param_groups:
            group["lr"] = rate
        # The value head alone learns at first: advantages made of wrong values would cost what safety there is.
        optimizer.param_groups[0]["lr"] *= step >= settings["value_warmup"]
        torch.manual_seed(int(digest([seed, step])[:15], 16))
        experience = experienced(policy, head, start, policy.roll(step, settings["rollouts"]), settings)
        found = [
            improve(policy, head, optimizer, experience, rows, settings)
            for _ in range(settings["epochs"])
            for rows in torch.randperm(settings["rollouts"]).split(settings["batch_size"])
        ]
        loss, value_loss, clip_fraction = (sum(values) / len(found) for values in zip(*found, strict=True))
        reward = experience.rollouts.rewards.mean().item()
        curve.append(Point(stage, step, loss, rate, reward, experience.kl, clip_fraction, value_loss))
        if saved and time.monotonic() - last > saved.seconds:
            saved.save(learned, optimizer, curve)
            last = time.monotonic()
    return curve


@torch.no_grad()
def experienced(
    policy: Policy, head: nn.Linear, start: Sequence[Tensor], rollouts: Rollouts, settings: dict
) -> Experience:
    """Rollouts with what the policy, its value head, and the starting arm make of them."""
    parts = torch.arange(len(rollouts.answers)).split(settings["rows"])

    def everything() -> Iterator[Tensor]:
        return map(torch.cat, zip(*(read(policy, head, rollouts, rows) for rows in parts), strict=True))

    chances, values = everything()
    with replaced(policy.parameters, start):
        before, _ = everything()
    real, divergence = rollouts.real, chances - before
    rewards = ppo.rewarded(rollouts.rewards, divergence, real, settings["kl"])
    advantages = ppo.advantages(rewards, values, real, settings["gae_lambda"])
    # The sum of log-ratios may be negative by chance; this estimate of the same never is.
    kl = ((divergence + (-divergence).exp() - 1) * real).sum(1).mean().item()
    return Experience(rollouts, chances, values, advantages + values, ppo.whitened(advantages, real), kl)


def read(policy: Policy, head: nn.Linear, rollouts: Rollouts, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities and values of the tokens of some rollouts, both (rows, A)."""
    hidden, logits = policy.read(rollouts, rows)
    return ppo.chances(logits, rollouts.answers[rows]), head(hidden.float())[..., 0]


def improve(
    policy: Policy,
    head: nn.Linear,
    optimizer: torch.optim.Optimizer,
    experience: Experience,
    rows: Tensor,
    settings: dict,
) -> tuple[float, float, float]:
    """One step down the gradient on some of the rollouts; returns loss, value loss, and the share of tokens clipped."""
    clip, count = settings["clip"], experience.rollouts.real[rows].sum()
    totals = torch.zeros(3)
    optimizer.zero_grad()
    for part in rows.split(settings["rows"]):  # as many as have room; their gradients add up
        chances, values = read(policy, head, experience.rollouts, part)
        old, weights = experience.chances[part], experience.rollouts.real[part] / count
        gains = (ppo.policy_losses(chances, old, experience.advantages[part], clip) * weights).sum()
        errors = (ppo.value_losses(values, experience.values[part], experience.returns[part], clip) * weights).sum()
        loss = gains + settings["value_weight"] * errors
        loss.backward()
        share = (ppo.clipped(chances, old, clip) * weights).sum()
        totals += torch.stack([loss, errors, share]).detach().cpu()
    nn.utils.clip_grad_norm_(policy.parameters, LARGEST_GRADIENT)
    optimizer.step()
    loss_, errors_, share_ = totals.tolist()
    return loss_, errors_, share_


@contextmanager
def replaced(parameters: Sequence[nn.Parameter], values: Sequence[Tensor]) -> Iterator[None]:
    """The parameters have these values for a while."""
    kept = [parameter.data for parameter in parameters]
    for parameter, value in zip(parameters, values, strict=True):
        parameter.data = value
    yield
    for parameter, value in zip(parameters, kept, strict=True):
        parameter.data = value
