"""Idefics3 and SmolVLM: exit layer l is `post_layernorm(hidden_states[l])` of SigLIP, then the connector.

The connector was trained on the output of the layer norm after the last block, so that norm is applied at every exit.
An image is encoded whole and, unless it is small, in tiles; the features of all of them are concatenated.
"""

from collections.abc import Collection, Sequence

import torch
from PIL import Image
from torch import Tensor
from transformers import ProcessorMixin

from layerwise.models.families import Shared, same_shape, upright_rgb

VARIANTS = ()
SYSTEM_PROMPT = True


class Family(Shared):
    def __init__(self, model: torch.nn.Module, processor: ProcessorMixin, variant: str | None = None) -> None:
        assert variant in (None, *VARIANTS), f"the configuration lets no variant {variant!r} pass"
        self.model, self.processor = model, processor
        self.vision, self.connector = model.model.vision_model, model.model.connector
        self.blocks = self.default_layer = len(self.vision.encoder.layers)

    def preprocess(self, image: Image.Image | None) -> dict[str, Tensor]:
        if image is None:
            return {}
        process = self.processor.image_processor
        inputs = process(upright_rgb(image), return_row_col_info=True, return_tensors="pt")
        return {name: torch.as_tensor(inputs[name]) for name in ("pixel_values", "rows", "cols")}

    def features(self, images: Sequence[dict[str, Tensor]], layers: Collection[int]) -> dict[int, list[Tensor]]:
        tiles = [image["pixel_values"][0] for image in images]
        found: dict[int, list[Tensor]] = {layer: [] for layer in layers}
        for pixels, real in same_shape(torch.cat(tiles)):
            for layer, states in self._exit_states(pixels.to(self.model.device, self.model.dtype), layers).items():
                found[layer].append(self.connector(self.vision.post_layernorm(states))[:real])
        split = {layer: torch.cat(parts).split([len(tile) for tile in tiles]) for layer, parts in found.items()}
        return {layer: [features.flatten(0, 1) for features in of_images] for layer, of_images in split.items()}

    def _exit_states(self, pixels: Tensor, layers: Collection[int]) -> dict[int, Tensor]:
        """Encoder states (tiles, patches, width) at each exit layer. Tiles are full: no patch is padding."""
        grid = (len(pixels), *(side // self.vision.patch_size for side in pixels.shape[2:]))
        everything = torch.ones(grid, dtype=torch.bool, device=pixels.device)
        hidden = self.vision.embeddings(pixels, patch_attention_mask=everything)
        states = {0: hidden}
        for number, block in enumerate(self.vision.encoder.layers[: max(layers)], 1):
            states[number] = hidden = block(hidden, None)
        return {layer: states[layer] for layer in layers}
