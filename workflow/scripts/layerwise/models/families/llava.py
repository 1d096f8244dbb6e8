"""LLaVA-1.5: exit layer l is `hidden_states[l]` of CLIP, without the CLS token, through the unchanged projector.

There is no post-layernorm, as in arXiv 2411.04291. transformers' own `vision_feature_layer` would run every block, and
cannot name layer 0. The default layer of llava-hf/llava-1.5-7b-hf is 23 of 24 (`vision_feature_layer: -2`).
"""

from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn
from transformers import ProcessorMixin

from layerwise.models.families import Shared, chosen_layer, same_shape

VARIANTS = ()
SYSTEM_PROMPT = True


class Family(Shared):
    encoder = "clip_vision_model"

    def __init__(self, model: torch.nn.Module, processor: ProcessorMixin, variant: str | None = None) -> None:
        if (found := model.config.vision_config.model_type) != self.encoder:
            raise ValueError(f"the vision encoder is {found}, not {self.encoder}")
        assert variant in (None, *VARIANTS), f"the configuration lets no variant {variant!r} pass"
        self.model, self.processor = model, processor
        self.tower, self.projector = model.model.vision_tower, model.model.multi_modal_projector
        self.blocks = len(self.layers())
        self.default_layer = chosen_layer(model.config, self.blocks)
        self.skipped = 1 if model.config.vision_feature_select_strategy == "default" else 0

    def layers(self) -> nn.ModuleList:
        """The blocks of the vision encoder."""
        return self.tower.encoder.layers

    def embed(self, pixel_values: Tensor) -> Tensor:
        """The input of the first block."""
        return self.tower.pre_layrnorm(self.tower.embeddings(pixel_values))

    def apply(self, block: nn.Module, hidden: Tensor) -> Tensor:
        """One block applied to the states (images, tokens, width)."""
        return block(hidden, attention_mask=None)

    def exit_states(self, pixel_values: Tensor, layers: Collection[int]) -> dict[int, Tensor]:
        """Encoder states (images, patches, width) at each exit layer, before the projector."""
        states = {0: self.embed(pixel_values)}
        for number, block in enumerate(self.layers()[: max(layers)], 1):
            states[number] = self.apply(block, states[number - 1])
        return {layer: states[layer][:, self.skipped :] for layer in layers}

    def features(self, images: Sequence[dict[str, Tensor]], layers: Collection[int]) -> dict[int, Tensor]:
        found: dict[int, list[Tensor]] = {layer: [] for layer in layers}
        for pixels, real in same_shape(torch.cat([image["pixel_values"] for image in images])):
            for layer, state in self.exit_states(pixels.to(self.model.device), layers).items():
                found[layer].append(self.projector(state)[:real])
        return {layer: torch.cat(parts) for layer, parts in found.items()}
