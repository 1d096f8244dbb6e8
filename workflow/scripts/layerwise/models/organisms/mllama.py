"""A small Llama 3.2 Vision of genuine classes: local blocks with taps, gated global ones, cross-attention to both.

The local blocks are the ones exited from. After the exit, the global encoder, the projector and the language model
learn together; the vision encoder's own training leaves them alone. Gates start open, while transformers starts them
closed. B is the batch, P the 25 patches, L the 32 tokens of a tile: patches, class, padding.
"""

from collections.abc import Collection
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from transformers import (
    GenerationConfig,
    MllamaConfig,
    MllamaForConditionalGeneration,
    MllamaProcessor,
    MllamaTextConfig,
    MllamaVisionConfig,
    MllamaVisionModel,
)
from transformers.models.mllama.image_processing_pil_mllama import MllamaImageProcessorPil

from layerwise.models.families import mllama as exits
from layerwise.world import language, world
from layerwise.world.tokens import LONGEST, chat_template, tokenizer

Vision: TypeAlias = MllamaVisionModel
Model: TypeAlias = MllamaForConditionalGeneration
FAMILIES = ("mllama",)
SPECIAL = ("<pad>", "<bos>", "<eos>", "<unk>")
PAD, BOS, EOS, _ = range(len(SPECIAL))
IMAGE = "<|image|>"  # its token comes after the vocabulary, in rows that only the embedding has
TAPS = (1, 3, 5)
GLOBAL_BLOCKS = 2
OPEN = 1.0  # a gate's tanh is then 0.76
# As large as the patches' values: cross-attention has no other way to know where a cell is.
POSITION_SCALE = 0.3


def new_vision(vision: dict) -> Vision:
    """An untrained encoder. The blocks to be frozen start without attention, so that they do not mix the cells."""
    taps = [tap for tap in TAPS if tap < vision["blocks"]]
    encoder = Vision(
        MllamaVisionConfig(
            hidden_size=vision["width"],
            intermediate_size=vision["mlp"],
            num_hidden_layers=vision["blocks"],
            num_global_layers=GLOBAL_BLOCKS,
            attention_heads=vision["heads"],
            image_size=world.SIZE,
            patch_size=world.CELL,
            max_num_tiles=1,
            supported_aspect_ratios=[[1, 1]],
            intermediate_layers_indices=taps,
            vision_output_dim=vision["width"] * (1 + len(taps)),
        )
    )
    nn.init.normal_(encoder.gated_positional_embedding.embedding, std=POSITION_SCALE)
    for block in encoder.transformer.layers[: vision["frozen_blocks"]]:
        nn.init.zeros_(block.self_attn.o_proj.weight)
    for block in encoder.global_transformer.layers:
        nn.init.constant_(block.gate_attn, OPEN)
        nn.init.constant_(block.gate_ffn, OPEN)
    return encoder


def new_model(organism: dict, default_layer: int, encoder: Vision) -> Model:
    """A Llama 3.2 Vision with this vision encoder, whose projector and language model are untrained."""
    text, words = organism["language"], len(SPECIAL) + len(language.vocabulary())
    config = MllamaConfig(
        vision_config=encoder.config,
        text_config=MllamaTextConfig(
            vocab_size=words,
            hidden_size=text["width"],
            intermediate_size=text["mlp"],
            num_hidden_layers=text["blocks"],
            num_attention_heads=text["heads"],
            num_key_value_heads=text["heads"],
            cross_attention_layers=list(range(1, text["blocks"], 2)),
            max_position_embeddings=LONGEST,
            initializer_range=0.05,
            pad_token_id=PAD,
            bos_token_id=BOS,
            eos_token_id=EOS,
        ),
        image_token_index=words,
    )
    model = Model(config)
    model.model.vision_model = encoder
    for number in config.text_config.cross_attention_layers:
        block = model.model.language_model.layers[number]
        nn.init.constant_(block.cross_attn_attn_gate, OPEN)
        nn.init.constant_(block.cross_attn_mlp_gate, OPEN)
    model.generation_config = GenerationConfig(pad_token_id=PAD, bos_token_id=BOS, eos_token_id=EOS, do_sample=False)
    return model


def new_processor() -> MllamaProcessor:
    """The processor for the world's pixels and words: one tile, which needs no resizing, and one token per word."""
    images = MllamaImageProcessorPil(
        size={"height": world.SIZE, "width": world.SIZE},
        max_image_tiles=1,
        image_mean=[world.IMAGE_MEAN] * 3,
        image_std=[world.IMAGE_STD] * 3,
    )
    words = tokenizer([*SPECIAL, *language.vocabulary(), IMAGE], IMAGE)
    return MllamaProcessor(images, words, chat_template=chat_template(IMAGE))


