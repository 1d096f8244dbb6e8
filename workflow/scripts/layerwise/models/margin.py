"""The refusal margin: how far a model leans towards refusing, read before its first word.

    margin = logsumexp(logits of R) − logsumexp(all other logits)

in float32 at the first place of the answer, which is log p(R) / (1 − p(R)): the refusal metric of Arditi et al. (2024,
arXiv 2406.11717). R, the model's `refusal_tokens`, are the tokens that its refusals begin with. Shares of refusals
saturate at 0 and 1, the margin does not.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from layerwise.errors import InputError

DIGITS = 4  # of a stored margin, after the point


def first_tokens(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[int]:
    """The first token of each text, each once. Raises InputError for a text that the model has no token for."""
    found = []
    for text in texts:
        tokens = tokenizer(text, add_special_tokens=False).input_ids
        if not tokens or tokens[0] == tokenizer.unk_token_id:
            raise InputError(
                f"key 'refusal_tokens' of the model's YAML: its tokenizer has no token for the beginning of {text!r}. "
                "Give the beginnings of its refusals, letter by letter."
            )
        found.append(tokens[0])
    return sorted(set(found))


def margins(logits: Tensor, refusal: Sequence[int]) -> Tensor:
    """The margin of each row of logits (rows, vocabulary), in float32: (rows,)."""
    logits = logits.float()
    of_refusal = torch.zeros(logits.shape[1], dtype=torch.bool, device=logits.device)
    of_refusal[list(refusal)] = True
    return logits[:, of_refusal].logsumexp(1) - logits[:, ~of_refusal].logsumexp(1)


def stored(logits: Tensor, refusal: Sequence[int]) -> list[float | None]:
    """The margins as they are stored: rounded, and None where the logits are no numbers."""
    found = margins(logits, refusal).tolist()
    return [round(value, DIGITS) if math.isfinite(value) else None for value in found]
