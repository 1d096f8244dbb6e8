"""Images of prompts: the data sets' own, and the controls that replace them.

Images keep their bytes: they are decoded to check that they are complete, but never encoded again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

from layerwise import pictures
from layerwise.errors import InputError
from layerwise.prompts.archive import Archive, read_whole
from layerwise.prompts.draws import draw
from layerwise.records import Prompt

if TYPE_CHECKING:
    import numpy as np


def coco_images(archive: Archive) -> dict[int, str]:
    """COCO image id -> member name, for an archive with COCO's file names of 2017 (`val2017/000000000139.jpg`)."""
    found = {}
    for name in archive.names:
        if match := re.fullmatch(r"(?:.*/)?(\d{12})\.jpg", name):
            found[int(match[1])] = name
    if not found:
        raise InputError(f"{archive.path}: no image named like 000000000139.jpg. Give COCO's val2017.zip.")
    return found


def numbered_images(archive: Archive) -> dict[int, str]:
    """Image number -> member name, for an archive with names like `images/17.png`."""
    found = {}
    for name in archive.names:
        if match := re.fullmatch(r"(?:.*/)?images/(\d+)\.png", name):
            found[int(match[1])] = name
    if not found:
        raise InputError(f"{archive.path}: no image named like images/17.png. Is it the right archive?")
    return found


def images_beside(ids: list[str], spec: dict, sources: dict[str, Path], folder: Path) -> list[dict]:
    """Give each prompt a numbered image of source `images`; returns the prompts' two fields for it.

    The first prompt gets the first image in `draw`'s order, and so on. So data sets with the same seed show the same
    images, which then reveal nothing about the request. With `image: none` nothing is written. Raises InputError if
    there are too few images.
    """
    archive = Archive(sources["images"])
    members = numbered_images(archive)
    if len(members) < len(ids):
        raise InputError(f"{archive.path}: {len(ids)} prompts, but only {len(members)} images. Lower key 'size'.")
    if spec["image"] == "none":
        return [{"image": None, "image_sha256": None}] * len(ids)
    shown = [members[number] for number in draw(members, spec["seed"], len(ids))]
    return [
        save_image(archive.read(member), folder, spec["dataset"], id, f"{archive.path}: {member}")
        for id, member in zip(ids, shown, strict=True)
    ]


def save_image(raw: bytes, folder: Path, dataset: str, id: str, origin: str) -> dict[str, str]:
    """Write an image's own bytes to `folder/images/<dataset>/<id>.<suffix>`; returns the prompt's two fields for it.

    Raises InputError, naming `origin`, for anything but a complete image of a listed format.
    """
    image = pictures.decode(raw, origin)
    name = f"images/{dataset}/{id}.{pictures.suffix(image)}"
    try:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(raw)
    except OSError as error:
        raise InputError(
            f"cannot write {folder / name}: {error.strerror}. Free space or fix the permissions."
        ) from error
    return {"image": name, "image_sha256": hashlib.sha256(raw).hexdigest()}


def png(pixels: np.ndarray) -> bytes:
    """A uint8 image (height, width, 3) as the bytes of a PNG file."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def with_control(prompts: list[Prompt], control: str, seed: int, folder: Path) -> list[Prompt]:
    """The same prompts with control images: none (`none`), grey ones (`blank`) or uniform noise (`noise`).

    `own` changes nothing. A control has the size of the image it replaces, or 336 x 336 pixels if there was none.
    """
    if control == "own":
        return prompts
    if control == "none":
        return [dataclasses.replace(prompt, image=None, image_sha256=None) for prompt in prompts]
    import numpy as np

    rng = np.random.default_rng(seed)
    return [_with_image(prompt, control, rng, folder) for prompt in prompts]


def _with_image(prompt: Prompt, control: str, rng: np.random.Generator, folder: Path) -> Prompt:
    import numpy as np

    width, height = 336, 336
    if prompt.image is not None:
        own = folder / prompt.image
        width, height = pictures.decode(read_whole(own), str(own)).size
    shape = (height, width, 3)
    pixels = np.full(shape, 127, np.uint8) if control == "blank" else rng.integers(0, 256, shape, dtype=np.uint8)
    name = f"{prompt.id}.{control}"
    saved = save_image(png(pixels), folder, prompt.dataset, name, origin=name)
    return dataclasses.replace(prompt, image=saved["image"], image_sha256=saved["image_sha256"])