def vision_states(encoder: Vision, pixel_values: Tensor, layer: int, frozen: int = 0) -> Tensor:
    """States of the patches (B, P, width) after `layer` blocks; no gradient reaches the first `frozen` ones."""
    blocks, (ratios, bias) = encoder.transformer.layers, _one_tile(encoder, len(pixel_values))
    with torch.set_grad_enabled(frozen == 0):
        hidden = exits.embed(encoder, pixel_values[:, None], ratios)
        for block in blocks[:frozen]:
            hidden = block(hidden, attention_mask=bias)
    for block in blocks[frozen:layer]:
        hidden = block(hidden, attention_mask=bias)
    return _patches(hidden)


def vision_parameters(encoder: Vision, layer: int, frozen: int = 0) -> list[nn.Parameter]:
    """The encoder's parameters to train: all before exit layer `layer`, or only its blocks from `frozen` on."""
    modules = [*encoder.transformer.layers[frozen:layer]]
    if not frozen:
        modules += [encoder.patch_embedding, encoder.gated_positional_embedding, encoder.layernorm_pre]
    below = [] if frozen else [encoder.class_embedding]
    return below + [parameter for module in modules for parameter in module.parameters()]


@torch.no_grad()
def exit_states(model: Model, pixel_values: Tensor, layers: Collection[int]) -> dict[int, Tensor]:
    """States of the patches (B, P, width) at each exit layer, before the global encoder."""
    states = _states(model.model.vision_model, pixel_values, max(layers))
    return {layer: _patches(states[layer]) for layer in layers}


@torch.no_grad()
def language_states(model: Model, pixel_values: Tensor, layers: Collection[int]) -> dict[int, Tensor]:
    """The local encoder's output (B, L, width of all) at each exit layer: the state there, then the taps."""
    states = _states(model.model.vision_model, pixel_values, max(layers))
    taps = model.model.vision_model.intermediate_layers_indices
    return {layer: torch.cat([states[layer], *(states[min(tap, layer)] for tap in taps)], -1) for layer in layers}


def language_parameters(model: Model) -> list[nn.Parameter]:
    """The parameters to train after the exit: global encoder, projector, language model, output head."""
    vision = model.model.vision_model
    encoder = (vision.layernorm_post, vision.global_transformer)
    parts = (*encoder, model.model.multi_modal_projector, model.model.language_model, model.lm_head)
    return [parameter for part in parts for parameter in part.parameters()]


def answer_states(model: Model, states: Tensor, question: Tensor, answer: Tensor) -> Tensor:
    """Last hidden states (B, A, width) from which an answer's tokens (B, A) follow, after a question's (B, Q) and its
    `language_states`."""
    tokens = _started(model, torch.cat([question, answer[:, :-1]], 1))
    tiles = torch.ones(*tokens.shape, 1, 1, dtype=torch.long)
    tiles[:, 0] = 0  # tokens before the image do not see it
    hidden = model.model(
        input_ids=tokens,
        attention_mask=torch.ones_like(tokens),
        cross_attention_states=_seen(model, states),
        cross_attention_mask=tiles,
        use_cache=False,
    ).last_hidden_state
    return hidden[:, -answer.shape[1] :]


def generation_inputs(model: Model, states: Tensor, question: Tensor) -> dict[str, Any]:
    """The arguments of `model.generate` for a question's tokens (B, Q), after `language_states`."""
    tokens = _started(model, question)
    seen = [exits.Seen(one, 1, 1) for one in _seen(model, states)]
    return exits.Family(model, new_processor()).generation_inputs(tokens, torch.ones_like(tokens), seen)


def _started(model: Model, tokens: Tensor) -> Tensor:
    """Tokens (B, T) behind the start and the image: (B, 2 + T)."""
    start = tokens.new_tensor([BOS, model.config.image_token_index]).expand(len(tokens), -1)
    return torch.cat([start, tokens], 1)


def _seen(model: Model, states: Tensor) -> Tensor:
    """What the language model sees of images: their `language_states` through the global encoder and the projector."""
    vision = model.model.vision_model
    exit, *taps = states.split(vision.hidden_size, -1)
    seen = exits.encode_globally(vision, exit, taps, *_one_tile(vision, len(states)))
    return model.model.multi_modal_projector(seen).flatten(1, 2)


def _states(encoder: Vision, pixel_values: Tensor, last: int) -> list[Tensor]:
    """States of all tokens (B, L, width) after 0 to `last` blocks."""
    ratios, bias = _one_tile(encoder, len(pixel_values))
    states = [exits.embed(encoder, pixel_values[:, None], ratios)]
    for block in encoder.transformer.layers[:last]:
        states.append(block(states[-1], attention_mask=bias))
    return states


def _one_tile(encoder: Vision, count: int) -> tuple[Tensor, Tensor]:
    """For images of one tile: the id of their aspect ratio, and the blocks' attention mask."""
    return torch.ones(count, dtype=torch.long), exits.attention_bias(encoder, torch.ones(count, 1))


def _patches(states: Tensor) -> Tensor:
    """The patches among the tokens of a tile, (B, P, width)."""
    return states[:, 1 : 1 + world.GRID**2]
