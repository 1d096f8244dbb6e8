"""A small LLaVA of genuine classes: CLIP vision encoder, two-layer projector, Llama.

B is the batch, P the 25 patches.
"""

from collections.abc import Collection
from typing import TypeAlias

import torch
from torch import Tensor, nn
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    GenerationConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.llama.modeling_llama import LlamaDecoderLayer, rotate_half

from layerwise.models.families.llava import Family
from layerwise.world import language, world
from layerwise.world.tokens import LONGEST, chat_template, tokenizer

FAMILIES = ("llava",)
Vision: TypeAlias = CLIPVisionModel
Model: TypeAlias = LlavaForConditionalGeneration
SPECIAL = ("<pad>", "<bos>", "<eos>", "<image>", "<unk>")
PAD, BOS, EOS, IMAGE, _ = range(len(SPECIAL))


def new_vision(vision: dict) -> Vision:
    """An untrained encoder. The blocks to be frozen start without attention, so that they do not mix the cells."""
    encoder = Vision(
        CLIPVisionConfig(
            hidden_size=vision["width"],
            intermediate_size=vision["mlp"],
            num_hidden_layers=vision["blocks"],
            num_attention_heads=vision["heads"],
            image_size=world.SIZE,
            patch_size=world.CELL,
            projection_dim=vision["width"],
        )
    )
    for block in encoder.encoder.layers[: vision["frozen_blocks"]]:
        nn.init.zeros_(block.self_attn.out_proj.weight)
        nn.init.zeros_(block.self_attn.out_proj.bias)
    return encoder


def new_model(organism: dict, default_layer: int, encoder: Vision) -> Model:
    """A LLaVA with this vision encoder, whose projector and language model are untrained."""
    text = organism["language"]
    config = LlavaConfig(
        vision_config=encoder.config,
        text_config=LlamaConfig(
            vocab_size=len(SPECIAL) + len(language.vocabulary()),
            hidden_size=text["width"],
            intermediate_size=text["mlp"],
            num_hidden_layers=text["blocks"],
            num_attention_heads=text["heads"],
            num_key_value_heads=text["heads"],
            max_position_embeddings=LONGEST,
            initializer_range=0.05,
            pad_token_id=PAD,
            bos_token_id=BOS,
            eos_token_id=EOS,
        ),
        image_token_id=IMAGE,
        image_seq_length=world.GRID**2,
        vision_feature_layer=default_layer,
        vision_feature_select_strategy="default",
    )
    model = Model(config)
    model.model.vision_tower = encoder
    model.generation_config = GenerationConfig(pad_token_id=PAD, bos_token_id=BOS, eos_token_id=EOS, do_sample=False)
    return model


def new_processor() -> LlavaProcessor:
    """The processor for the world's pixels and words: nothing is resized, and each word is one token."""
    images = CLIPImageProcessorPil(
        do_resize=False,
        do_center_crop=False,
        image_mean=[world.IMAGE_MEAN] * 3,
        image_std=[world.IMAGE_STD] * 3,
        size={"height": world.SIZE, "width": world.SIZE},
        crop_size={"height": world.SIZE, "width": world.SIZE},
    )
    return LlavaProcessor(
        images,
        tokenizer([*SPECIAL, *language.vocabulary()], "<image>"),
        patch_size=world.CELL,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=chat_template("<image>"),
    )


def vision_states(encoder: Vision, pixel_values: Tensor, layer: int, frozen: int = 0) -> Tensor:
    """States of the patches (B, P, width) after `layer` blocks; no gradient reaches the first `frozen` ones."""
    blocks = encoder.encoder.layers
    with torch.set_grad_enabled(frozen == 0):
        hidden = encoder.pre_layrnorm(encoder.embeddings(pixel_values))
        for block in blocks[:frozen]:
            hidden = block(hidden, attention_mask=None)
    for block in blocks[frozen:layer]:
        hidden = block(hidden, attention_mask=None)
    return hidden[:, 1:]


