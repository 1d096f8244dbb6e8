"""Pictures of one thing each: a pictogram of OpenMoji (CC BY-SA 4.0), drawn from its font on a coloured ground.

Our own table gives each pictogram a short caption. The size and place of the pictogram and
the colours of the ground are drawn for each picture, so pictures of two seeds share their things and nothing else.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from layerwise.errors import InputError
from layerwise.prompts import shipped
from layerwise.prompts.draws import draw
from layerwise.prompts.images import png, save_image
from layerwise.records import Prompt

if TYPE_CHECKING:
    import numpy as np

COLUMNS = ("code_point", "caption")
QUESTION = "What is in the picture?"
# The smallest and the largest size of the font, as shares of the picture's side.
SIZES = (0.5, 0.85)
NOTHING = chr(0x10FFFF)  # no font has it: it is drawn as whatever is missing is
SOURCES = {"font": True}
TWINS = False


class Options(shipped.Shipped):
    """The table of pictograms, with the columns code_point and caption; and the size of a picture."""

    pixels: int = Field(96, ge=32, le=512, description="Side length of a picture, in pixels.")


def kinds(options: Options) -> frozenset[str]:
    """The kinds of prompts it builds."""
    return frozenset({"vqa"})


def build(spec: dict, sources: dict[str, Path], folder: Path) -> list[Prompt]:
    """Questions what is in a picture, `size` in all; things take turns, and each picture is a cluster.

    Source: `font`, OpenMoji's font with layered colours (COLR version 0). Raises InputError for another file, and for a
    code point that it lacks.
    """
    options = Options(**spec["options"])
    things = draw(
        shipped.rows(spec["dataset"], options, COLUMNS, id="code_point"),
        spec["seed"],
        cluster=lambda row: row["code_point"],
    )
    prompts = []
    for number in range(spec["size"]):
        thing = things[number % len(things)]
        id = f"{spec['dataset']}-{number:04d}"
        rng = random.Random(f"{spec['seed']}:{number}")
        picture = _picture(sources["font"], thing["code_point"], options.pixels, rng)
        prompts.append(
            Prompt(
                id=id,
                dataset=spec["dataset"],
                text=QUESTION,
                kind="vqa",
                cluster=id,
                target=[thing["caption"]],
                attributes={"item": thing["caption"]},
                **save_image(png(picture), folder, spec["dataset"], id, origin=id),
            )
        )
    return prompts


def _picture(path: Path, code_point: str, pixels: int, rng: random.Random) -> np.ndarray:
    """A uint8 image (pixels, pixels, 3): the pictogram on a ground that fades from one colour into another."""
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    first, last = (np.array([rng.randrange(256) for _ in range(3)]) for _ in range(2))
    fading = np.linspace(0, 1, pixels)[:, None, None]
    ground = np.broadcast_to((1 - fading) * first + fading * last, (pixels, pixels, 3))
    image = Image.fromarray(ground.round().astype(np.uint8))
    try:
        font = ImageFont.truetype(str(path), round(pixels * rng.uniform(*SIZES)))
        mark = chr(int(code_point, 16))
        if bytes(font.getmask(mark)) == bytes(font.getmask(NOTHING)):
            raise ValueError(f"it has no pictogram {code_point}")
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: not OpenMoji's font with colours ({error}). Name glyf_colr0.ttf in key 'sources.font'."
        ) from error
    drawing = ImageDraw.Draw(image)
    left, top, right, bottom = map(round, drawing.textbbox((0, 0), mark, font=font))
    room = (max(0, pixels - (right - left)), max(0, pixels - (bottom - top)))
    place = (rng.randint(0, room[0]) - left, rng.randint(0, room[1]) - top)
    drawing.text(place, mark, font=font, embedded_color=True)
    return np.asarray(image)
