"""LLaVA with a DINOv2 encoder: exit layer l is `hidden_states[l]`, the class token dropped, through the projector.

The encoder's final layer norm is applied at no exit, not even the last: transformers' own LLaVA reads
`hidden_states[vision_feature_layer]`, which lies before it. Layer 0 is the embeddings, positions included.
"""

from torch import Tensor, nn

from layerwise.models.families import llava

VARIANTS = ()
SYSTEM_PROMPT = True


class Family(llava.Family):
    encoder = "dinov2"

    def layers(self) -> nn.ModuleList:
        return self.tower.encoder.layer

    def embed(self, pixel_values: Tensor) -> Tensor:
        return self.tower.embeddings(pixel_values)

    def apply(self, block: nn.Module, hidden: Tensor) -> Tensor:
        return block(hidden)
