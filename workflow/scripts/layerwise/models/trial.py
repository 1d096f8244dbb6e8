"""A checkpoint is tried when it is loaded, so that whatever is wrong with it is one error, before any work.

A blank image and a text go through the processor, the encoder and three exits (0, the default one, the last), and one
token is generated at each; then one for the text alone. The trial draws no random number and changes nothing.
"""

from pathlib import Path

import torch
from PIL import Image

from layerwise.errors import InputError
from layerwise.models.families import Family, TemplateError
from layerwise.models.processors import template_file
from layerwise.models.reading import Row, read

# A template that passes its messages on as anything but text escapes these quotes or this line break.
TEXT = 'What is "this",\nand what isn\'t?'
SYSTEM = 'Answer "briefly",\nand don\'t guess.'
SIDE = 224  # of the blank image, in pixels, where the encoder takes images of any size


@torch.no_grad()
def attempt(family: Family, folder: Path, with_system_prompt: bool) -> None:
    """Try a loaded checkpoint. Raises InputError that names what fails, the file and key to look at, and a way out."""
    size = getattr(family.model.config.vision_config, "image_size", SIDE)
    image = Image.new("RGB", (size, size) if isinstance(size, int) else tuple(size)[::-1], (128, 128, 128))
    system = SYSTEM if with_system_prompt else None
    exits = sorted({0, family.default_layer, family.blocks})
    failing = ""
    try:
        failing = (
            f"cannot prepare a blank image of {image.width} x {image.height} pixels. See key 'image_processor' of "
            "processor_config.json, or preprocessor_config.json"
        )
        inputs = family.preprocess(image)
        failing = (
            "cannot turn a prompt into tokens. See processor_config.json, tokenizer_config.json and tokenizer.json"
        )
        prompts = [family.encode(TEXT, given, system) for given in (inputs, {})]
        known, last = family.model.get_input_embeddings().num_embeddings, max(map(max, prompts))
        if last >= known:
            raise ValueError(
                f"the tokenizer has a token {last} ({family.processor.tokenizer.convert_ids_to_tokens(last)!r}), but "
                f"'vocab_size' of config.json lets the model know only {known}"
            )
        failing = (
            "cannot encode a blank image. See key 'vision_config' of config.json, and the size in "
            "processor_config.json or preprocessor_config.json"
        )
        features = family.features([inputs], exits)
        seen = getattr(features[family.default_layer][0], "tokens", features[family.default_layer][0])
        if not torch.isfinite(seen).all():
            raise ValueError("some of its features are no numbers. See key 'dtype' of the model's YAML, or the weights")
        failing = "cannot answer. See processor_config.json and config.json"
        for tokens, given in zip(prompts, ([features[layer][0] for layer in exits], [None]), strict=True):
            rows = [Row(number, tokens, one) for number, one in enumerate(given)]
            read(family, rows, len(rows)).logits.argmax(-1).tolist()
    except (InputError, MemoryError, torch.OutOfMemoryError):
        raise
    except TemplateError as error:
        raise InputError(
            f"the checkpoint {folder} cannot be used: {template_file(folder)}: {_said(error)}. Give one that takes "
            "messages in parts, text and image, or choose a revision that has it."
        ) from error
    except Exception as error:
        raise InputError(
            f"the checkpoint {folder} {failing}, or choose another revision. The error is: "
            f"{type(error).__name__}: {_said(error)}"
        ) from error


def _said(error: Exception) -> str:
    """An error's text in one line, without a full stop."""
    return " ".join(str(error).split()).rstrip(".")
