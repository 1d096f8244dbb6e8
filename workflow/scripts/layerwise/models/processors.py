"""Processors turn prompts into inputs. What a checkpoint's leaves open, its own configuration fills in."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transformers import AutoProcessor, PreTrainedConfig, ProcessorMixin

from layerwise.assets import LOCAL

FILES = ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json")
# Encoders that put a class token before an image's patches.
WITH_CLASS_TOKEN = ("clip_vision_model", "dinov2")
# Settings that only images of some shapes show to be wrong, so that a trial with one image would not.
TILING = ("vision_aspect_ratio", "image_grid_pinpoints")


def load(folder: Path, kind: Any = AutoProcessor) -> ProcessorMixin:
    """The processor of a checkpoint: one of class `kind`, by default the one that its files name.

    The two backends of image processors give different pixels; this one works on every machine.
    """
    processor = kind.from_pretrained(folder, backend="pil", **LOCAL)
    if lacking := [part for part in ("image_processor", "tokenizer") if not hasattr(processor, part)]:
        raise ValueError(
            f"its processor, {type(processor).__name__}, has no {' and no '.join(lacking)}. See key 'processor_class' "
            "of processor_config.json"
        )
    return processor


def load_without_video(folder: Path, kind: type[ProcessorMixin]) -> ProcessorMixin:
    """The processor of a checkpoint, of a class that also reads videos, without that part: it needs torchvision."""

    class ForImages(kind):
        @classmethod
        def get_attributes(cls) -> list[str]:
            return [part for part in super().get_attributes() if "video" not in part]

    return load(folder, ForImages)


def complete(processor: ProcessorMixin, folder: Path, config: PreTrainedConfig) -> None:
    """Fill in what a checkpoint's files leave open and its own configuration knows, and say so on stderr.

    Older checkpoints lack settings that decide how many places an image has, or keep their chat template only with the
    tokenizer. Raises ValueError where the files contradict each other on how images are cut into tiles.
    """
    given = set(_keys(folder))
    for part, key, value in _known(processor, config):
        if not hasattr(part, key) or _same(getattr(part, key), value):
            continue
        if key not in given:
            setattr(part, key, value)
            _say(folder, key, f"{value!r}, from config.json")
        elif key in TILING:
            raise ValueError(f"key '{key}' of its processor differs from the one in config.json. Mend one of them")
    if processor.chat_template is None and processor.tokenizer.chat_template is not None:
        processor.chat_template = processor.tokenizer.chat_template
        _say(folder, "chat_template", "the tokenizer's")


def _known(processor: ProcessorMixin, config: PreTrainedConfig) -> Iterator[tuple[Any, str, Any]]:
    """The settings of a processor, and of its part for images, that follow from a model's configuration."""
    images, vision = processor.image_processor, config.vision_config
    settings = [
        (processor, "vision_feature_select_strategy", config, "vision_feature_select_strategy"),
        (processor, "vision_aspect_ratio", config, "vision_aspect_ratio"),
        (images, "image_grid_pinpoints", config, "image_grid_pinpoints"),
        (images, "merge_size", vision, "spatial_merge_size"),
        (images, "temporal_patch_size", vision, "temporal_patch_size"),
    ]
    yield from ((part, key, getattr(place, name)) for part, key, place, name in settings if hasattr(place, name))
    patch, size = (_side(getattr(vision, name, None)) for name in ("patch_size", "image_size"))
    if patch is not None:
        yield processor, "patch_size", patch
        yield images, "patch_size", patch
        yield processor, "num_additional_image_tokens", int(vision.model_type in WITH_CLASS_TOKEN)
    if patch is not None and size is not None:
        patches = (size // patch) ** 2
        yield processor, "num_image_tokens", patches
        yield processor, "image_seq_length", int(patches * getattr(config, "downsample_ratio", 1) ** 2)
        yield processor, "image_seq_len", patches // getattr(config, "scale_factor", 1) ** 2


def _side(value: Any) -> int | None:
    """The side of a square that is given by one side or by both; None for what is no square."""
    sides = {*value} if isinstance(value, (list, tuple)) else {value}
    (side,) = sides if len(sides) == 1 else (None,)
    return side if isinstance(side, int) else None


def _same(one: Any, other: Any) -> bool:
    """Whether two settings are equal, the order and the type of lists aside."""
    one, other = (sorted(map(list, value)) if isinstance(value, (list, tuple)) else value for value in (one, other))
    return one == other


def _keys(folder: Path) -> Iterator[str]:
    """The settings that a checkpoint's files give its processor."""
    for name in FILES[:2]:
        if (path := folder / name).is_file():
            settings = json.loads(path.read_text(encoding="utf-8"))
            for part in (settings, settings.get("image_processor") or {}):
                yield from (key for key, value in part.items() if value is not None)


def template_file(folder: Path) -> str:
    """The file that a checkpoint's chat template is in, with its key."""
    for name in ("chat_template.json", "chat_template.jinja"):
        if (folder / name).is_file():
            return name
    for name in FILES:
        if (path := folder / name).is_file() and "chat_template" in path.read_text(encoding="utf-8"):
            return f"{name}, key 'chat_template'"
    return "chat_template.jinja"


def _say(folder: Path, key: str, value: str) -> None:
    print(f"{folder}: the files of its processor leave '{key}' open; it is {value}", file=sys.stderr, flush=True)
