"""Model families, one file each: how the vision encoder exits at layer l, and how features reach the language model.

`models/families/<family>.py` holds a class `Family` that implements the protocol below. A new family is that file and a
YAML in `config/models/`; there is no list to extend. At its top the file declares, as plain values:

- `VARIANTS`: the variants of the exit that a model's `variant` may name, besides none.
- `SYSTEM_PROMPT`: whether its prompts can have a system message.

The model is of the class that transformers' `AutoModelForImageTextToText` finds, and the processor that of
`AutoProcessor` with the PIL backend. A family whose processor cannot be loaded so, since a part of it needs torchvision
for instance, also holds `load_processor(folder)`: see `models/processors.py`. Whoever writes a new family starts from
`Shared`, and from `same_shape` and `placed`.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol

import torch
from PIL import Image
from torch import Tensor
from transformers import PreTrainedConfig, ProcessorMixin

from layerwise.pictures import upright_rgb as upright_rgb

# Tiles per batch of the vision encoder. Part of the result: bf16 features depend on the shape of the batch.
TILES = 16


class Family(Protocol):
    """A vision-language model whose vision encoder can be left after any block.

    Exit layer l is the number of transformer blocks applied: 0 (the embeddings) to `blocks`. Features do not depend on
    which images or layers are requested together. Raises ValueError for a model that does not have the family's shape.
    """

    model: torch.nn.Module
    processor: ProcessorMixin
    blocks: int
    default_layer: int
    first_position: int  # of a prompt's first token

    def __init__(self, model: torch.nn.Module, processor: ProcessorMixin, variant: str | None = None) -> None: ...

    def preprocess(self, image: Image.Image | None) -> dict[str, Tensor]:
        """The vision encoder's inputs for one image, on the CPU; empty without an image."""

    def encode(self, text: str, image_inputs: dict[str, Tensor], system_prompt: str | None = None) -> list[int]:
        """Token ids of one user turn, placeholders of the image (preprocessed, or empty) included."""

    def features(self, images: Sequence[dict[str, Tensor]], layers: Collection[int]) -> Mapping[int, Sequence[Tensor]]:
        """Projected features of preprocessed images at each exit layer: one (tokens, width) tensor per image.

        A family whose language model needs more has its own type for it, with `nbytes`, that tensor as `tokens`, and
        `with_tokens(tensor)`, the same with other ones. Each block runs once, however many layers there are, and no
        block runs beyond the last layer.
        """

    def generation_inputs(
        self, input_ids: Tensor, attention_mask: Tensor, features: Sequence[Tensor] | None
    ) -> dict[str, Tensor]:
        """The model's arguments to read a (rows, length) batch with, from the features of each row's image.

        They may hold a cache with states of the image. They hold `position_ids` only where these do not count up from
        `first_position`.
        """


class Shared:
    """What most families have in common. Each sets the attributes, and overrides what it does differently."""

    model: torch.nn.Module
    processor: ProcessorMixin
    first_position = 0

    def preprocess(self, image: Image.Image | None) -> dict[str, Tensor]:
        if image is None:
            return {}
        return dict(self.processor.image_processor(upright_rgb(image), return_tensors="pt"))

    def encode(self, text: str, image_inputs: dict[str, Tensor], system_prompt: str | None = None) -> list[int]:
        return chat_tokens(self.processor, text, image_inputs, system_prompt)

    def generation_inputs(
        self, input_ids: Tensor, attention_mask: Tensor, features: Sequence[Tensor] | None
    ) -> dict[str, Tensor]:
        embeddings = self.model.get_input_embeddings()(input_ids)
        if features is not None:
            embeddings = placed(embeddings, input_ids == self.model.config.image_token_id, features)
        return {"inputs_embeds": embeddings, "attention_mask": attention_mask}


