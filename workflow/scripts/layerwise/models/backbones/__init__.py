"""Published backbones assembled into one model: a vision encoder, a language model, and a new projector.

Each format has a file with `load(path)`, which declares at its top the `PART` that it reads (`vision` or `language`)
and the `FAMILIES` that can be made of it. An assembled model is a genuine LLaVA of transformers with an untrained
projector.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from transformers import (
    GenerationConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from layerwise.errors import InputError

# No system message; the image before the question, as in LLaVA.
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ '<image>\n' }}{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


class VisionBackbone(Protocol):
    """What the file of a vision encoder's format declares and offers.

    `IMAGE_MEAN` and `IMAGE_STD` normalise the channels of its images. `load` and `parity` raise InputError for a file
    that holds something else.
    """

    IMAGE_MEAN: tuple[float, float, float]
    IMAGE_STD: tuple[float, float, float]

    def load(self, path: Path) -> PreTrainedModel:
        """The encoder."""

    def parity(self, path: Path, encoder: PreTrainedModel) -> list[float]:
        """How far the encoder's states differ from those of its source, block by block."""

    def resized(self, encoder: PreTrainedModel, size: int) -> PreTrainedModel:
        """The encoder for images of `size` pixels per side."""


class LanguageBackbone(Protocol):
    """What the file of a language model's format offers."""

    def load(self, path: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
        """The language model and its tokenizer. Raises InputError for a file that holds something else."""


def assemble(
    encoder: PreTrainedModel,
    language: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    image_token: str,
    image_size: int,
    image_mean: Sequence[float],
    image_std: Sequence[float],
    default_layer: int,
    seed: int,
) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """A LLaVA and its processor. `image_token` is a token that the language model knows and no text contains.

    Images are resized to `image_size` pixels per side and normalised by `image_mean` and `image_std`. Raises InputError
    if `image_token` is not a token or the size is not a multiple of the encoder's patch.
    """
    image_id, patch = tokenizer.convert_tokens_to_ids(image_token), encoder.config.patch_size
    if image_id in (None, tokenizer.unk_token_id):
        raise InputError(f"key 'assembled.image_token': the language model's tokenizer has no token {image_token!r}.")
    if image_size % patch:
        raise InputError(
            f"key 'assembled.image_size': {image_size} is not a multiple of the encoder's patch size, {patch}."
        )
    config = LlavaConfig(
        vision_config=encoder.config,
        text_config=language.config,
        image_token_id=image_id,
        image_seq_length=(image_size // patch) ** 2,
        vision_feature_layer=default_layer,
        vision_feature_select_strategy="default",
        tie_word_embeddings=language.config.tie_word_embeddings,
    )
    torch.manual_seed(seed)
    model = LlavaForConditionalGeneration(config)
    model.model.vision_tower.load_state_dict(encoder.state_dict())
    model.model.language_model.load_state_dict(language.model.state_dict())
    model.lm_head.load_state_dict(language.lm_head.state_dict())
    ends = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    model.generation_config = GenerationConfig(bos_token_id=tokenizer.bos_token_id, do_sample=False, **ends)
    size = {"height": image_size, "width": image_size}
    images = CLIPImageProcessorPil(
        size=size, crop_size=size, do_center_crop=False, image_mean=list(image_mean), image_std=list(image_std)
    )
    tokenizer.image_token = image_token
    processor = LlavaProcessor(
        images,
        tokenizer,
        patch_size=patch,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token=image_token,
        chat_template=CHAT_TEMPLATE.replace("<image>", image_token),
    )
    return model.eval(), processor