def vision_parameters(encoder: Vision, layer: int, frozen: int = 0) -> list[nn.Parameter]:
    """The encoder's parameters to train: all before exit layer `layer`, or only its blocks from `frozen` on."""
    blocks = encoder.encoder.layers[frozen:layer]
    below = [] if frozen else [encoder.embeddings, encoder.pre_layrnorm]
    return [parameter for module in (*below, *blocks) for parameter in module.parameters()]


@torch.no_grad()
def exit_states(model: Model, pixel_values: Tensor, layers: Collection[int]) -> dict[int, Tensor]:
    """States of the patches (B, P, width) at each exit layer, before the projector."""
    return Family(model, None).exit_states(pixel_values, layers)


language_states = exit_states  # the language side's input from an image, `states` below


def language_parameters(model: Model) -> list[nn.Parameter]:
    """The language side's parameters to train: projector, language model, output head."""
    parts = (model.model.multi_modal_projector, model.model.language_model, model.lm_head)
    return [parameter for part in parts for parameter in part.parameters()]


def answer_states(model: Model, states: Tensor, question: Tensor, answer: Tensor) -> Tensor:
    """Last hidden states (B, A, width) from which an answer's tokens (B, A) follow, after a question's (B, Q) and exit
    states (B, P, width).

    Equal to the model's own forward, at three quarters of the cost: embeddings are concatenated, because the backward
    of transformers' `masked_scatter` would cost most of a step, and the last block computes only the answer's places.
    """
    llama, hidden = model.model.language_model, _embedded(model, states, torch.cat([question, answer[:, :-1]], 1))
    rotation = llama.rotary_emb(hidden, torch.arange(hidden.shape[1])[None])
    for block in llama.layers[:-1]:
        hidden = block(hidden, position_embeddings=rotation)
    return llama.norm(_at_the_end(llama.layers[-1], hidden, rotation, answer.shape[1]))


def generation_inputs(model: Model, states: Tensor, question: Tensor) -> dict[str, Tensor]:
    """The arguments of `model.generate` for a question's tokens (B, Q), after exit states (B, P, width)."""
    hidden = _embedded(model, states, question)
    return {"inputs_embeds": hidden, "attention_mask": torch.ones(hidden.shape[:2], dtype=torch.long)}


def _embedded(model: Model, states: Tensor, tokens: Tensor) -> Tensor:
    """The language model's input (B, 1 + P + T, width): its start, an image, tokens (B, T)."""
    embed, start = model.get_input_embeddings(), tokens.new_full((len(tokens), 1), BOS)
    return torch.cat([embed(start), model.model.multi_modal_projector(states), embed(tokens)], 1)


def _at_the_end(block: LlamaDecoderLayer, hidden: Tensor, rotation: tuple[Tensor, Tensor], count: int) -> Tensor:
    """A block's output at the last `count` places (B, count, width) of its input (B, T, width)."""
    attention, normed = block.self_attn, block.input_layernorm(hidden)

    def heads(projection: nn.Linear, inputs: Tensor) -> Tensor:
        return projection(inputs).unflatten(-1, (-1, attention.head_dim)).transpose(1, 2)

    def rotated(vectors: Tensor) -> Tensor:
        cos, sin = (part[:, -vectors.shape[2] :] for part in rotation)
        return vectors * cos + rotate_half(vectors) * sin

    mixed = nn.functional.scaled_dot_product_attention(
        rotated(heads(attention.q_proj, normed[:, -count:])),
        rotated(heads(attention.k_proj, normed)),
        heads(attention.v_proj, normed),
        attn_mask=torch.ones(hidden.shape[1], hidden.shape[1], dtype=torch.bool).tril()[-count:],
    )
    hidden = hidden[:, -count:] + attention.o_proj(mixed.transpose(1, 2).flatten(2))
    return hidden + block.mlp(block.post_attention_layernorm(hidden))
