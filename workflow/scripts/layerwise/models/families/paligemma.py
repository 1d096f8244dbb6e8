"""PaliGemma: exit layer l is `post_layernorm(hidden_states[l])` of SigLIP, then the linear projector.

There is no chat template: a prompt is the image, the beginning of sequence, the text and a newline, which all attend to
each other in both directions.
"""

from collections.abc import Collection, Sequence

import torch
from torch import Tensor
from transformers import ProcessorMixin
from transformers.modeling_outputs import BaseModelOutputWithPooling

from layerwise.models.families import Shared, same_shape

VARIANTS = ()
SYSTEM_PROMPT = False


class Family(Shared):
    first_position = 1

    def __init__(self, model: torch.nn.Module, processor: ProcessorMixin, variant: str | None = None) -> None:
        assert variant in (None, *VARIANTS), f"the configuration lets no variant {variant!r} pass"
        self.model, self.processor = model, processor
        self.tower, self.projector = model.model.vision_tower, model.model.multi_modal_projector
        self.blocks = self.default_layer = len(self.tower.encoder.layers)

    def encode(self, text: str, image_inputs: dict[str, Tensor], system_prompt: str | None = None) -> list[int]:
        if system_prompt is not None:
            raise ValueError("PaliGemma has no system prompt; remove `system_prompt`")
        if self.processor.image_token in text:
            raise ValueError(f"the prompt's text contains the model's image placeholder {self.processor.image_token}")
        image = self.processor.replace_image_token(image_inputs, 0) if image_inputs else ""
        words = self.processor.tokenizer
        return words(f"{image}{words.bos_token}{text}\n", add_special_tokens=False).input_ids

    def features(self, images: Sequence[dict[str, Tensor]], layers: Collection[int]) -> dict[int, Tensor]:
        found: dict[int, list[Tensor]] = {layer: [] for layer in layers}
        for pixels, real in same_shape(torch.cat([image["pixel_values"] for image in images])):
            hidden = self.tower.embeddings(pixels.to(self.model.device, self.model.dtype))
            states = {0: hidden}
            for number, block in enumerate(self.tower.encoder.layers[: max(layers)], 1):
                states[number] = hidden = block(hidden, attention_mask=None)
            for layer in layers:
                found[layer].append(self.projector(self.tower.post_layernorm(states[layer]))[:real])
        return {layer: torch.cat(parts) for layer, parts in found.items()}

    def generation_inputs(
        self, input_ids: Tensor, attention_mask: Tensor, features: Sequence[Tensor] | None
    ) -> dict[str, Tensor | dict]:
        # Token type 0 is the prefix, which attends in both directions.
        prefix = torch.zeros_like(input_ids)
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": prefix}
        if features is not None:
            # This model's `generate` takes no embeddings, but it takes an encoder's output.
            encoded = BaseModelOutputWithPooling(pooler_output=torch.stack(list(features)))
            inputs["mm_encoder_outputs"] = {"image": encoded}
        return inputs
