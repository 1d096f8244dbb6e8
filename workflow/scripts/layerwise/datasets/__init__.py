"""Data sets: one file a builder, from raw files to prompts and images; and the image controls that serve all of them.

A builder offers `build(spec, sources, folder) -> list[Prompt]`. `spec` holds the data set's settings, `sources` the
local path of each asset by name, and images are written below `folder` as `images/<dataset>/<prompt id>.<ending>`.
"""

import dataclasses
import io
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image, UnidentifiedImageError

from layerwise.rawdata import save_image
from layerwise.records import InputError, Prompt


def load(builder: str) -> ModuleType:
    """The module of a builder, `datasets/<builder>.py`."""
    if not Path(__file__).with_name(f"{builder}.py").exists():
        there = ", ".join(sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py")))
        raise InputError(f"config/datasets: key 'builder': no builder '{builder}'. There are: {there}.")
    return import_module(f"layerwise.datasets.{builder}")


def first_clusters(prompts: list[Prompt], limit: int | None) -> list[Prompt]:
    """The prompts of the first `limit` clusters, in their order; all without a limit."""
    clusters = list(dict.fromkeys(prompt.cluster for prompt in prompts))
    kept = set(clusters[:limit])
    return [prompt for prompt in prompts if prompt.cluster in kept]


def png(pixels: np.ndarray) -> bytes:
    """A uint8 image (height, width, 3) as the bytes of a PNG file."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def with_control(prompts: list[Prompt], control: str, seed: int, folder: Path) -> list[Prompt]:
    """The same prompts with another image: `none` without one, `blank` a grey one, `noise` uniform noise of that size.

    `own` changes nothing. A prompt without an image gets one of 336 x 336 pixels.
    """
    if control == "own":
        return prompts
    if control == "none":
        return [dataclasses.replace(prompt, image=None, image_sha256=None) for prompt in prompts]
    rng = np.random.default_rng(seed)
    return [_with_image(prompt, control, rng, folder) for prompt in prompts]


def _with_image(prompt: Prompt, control: str, rng: np.random.Generator, folder: Path) -> Prompt:
    width, height = (336, 336) if prompt.image is None else _size(folder / prompt.image)
    shape = (height, width, 3)
    pixels = np.full(shape, 127, np.uint8) if control == "blank" else rng.integers(0, 256, shape, dtype=np.uint8)
    name = f"{prompt.id}.{control}"
    return dataclasses.replace(prompt, **save_image(png(pixels), folder, prompt.dataset, name, origin=name))


def _size(path: Path) -> tuple[int, int]:
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, UnidentifiedImageError) as error:
        raise InputError(f"image {path} cannot be read: {error}. Build the data set again.") from error
