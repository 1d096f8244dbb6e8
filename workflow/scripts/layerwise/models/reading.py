"""The first step of decoding: prompts of one length are read in one batch, each with the features of its image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache

from layerwise.models.families import Family

# Arguments of a model whose last place holds for all later tokens as well.
LASTING = ("cross_attention_mask",)


@dataclass(frozen=True, eq=False)
class Row:
    """A prompt to answer, by a key of the caller's: its tokens, and its image's features unless it has none."""

    key: Any
    tokens: list[int]
    features: Tensor | None


class Start(NamedTuple):
    """Prompts that were read: what the model says of their next tokens, and what it remembers.

    `logits` (rows, vocabulary); `positions` (…, rows, 1) of the next tokens; `lasting`, arguments for all of them.
    """

    logits: Tensor
    cache: Cache
    positions: Tensor
    lasting: dict[str, Tensor]


def new_cache(model: torch.nn.Module) -> DynamicCache:
    """An empty cache, of the kinds of layers that a language model has."""
    return DynamicCache(config=model.config.get_text_config())


def read(family: Family, rows: Sequence[Row], size: int) -> Start:
    """Read prompts of one length, filled up to `size`."""
    filled = [*rows, *[rows[-1]] * (size - len(rows))]
    tokens = torch.tensor([row.tokens for row in filled], device=family.model.device)
    first = family.first_position
    inputs: dict[str, Any] = {
        "position_ids": torch.arange(first, first + tokens.shape[1], device=tokens.device).expand(size, -1),
        "past_key_values": new_cache(family.model),
    }
    seen = None if rows[0].features is None else [row.features for row in filled]
    inputs |= family.generation_inputs(tokens, torch.ones_like(tokens), seen)
    logits = family.model(**inputs, use_cache=True, logits_to_keep=1).logits[:, -1]
    lasting = {name: value[:, -1:] for name, value in inputs.items() if name in LASTING}
    return Start(logits, inputs["past_key_values"], inputs["position_ids"][..., -1:] + 1, lasting)
