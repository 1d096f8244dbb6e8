"""How a vision encoder exits at layer l, and how the features reach the language model: one file a model family.

`<family>.py` holds one class, `Family`, which does what the protocol below says. A new family is that file and
a YAML in `config/models/`; no list of families has to be kept. At its top stand, as plain values:

- `VARIANTS`: the ways of leaving the encoder that a model's `variant` may name, besides none.
- `SYSTEM_PROMPT`: whether its prompts can have a system message.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol

import torch
from PIL import Image, ImageOps
from torch import Tensor
from transformers import ProcessorMixin

# Tiles that a vision encoder is given at once. Part of the result: bf16 features depend on the shape of the batch.
TILES = 16


class Family(Protocol):
    """A vision-language model whose vision encoder can be left after any block.

    Exit layer l is the number of transformer blocks applied: 0 (the embeddings) to `blocks`. Features do not depend
    on which images or layers are asked for together. Raises ValueError for a model of another shape than the family's.
    """

    model: torch.nn.Module
    processor: ProcessorMixin
    blocks: int
    default_layer: int

    def __init__(self, model: torch.nn.Module, processor: ProcessorMixin, variant: str | None = None) -> None: ...

    def preprocess(self, image: Image.Image | None) -> dict[str, Tensor]:
        """One image as the vision encoder's inputs, on the CPU; nothing for no image."""

    def encode(self, text: str, image_inputs: dict[str, Tensor], system_prompt: str | None = None) -> list[int]:
        """Token ids of one user turn, placeholders of the image (preprocessed, or empty) included."""

    def features(self, images: Sequence[dict[str, Tensor]], layers: Collection[int]) -> Mapping[int, Sequence[Tensor]]:
        """Projected features of preprocessed images at each of the exit layers: one (tokens, width) tensor an image.

        A family whose language model must know more has a type of its own for it, with `nbytes` and that tensor as
        `tokens`. Each block runs once, whatever the number of layers, and no block beyond the last of them.
        """

    def generation_inputs(
        self, input_ids: Tensor, attention_mask: Tensor, features: Sequence[Tensor] | None
    ) -> dict[str, Tensor]:
        """What `model.generate` is given for a (rows, length) batch, from the features of each row's image."""


def upright_rgb(image: Image.Image) -> Image.Image:
    """The image in RGB, turned the way its EXIF orientation says."""
    return ImageOps.exif_transpose(image).convert("RGB")


def chat_tokens(
    processor: ProcessorMixin, text: str, image_inputs: dict[str, Tensor], system_prompt: str | None, **variables: str
) -> list[int]:
    """Token ids of one user turn rendered by the processor's chat template, image placeholders expanded.

    `variables` are handed to the template. Raises ValueError where the text holds the model's image placeholder itself.
    """
    if processor.image_token in text:
        raise ValueError(f"the prompt's text contains the model's image placeholder {processor.image_token}")
    image = [{"type": "image"}] if image_inputs else []
    chat = [{"role": "user", "content": [*image, {"type": "text", "text": text}]}]
    if system_prompt is not None:
        chat.insert(0, {"role": "system", "content": [{"type": "text", "text": system_prompt}]})
    rendered = processor.apply_chat_template(chat, add_generation_prompt=True, **variables)
    if image_inputs:
        rendered = rendered.replace(processor.image_token, processor.replace_image_token(image_inputs, 0))
    # A template that writes the beginning-of-sequence token itself must not get a second one.
    bos = processor.tokenizer.bos_token
    return processor.tokenizer(rendered, add_special_tokens=not (bos and rendered.startswith(bos))).input_ids


def same_shape(tiles: Tensor, size: int = TILES) -> Iterator[tuple[Tensor, int]]:
    """Tiles (n, …) in batches of exactly `size`, the last one filled up with copies, and how many of each count."""
    for batch in tiles.split(size):
        real = len(batch)
        yield torch.cat([batch, batch[-1:].expand(size - real, *batch.shape[1:])]), real


def placed(embeddings: Tensor, where: Tensor, features: Sequence[Tensor]) -> Tensor:
    """Embeddings (rows, length, width) with the rows' features at the (rows, length) places, in order.

    Raises ValueError where a row has another number of places than features.
    """
    if where.sum(1).tolist() != [len(rows) for rows in features]:
        raise ValueError(f"{where.sum(1).tolist()} image places, but {[len(rows) for rows in features]} features")
    embeddings = embeddings.clone()
    embeddings[where] = torch.cat(list(features)).to(embeddings)
    return embeddings
