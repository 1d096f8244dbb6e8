"""LLaVA-1.5: exit layer l is `hidden_states[l]` of CLIP, the CLS token dropped, through the unchanged projector.

No post-layernorm, as in arXiv 2411.04291. transformers' own `vision_feature_layer` would run every block and cannot
name layer 0. The default layer of llava-hf/llava-1.5-7b-hf is 23 of 24 (`vision_feature_layer: -2`).
"""

from collections.abc import Collection, Sequence

import torch
from PIL import Image
from torch import Tensor

from layerwise.exits import chat_tokens, placed, same_shape, upright_rgb


class Family:
    def __init__(self, model: torch.nn.Module, processor, variant: str | None = None) -> None:
        if model.config.vision_config.model_type != "clip_vision_model":
            raise ValueError(f"the vision encoder is {model.config.vision_config.model_type}, not CLIP")
        if variant is not None:
            raise ValueError(f"LLaVA has no exit variants, so not {variant!r}")
        self.model, self.processor = model, processor
        self.tower, self.projector = model.model.vision_tower, model.model.multi_modal_projector
        self.blocks = len(self.tower.encoder.layers)
        self.default_layer = range(self.blocks + 1)[model.config.vision_feature_layer]
        self.skipped = 1 if model.config.vision_feature_select_strategy == "default" else 0

    def preprocess(self, image: Image.Image | None) -> dict[str, Tensor]:
        if image is None:
            return {}
        return dict(self.processor.image_processor(upright_rgb(image), return_tensors="pt"))

    def encode(self, text: str, image_inputs: dict[str, Tensor], system_prompt: str | None = None) -> list[int]:
        return chat_tokens(self.processor, text, image_inputs, system_prompt)

    def exit_states(self, pixel_values: Tensor, layers: Collection[int]) -> dict[int, Tensor]:
        """Encoder states (images, patches, width) at each exit layer, before the projector."""
        hidden = self.tower.pre_layrnorm(self.tower.embeddings(pixel_values))
        states = {0: hidden}
        for number, block in enumerate(self.tower.encoder.layers[: max(layers)], 1):
            states[number] = hidden = block(hidden, attention_mask=None)
        return {layer: states[layer][:, self.skipped :] for layer in layers}

    def features(self, images: Sequence[dict[str, Tensor]], layers: Collection[int]) -> dict[int, Tensor]:
        found = {layer: [] for layer in layers}
        for pixels, real in same_shape(torch.cat([image["pixel_values"] for image in images])):
            for layer, states in self.exit_states(pixels.to(self.model.device), layers).items():
                found[layer].append(self.projector(states)[:real])
        return {layer: torch.cat(parts) for layer, parts in found.items()}

    def generation_inputs(
        self, input_ids: Tensor, attention_mask: Tensor, features: Sequence[Tensor] | None
    ) -> dict[str, Tensor]:
        embeddings = self.model.get_input_embeddings()(input_ids)
        if features is not None:
            embeddings = placed(embeddings, input_ids == self.model.config.image_token_id, features)
        return {"inputs_embeds": embeddings, "attention_mask": attention_mask}
