"""A language model and its tokenizer from a GGUF file; transformers turns its quantised weights into floats."""

import struct
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast

from layerwise.assets import LOCAL
from layerwise.errors import InputError

PART = "language"
FAMILIES = ("llava", "llava_dinov2")


def load(path: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """The model in float32 and its tokenizer. Raises InputError for a file that holds no model transformers reads."""
    where = {"pretrained_model_name_or_path": path.parent, "gguf_file": path.name, **LOCAL}
    try:
        quantised = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(**where, padding_side="left")
    except (OSError, ValueError, KeyError, struct.error) as error:
        raise InputError(
            f"{path}: not a GGUF file with a language model that transformers knows ({error}). Change key "
            "'assembled.language.source'."
        ) from error
    # A model loaded from GGUF cannot be saved, so its weights move into a model that was never quantised.
    settings = quantised.config.to_dict()
    for key in ("quantization_config", "_model_name_or_path"):
        settings.pop(key, None)
    language = type(quantised)(type(quantised.config)(**settings))
    language.load_state_dict(quantised.state_dict())
    return language.eval(), tokenizer
