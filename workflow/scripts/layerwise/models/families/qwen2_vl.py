"""Qwen2-VL: exit layer l is the patches' states after l blocks of its own encoder, through the unchanged merger.

The merger's layer norm, then two linear layers over 2 x 2 patches, follow every exit. The default layer is the last.
Images are encoded at their own resolution, one by one, so features do not depend on the others. The language model
counts an image's rows and columns (positions of Wang et al. 2024, section 2.1), so it is told the image's grid.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import ProcessorMixin, Qwen2VLProcessor
from transformers.vision_utils import get_vision_attention_seqlens, get_vision_position_ids

from layerwise.models.families import Shared, placed
from layerwise.models.processors import load_without_video

VARIANTS = ()
SYSTEM_PROMPT = True


def load_processor(folder: Path) -> ProcessorMixin:
    return load_without_video(folder, Qwen2VLProcessor)


class Seen(NamedTuple):
    """An image's features (tokens, width), and its grid (1, 3): frames, rows and columns of patches."""

    tokens: Tensor
    grid: Tensor

    @property
    def nbytes(self) -> int:
        return self.tokens.nbytes

    def with_tokens(self, tokens: Tensor) -> "Seen":
        """The same with other features."""
        return self._replace(tokens=tokens)


class Family(Shared):
    def __init__(self, model: torch.nn.Module, processor: ProcessorMixin, variant: str | None = None) -> None:
        assert variant in (None, *VARIANTS), f"the configuration lets no variant {variant!r} pass"
        self.model, self.processor, self.vision = model, processor, model.model.visual
        self.blocks = self.default_layer = len(self.vision.blocks)

    def features(self, images: Sequence[dict[str, Tensor]], layers: Collection[int]) -> dict[int, list[Seen]]:
        found: dict[int, list[Seen]] = {layer: [] for layer in layers}
        for image in images:
            states = self._exit_states(image["pixel_values"], image["image_grid_thw"], layers)
            for layer in layers:
                found[layer].append(Seen(self.vision.merger(states[layer]), image["image_grid_thw"]))
        return found

    def generation_inputs(
        self, input_ids: Tensor, attention_mask: Tensor, features: Sequence[Seen] | None
    ) -> dict[str, Tensor]:
        embeddings = self.model.get_input_embeddings()(input_ids)
        inputs = {"inputs_embeds": embeddings, "attention_mask": attention_mask}
        if features is None:
            return inputs
        where = input_ids == self.model.config.image_token_id
        grids = torch.cat([seen.grid for seen in features]).to(input_ids.device)
        positions, _ = self.model.model.get_rope_index(input_ids, where.int(), grids, attention_mask=attention_mask)
        # Four rows, as `generate` makes them: in the text, then frame, row and column.
        text = attention_mask.cumsum(-1)[None] - 1
        embeddings = placed(embeddings, where, [seen.tokens for seen in features])
        return {**inputs, "inputs_embeds": embeddings, "position_ids": torch.cat([text, positions])}

    def _exit_states(self, pixels: Tensor, grid: Tensor, layers: Collection[int]) -> dict[int, Tensor]:
        """One image's states (patches, width) at each exit layer, from its pixels (patches, values)."""
        grid = grid.to(self.model.device)
        positions = get_vision_position_ids(grid, self.vision.spatial_merge_size)
        ends, longest = get_vision_attention_seqlens(grid, self.vision.config)
        hidden = self.vision.patch_embed(pixels.to(self.model.device, self.model.dtype))
        turned = self.vision.rotary_pos_emb(hidden, positions)
        states = {0: hidden}
        for number, block in enumerate(self.vision.blocks[: max(layers)], 1):
            hidden = block(hidden, cu_seqlens=ends, max_seqlen=longest, position_embeddings=turned)
            states[number] = hidden
        return states
