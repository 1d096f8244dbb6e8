"""Images of prompts: as data sets hold them, and the controls that take their place."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

from layerwise.errors import InputError
from layerwise.prompts.archive import Archive
from layerwise.prompts.draws import draw
from layerwise.records import Prompt

if TYPE_CHECKING:
    import numpy as np

# What PIL calls the formats that data sets come in, and the file names' endings.
FORMATS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif", "BMP": "bmp"}


def coco_images(archive: Archive) -> dict[int, str]:
    """COCO image id -> member name, of an archive with COCO's names of 2017 (`val2017/000000000139.jpg`)."""
    found = {}
    for name in archive.names:
        if match := re.fullmatch(r"(?:.*/)?(\d{12})\.jpg", name):
            found[int(match[1])] = name
    if not found:
        raise InputError(
            f"{archive.path}: no image named like 000000000139.jpg. It is another archive than COCO's val2017.zip."
        )
    return found


def numbered_images(archive: Archive) -> dict[int, str]:
    """Number of the image -> member name, of an archive with names like `images/17.png`."""
    found = {}
    for name in archive.names:
        if match := re.fullmatch(r"(?:.*/)?images/(\d+)\.png", name):
            found[int(match[1])] = name
    if not found:
        raise InputError(f"{archive.path}: no image named like images/17.png. Is it another archive?")
    return found


def images_beside(ids: list[str], spec: dict, sources: dict[str, Path], folder: Path) -> list[dict]:
    """An image for each prompt, out of the numbered ones in source `images`: the prompts' two fields of it.

    The first prompt gets the first image of `draw`'s order, and so on. So data sets with one seed show the same images,
    which then tell nothing of what is asked. With `image: none` nothing is written. Raises InputError for too few.
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
    """Write an image's own bytes as `folder/images/<dataset>/<id>.<ending>`; gives the prompt's two fields of it.

    Raises InputError, naming `origin`, where the bytes are no whole image.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(raw)) as image:
            image.load()
            ending = FORMATS[image.format]
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, KeyError, Image.DecompressionBombError) as error:
        raise InputError(
            f"{origin}: not a whole image of a known format ({error}). Delete the archive and fetch it again."
        ) from error
    name = f"images/{dataset}/{id}.{ending}"
    try:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(raw)
    except OSError as error:
        raise InputError(
            f"cannot write {folder / name}: {error.strerror}. Make room or mend the permissions."
        ) from error
    return {"image": name, "image_sha256": hashlib.sha256(raw).hexdigest()}


def png(pixels: np.ndarray) -> bytes:
    """A uint8 image (height, width, 3) as the bytes of a PNG file."""
    from PIL import Image

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
    import numpy as np

    rng = np.random.default_rng(seed)
    return [_with_image(prompt, control, rng, folder) for prompt in prompts]


def _with_image(prompt: Prompt, control: str, rng: np.random.Generator, folder: Path) -> Prompt:
    import numpy as np

    width, height = (336, 336) if prompt.image is None else _size(folder / prompt.image)
    shape = (height, width, 3)
    pixels = np.full(shape, 127, np.uint8) if control == "blank" else rng.integers(0, 256, shape, dtype=np.uint8)
    name = f"{prompt.id}.{control}"
    return dataclasses.replace(prompt, **save_image(png(pixels), folder, prompt.dataset, name, origin=name))


def _size(path: Path) -> tuple[int, int]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, UnidentifiedImageError) as error:
        raise InputError(f"image {path} cannot be read: {error}. Build the data set again.") from error
