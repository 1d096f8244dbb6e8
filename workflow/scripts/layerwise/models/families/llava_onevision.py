"""LLaVA-OneVision: exit layer l is `hidden_states[l]` of SigLIP, through the projector; then the tiles are packed.

No layer norm follows the last block, and no token is dropped: SigLIP has no class token. An image is encoded whole and
in up to 36 tiles. Beyond `vision_aspect_ratio` (`anyres_max_9`), what the tiles show is scaled down to the patches of
nine (the model's own `pack_image_features`). The default layer is the last; in the published checkpoints the encoder
ends there, one block before SigLIP's end.
"""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor
from transformers import LlavaOnevisionProcessor, ProcessorMixin

from layerwise.models.families import llava_next
from layerwise.models.processors import load_without_video

VARIANTS = ()
SYSTEM_PROMPT = True


def load_processor(folder: Path) -> ProcessorMixin:
    return load_without_video(folder, LlavaOnevisionProcessor)


class Family(llava_next.Family):
    encoder = "siglip_vision_model"

    def embed(self, pixel_values: Tensor) -> Tensor:
        return self.tower.embeddings(pixel_values)

    def packed(self, features: Sequence[Tensor], sizes: Tensor) -> list[Tensor]:
        newline, most = self.model.model.image_newline, self.model.config.vision_aspect_ratio
        return self.model.model.pack_image_features(features, sizes, image_newline=newline, vision_aspect_ratio=most)[0]
