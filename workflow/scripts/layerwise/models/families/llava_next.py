"""LLaVA-NeXT: every tile of an image exits at layer l as in LLaVA-1.5, then the tiles are packed as usual.

An image is encoded whole and in up to four tiles. After the projector the tiles are put side by side, the padding of
the image is cut off, and a learned newline is added after each row (the model's own `pack_image_features`).
"""

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from layerwise.models.families import llava

VARIANTS = ()
SYSTEM_PROMPT = True


class Family(llava.Family):
    def features(self, images: Sequence[dict[str, Tensor]], layers: Collection[int]) -> dict[int, list[Tensor]]:
        tiles = [image["pixel_values"][0] for image in images]
        sizes = torch.cat([image["image_sizes"] for image in images])
        by_tile = super().features([{"pixel_values": tile} for tile in tiles], layers)
        return {
            layer: self.packed(features.split([len(tile) for tile in tiles]), sizes)
            for layer, features in by_tile.items()
        }

    def packed(self, features: Sequence[Tensor], sizes: Tensor) -> list[Tensor]:
        """The features of each image (tokens, width), from those of its tiles (tiles, patches, width)."""
        return self.model.pack_image_features(
            features,
            sizes,
            vision_feature_select_strategy=self.model.config.vision_feature_select_strategy,
            image_newline=self.model.model.image_newline,
        )[0]
