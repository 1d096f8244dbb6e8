"""Llama 3.2 Vision: an encoder of local blocks with taps, then a global encoder, and cross-attention to both.

The local encoder exits at layer l: blocks after l become the identity, and the global encoder stays. Five taps read
e_i, the state after i blocks. Variants: with `clamp` (the default), taps above l read e_l; with `keep`, every tap reads
its own e_i, and only the stream into the global encoder exits.

Taps are read *before* block i, as in Meta's reference (llama-models, `ImageTransformer.forward`) and transformers up to
4.54; since 4.56, transformers reads them after it, one block late. Hence our own vision forward.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional
from transformers import DynamicCache, ProcessorMixin

from layerwise.models.families import TILES, Shared, chat_tokens, same_shape, upright_rgb

VARIANTS = ("clamp", "keep")
SYSTEM_PROMPT = True
INPUTS = ("pixel_values", "aspect_ratio_ids", "aspect_ratio_mask")
# Without this, the chat template writes the day of the run into prompts without an image.
DATE = "26 Jul 2024"


class Seen(NamedTuple):
    """What the language model sees of an image: (tokens, width) states of all tiles, and how many tiles are real."""

    states: Tensor
    tiles: int
    of: int

    @property
    def tokens(self) -> Tensor:
        """The states of the real tiles."""
        return self.states.unflatten(0, (self.of, -1))[: self.tiles].flatten(0, 1)

    def with_tokens(self, tokens: Tensor) -> "Seen":
        """The same with other states of the real tiles."""
        states = self.states.unflatten(0, (self.of, -1)).clone()
        states[: self.tiles] = tokens.unflatten(0, (self.tiles, -1))
        return self._replace(states=states.flatten(0, 1))

    @property
    def nbytes(self) -> int:
        return self.states.nbytes


class Family(Shared):
    def __init__(self, model: torch.nn.Module, processor: ProcessorMixin, variant: str | None = None) -> None:
        assert variant in (None, *VARIANTS), f"the configuration lets no variant {variant!r} pass"
        self.model, self.processor, self.keep = model, processor, variant == "keep"
        self.vision, self.projector = model.model.vision_model, model.model.multi_modal_projector
        self.taps = self.vision.intermediate_layers_indices
        self.blocks = self.default_layer = len(self.vision.transformer.layers)

    def preprocess(self, image: Image.Image | None) -> dict[str, Tensor]:
        if image is None:
            return {}
        inputs = self.processor.image_processor(upright_rgb(image), return_tensors="pt")
        return {name: inputs[name] for name in INPUTS}

    def encode(self, text: str, image_inputs: dict[str, Tensor], system_prompt: str | None = None) -> list[int]:
        return chat_tokens(self.processor, text, image_inputs, system_prompt, date_string=DATE)

    def features(self, images: Sequence[dict[str, Tensor]], layers: Collection[int]) -> dict[int, list[Seen]]:
        inputs = [torch.cat([image[name][:, 0] for image in images]) for name in INPUTS]
        found: dict[int, list[Seen]] = {layer: [] for layer in layers}
        batches = [same_shape(values, TILES // inputs[0].shape[1]) for values in inputs]
        for (pixels, real), (ratios, _), (tiles, _) in zip(*batches, strict=True):
            bias = attention_bias(self.vision, tiles)
            hidden = embed(self.vision, pixels, ratios)
            states = [hidden]
            for block in self.vision.transformer.layers[: max([*layers, *(self.taps if self.keep else [])])]:
                states.append(block(states[-1], attention_mask=bias))
            for layer in layers:
                taps = [states[tap if self.keep else min(tap, layer)] for tap in self.taps]
                seen = self.projector(encode_globally(self.vision, states[layer], taps, ratios, bias)).flatten(1, 2)
                pairs = zip(seen[:real], tiles.sum(1).tolist(), strict=False)
                found[layer].extend(Seen(*pair, self.vision.max_num_tiles) for pair in pairs)
        return found

    def generation_inputs(
        self, input_ids: Tensor, attention_mask: Tensor, features: Sequence[Seen] | None
    ) -> dict[str, Tensor | DynamicCache]:
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        if features is None:
            return inputs
        # `generate` would append states passed as such at every token, so they are put into the cache once instead.
        states = torch.stack([seen.states for seen in features])
        cache = DynamicCache(config=self.model.config.text_config)
        for number in self.model.config.text_config.cross_attention_layers:
            attend = self.model.model.language_model.layers[number].cross_attn
            heads = (len(states), -1, attend.num_key_value_heads, attend.head_dim)
            keys, values = (project(states).view(heads).transpose(1, 2) for project in (attend.k_proj, attend.v_proj))
            cache.update(attend.k_norm(keys), values, number)
        # Tokens from the image's placeholder on see its real tiles: (rows, length, 1 image, tiles).
        after = (input_ids == self.processor.image_token_id).cumsum(1) > 0
        tiles = torch.tensor([seen.tiles for seen in features], device=input_ids.device)
        real = torch.arange(self.vision.max_num_tiles, device=input_ids.device) < tiles[:, None]
        mask = (after[:, :, None] & real[:, None]).long()[:, :, None]
        return {**inputs, "cross_attention_mask": mask, "past_key_values": cache}


def embed(vision: torch.nn.Module, pixels: Tensor, ratios: Tensor) -> Tensor:
    """The states before the first block, (images, tiles * length, width).

    Length is the number of patches plus the class token, rounded up to a multiple of 8.
    """
    many = pixels.shape[:2]
    ratios = ratios.to(vision.device)[:, None]
    patches = vision.patch_embedding(pixels.flatten(0, 1).to(vision.device, vision.dtype))
    hidden = patches.flatten(2).transpose(1, 2).unflatten(0, many)
    hidden = vision.pre_tile_positional_embedding(hidden, ratios)
    hidden = vision.apply_class_embedding(hidden.flatten(0, 1)).unflatten(0, many)
    hidden = vision.layernorm_pre(vision.gated_positional_embedding(hidden, ratios))
    return functional.pad(hidden, (0, 0, 0, -hidden.shape[2] % 8)).flatten(1, 2)


def attention_bias(vision: torch.nn.Module, tiles: Tensor) -> Tensor:
    """The blocks' additive attention mask; `tiles` (images, tiles) says which of an image's tiles are real.

    As in the reference, only padding cannot attend to padding; real tokens may attend to everything.
    """
    length = -(-vision.num_patches // 8) * 8
    padding = torch.ones(*tiles.shape, length, device=vision.device, dtype=torch.bool)
    padding[:, :, : vision.num_patches] = tiles.to(vision.device)[:, :, None] == 0
    padding = padding.flatten(1)
    return ((padding[:, :, None] & padding[:, None]).to(vision.dtype) * torch.finfo(vision.dtype).min)[:, None]


def encode_globally(
    vision: torch.nn.Module, state: Tensor, taps: Sequence[Tensor], ratios: Tensor, bias: Tensor
) -> Tensor:
    """The projector's input (images, tiles, patches, width of all), from an exit state and its taps."""
    shape = (vision.max_num_tiles, -1)
    hidden = vision.layernorm_post(state).unflatten(1, shape)
    hidden = vision.post_tile_positional_embedding(hidden, ratios.to(hidden.device)[:, None]).flatten(1, 2)
    for block in vision.global_transformer.layers:
        hidden = block(hidden, attention_mask=bias)
    hidden = torch.cat([hidden, torch.stack(taps, -1).flatten(2)], -1)
    return hidden.unflatten(1, shape)[:, :, : vision.num_patches]