def chosen_layer(config: PreTrainedConfig, blocks: int) -> int:
    """The exit layer that a model's configuration says it was trained with, 0 to `blocks`."""
    layer = config.vision_feature_layer
    if not isinstance(layer, int) or not -blocks - 1 <= layer <= blocks:
        raise ValueError(
            f"key 'vision_feature_layer' of config.json is {layer}, but must name one exit of an encoder of {blocks} "
            f"blocks, {-blocks - 1} to {blocks}"
        )
    return range(blocks + 1)[layer]


class TemplateError(ValueError):
    """A chat template that cannot be rendered, or does not say what it is given."""


def chat(processor: ProcessorMixin, text: str, image: bool, system_prompt: str | None, **variables: str) -> str:
    """One user turn as the processor's chat template renders it, with a placeholder if there is an `image`.

    `variables` are passed to the template. Raises TemplateError if it lacks the text, the image or the system prompt.
    """
    if processor.chat_template is None:
        raise TemplateError("there is no chat template")
    turns = [{"role": "user", "content": [{"type": "image"}] * image + [{"type": "text", "text": text}]}]
    if system_prompt is not None:
        turns.insert(0, {"role": "system", "content": [{"type": "text", "text": system_prompt}]})
    try:
        rendered = processor.apply_chat_template(turns, add_generation_prompt=True, **variables)
    except Exception as error:
        raise TemplateError(f"the chat template cannot be rendered: {type(error).__name__}: {error}") from error
    for what, said in (("text", text), ("system prompt", system_prompt or "")):
        if said.strip() not in rendered:
            raise TemplateError(f"the chat template does not write a prompt's {what} as it is, but {rendered[:300]!r}")
    if (count := rendered.count(processor.image_token)) != image:
        there = f"for a prompt {'with' if image else 'without'} an image"
        raise TemplateError(
            f"the chat template writes {processor.image_token} {count} times {there}: {rendered[:300]!r}"
        )
    return rendered


def chat_tokens(
    processor: ProcessorMixin, text: str, image_inputs: dict[str, Tensor], system_prompt: str | None, **variables: str
) -> list[int]:
    """Token ids of one user turn rendered by the processor's chat template, image placeholders expanded.

    Raises ValueError if the text contains the model's image placeholder, and TemplateError as `chat` does.
    """
    if processor.image_token in text:
        raise ValueError(f"the prompt's text contains the model's image placeholder {processor.image_token}")
    rendered = chat(processor, text, bool(image_inputs), system_prompt, **variables)
    if image_inputs:
        rendered = rendered.replace(processor.image_token, processor.replace_image_token(image_inputs, 0))
    # A template that writes the beginning-of-sequence token itself must not get a second one.
    bos = processor.tokenizer.bos_token
    return processor.tokenizer(rendered, add_special_tokens=not (bos and rendered.startswith(bos))).input_ids


def same_shape(tiles: Tensor, size: int = TILES) -> Iterator[tuple[Tensor, int]]:
    """Tiles (n, …) in batches of exactly `size`, the last filled up with copies, each with its number of real tiles."""
    for batch in tiles.split(size):
        real = len(batch)
        yield torch.cat([batch, batch[-1:].expand(size - real, *batch.shape[1:])]), real


def placed(embeddings: Tensor, where: Tensor, features: Sequence[Tensor]) -> Tensor:
    """Embeddings (rows, length, width) with the rows' features at the (rows, length) places, in order.

    Raises ValueError if a row has a different number of places and features.
    """
    if where.sum(1).tolist() != [len(rows) for rows in features]:
        raise ValueError(
            f"{where.sum(1).tolist()} image places, but {[len(rows) for rows in features]} features. The processor's "
            "'patch_size', 'num_additional_image_tokens', 'vision_feature_select_strategy' or 'image_seq_len', or the "
            "model's 'image_token_id', does not fit"
        )
    embeddings = embeddings.clone()
    embeddings[where] = torch.cat(list(features)).to(embeddings)
    return embeddings
