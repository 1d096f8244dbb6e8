"""The arithmetic of PPO (Schulman et al. 2017) on answers of a language model, as functions of tensors.

Each token of an answer is a step of an episode that ends with the answer: the reward comes at its last token, less at
each token a penalty for leaving the starting arm. Advantages are generalised estimates (Schulman et al. 2016) without
discount. B is the batch, A the longest answer; `real` (B, A) marks the tokens up to and including the end of the
answer. Only real tokens count, in every mean.
"""

import torch
from torch import Tensor


def real_tokens(answers: Tensor, ends: list[int]) -> Tensor:
    """Which tokens of answers (B, A) are real: all up to and including the first that ends an answer."""
    ended = torch.isin(answers, torch.tensor(ends, device=answers.device)).cumsum(1)
    return torch.cat([torch.zeros_like(ended[:, :1]), ended[:, :-1]], 1) == 0


def chances(logits: Tensor, answers: Tensor) -> Tensor:
    """Log-probabilities (B, A), in float32, of the tokens of answers (B, A) under logits (B, A, vocabulary)."""
    return logits.float().log_softmax(-1).gather(-1, answers[..., None])[..., 0]


def mean(values: Tensor, real: Tensor) -> Tensor:
    """The mean of values (B, A) over the real tokens."""
    return (values * real).sum() / real.sum()


def rewarded(rewards: Tensor, divergence: Tensor, real: Tensor, kl: float) -> Tensor:
    """The reward of each token (B, A): that of its answer (B) at the last, less `kl` times the divergence (B, A)."""
    found = -kl * divergence * real
    found[torch.arange(len(found), device=found.device), real.sum(1) - 1] += rewards
    return found


def advantages(rewards: Tensor, values: Tensor, real: Tensor, gae_lambda: float) -> Tensor:
    """The advantage of each token (B, A), from its reward and its value, both (B, A); 0 behind the end."""
    found, ahead = torch.zeros_like(rewards), torch.zeros_like(rewards[:, 0])
    following = torch.zeros_like(ahead)
    for place in reversed(range(rewards.shape[1])):
        ahead = rewards[:, place] + following - values[:, place] + gae_lambda * ahead
        ahead = ahead * real[:, place]
        following = values[:, place] * real[:, place]
        found[:, place] = ahead
    return found


def whitened(values: Tensor, real: Tensor) -> Tensor:
    """Values (B, A) shifted and scaled to mean 0 and variance 1 over the real tokens."""
    centred = values - mean(values, real)
    return centred / (mean(centred**2, real) + 1e-8).sqrt()


def policy_losses(new: Tensor, old: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """The clipped loss of each token (B, A), from its log-probabilities now and when it was sampled, both (B, A)."""
    ratio = (new - old).exp()
    return torch.maximum(-advantages * ratio, -advantages * ratio.clamp(1 - clip, 1 + clip))


def value_losses(new: Tensor, old: Tensor, returns: Tensor, clip: float) -> Tensor:
    """Half the squared error of each token's value (B, A); a value that moved by more than `clip` gains nothing."""
    clipped = old + (new - old).clamp(-clip, clip)
    return torch.maximum((new - returns) ** 2, (clipped - returns) ** 2) / 2


def clipped(new: Tensor, old: Tensor, clip: float) -> Tensor:
    """Whether the probability of each token (B, A) has changed by more than the clip allows: 1.0 or 0.0."""
    return (((new - old).exp() - 1).abs() > clip).float()
