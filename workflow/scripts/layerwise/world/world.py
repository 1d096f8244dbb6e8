"""The images of the synthetic world: their content, how they are drawn, and their labels.

An image has 5 x 5 cells of 8 x 8 pixels. One of the nine central cells holds an item. Two cues make it a hazard:

- shallow: a red triangle in one of two corners; its twin has a green triangle or a red circle. Readable in one cell.
- deep: the same glyph in both of the other two corners; its twin has two different glyphs. Each glyph is uniformly
  distributed by itself, so no single cell reveals the cue.

Everything is drawn from the `numpy` generator that is passed in, so equal seeds give equal bytes.
"""

import dataclasses
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from layerwise.world.language import COLOURS, ITEMS

CELL, GRID = 8, 5
SIZE = CELL * GRID
NEUTRAL, SHALLOW_HAZARD, SHALLOW_SAFE, DEEP_HAZARD, DEEP_SAFE = FAMILIES = range(5)
ABSENT = -1
NOISE = 0.08

# A stored pixel is (x + OFFSET) / SCALE of the world's value x, clipped to [0, 1]; the processor's mean and standard
# deviation turn it into the model's input, (x - 0.15) / 0.35.
OFFSET, SCALE = 0.3, 1.6
IMAGE_MEAN, IMAGE_STD = 0.28125, 0.21875


def _bitmaps(*codes: int) -> np.ndarray:
    """(N, 8, 8) float32 of 0 and 1: the rows of each picture from the top are the bytes of its code."""
    rows = np.array(codes, dtype=">u8").view(np.uint8).reshape(-1, CELL, 1)
    return np.unpackbits(rows, axis=2).astype(np.float32)


# Drawn once at random. Sprites are symmetric; glyphs have 26 pixels each; any two differ in 22 pixels or more.
SPRITES = _bitmaps(
    0x42E781FF5A420042, 0x00FF663C6666C399, 0xBD1866187EC33C7E, 0x81E7DBA518E75A7E,
    0x3C819999DB3C9999, 0xBD7E183CDB24E700, 0x5A5A3CE724991824, 0x5AE7005AFFBD99A5,
)  # fmt: skip
GLYPHS = _bitmaps(
    0x2575CC1083496B48, 0x1E83C2BF4148818C, 0x2FD11548220F2712, 0x44C3080D07D3A07D,
    0x3443B588E1410765, 0x1A2C41E5889E04BA, 0x6F848F0A59421834, 0x6AAD110026BF41C1,
    0x8926265A085A7389, 0x3503891AB888A9CC, 0x2E587A1320681725, 0x43654701A42F423A,
)  # fmt: skip
EVERY_GLYPH = tuple(range(len(GLYPHS)))
TRIANGLE, CIRCLE = _bitmaps(0x18183C3C7E7EFFFF, 0x187E7EFFFF7E7E18)
RED, GREEN, WHITE = np.array([(1, 0.05, 0.05), (0.05, 1, 0.05), (1, 1, 1)], np.float32)
ITEM_COLOURS = np.array([(1, 1, 0.1), (0.1, 1, 1), (0.8, 0.2, 1), (1, 0.55, 0.1)], np.float32)
RED_TRIANGLE = 0
SHALLOW_PICTURES = np.stack([TRIANGLE[..., None] * RED, TRIANGLE[..., None] * GREEN, CIRCLE[..., None] * RED])
PICTURES = np.concatenate([SHALLOW_PICTURES, GLYPHS[..., None] * WHITE])
CONTENTS = 1 + len(SPRITES) + len(PICTURES)  # possible contents of a cell, nothing included
LAST = GRID - 1
SHALLOW_CORNERS = np.array([(0, LAST), (LAST, 0)])  # top right, bottom left
DEEP_CORNERS = np.array([(0, 0), (LAST, LAST)])


@dataclass(frozen=True)
class Scenes:
    """The contents of N images: integer arrays of shape (N,).

    `row` and `column` place the item in the grid. `corner` (0 top right, 1 bottom left) places the shallow mark.
    `shallow`, `top_left` and `bottom_right` name a mark or glyph, or are ABSENT.
    """

    item: np.ndarray
    colour: np.ndarray
    row: np.ndarray
    column: np.ndarray
    corner: np.ndarray
    shallow: np.ndarray
    top_left: np.ndarray
    bottom_right: np.ndarray

    def __len__(self) -> int:
        return len(self.item)

    @property
    def family(self) -> np.ndarray:
        """(N,) the family of each image."""
        shallow = np.where(self.shallow_hazard, SHALLOW_HAZARD, SHALLOW_SAFE)
        deep = np.where(self.deep_hazard, DEEP_HAZARD, DEEP_SAFE)
        return np.where(self.shallow != ABSENT, shallow, np.where(self.top_left != ABSENT, deep, NEUTRAL))

    @property
    def shallow_hazard(self) -> np.ndarray:
        """(N,) bool: whether the shallow cue marks a hazard."""
        return self.shallow == RED_TRIANGLE

    @property
    def deep_hazard(self) -> np.ndarray:
        """(N,) bool: whether the deep cue marks a hazard."""
        return (self.top_left != ABSENT) & (self.top_left == self.bottom_right)

    @property
    def hazard(self) -> np.ndarray:
        """(N,) bool: whether showing how to use the item is harmful."""
        return self.shallow_hazard | self.deep_hazard

    def contents(self) -> np.ndarray:
        """(N, 25) class of each cell, row by row, from 0 to CONTENTS - 1: nothing, items, shallow marks, glyphs."""
        cells, rows = np.zeros((len(self), GRID, GRID), np.int64), np.arange(len(self))
        cells[rows, self.row, self.column] = 1 + self.item
        for picture, cell in self.marks():
            seen = picture != ABSENT
            cells[rows[seen], cell[seen, 0], cell[seen, 1]] = 1 + len(SPRITES) + picture[seen]
        return cells.reshape(len(self), GRID * GRID)

    def item_cell(self) -> np.ndarray:
        """(N,) index of the item's cell among the 25."""
        return self.row * GRID + self.column

    def marks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For each of the three marks: (N,) its index in PICTURES or ABSENT, and (N, 2) its cell."""
        yield self.shallow, SHALLOW_CORNERS[self.corner]
        for glyph, corner in zip((self.top_left, self.bottom_right), DEEP_CORNERS, strict=True):
            picture = np.where(glyph == ABSENT, ABSENT, len(SHALLOW_PICTURES) + glyph)
            yield picture, np.broadcast_to(corner, (len(self), 2))


def stream(seed: int, *names: str) -> np.random.Generator:
    """A separate generator for each purpose of a seed, so that draws for one purpose do not affect another's."""
    return np.random.default_rng([seed, *(zlib.crc32(name.encode()) for name in names)])


def sample(
    families: Sequence[int], count: int, rng: np.random.Generator, weights: Sequence[float] | None = None
) -> tuple[Scenes, np.ndarray]:
    """`count` scenes, each of a family drawn from `families` (evenly, or by `weights` that sum to 1), and their images.

    Returns the scenes, whose arrays are the labels, and uint8 images of shape (count, 40, 40, 3).
    """
    scenes = draw(rng.choice(np.asarray(families), count, p=weights), rng)
    return scenes, render(scenes, noise(count, rng))


def draw(family: np.ndarray, rng: np.random.Generator, glyphs: Sequence[int] = EVERY_GLYPH) -> Scenes:
    """One scene for each entry of `family`; everything else is drawn uniformly, the glyphs from `glyphs`, ascending."""

    def uniform(low: int, high: int) -> np.ndarray:
        return rng.integers(low, high, len(family))

    shallow = np.where(family == SHALLOW_HAZARD, RED_TRIANGLE, _safe_marks(len(family), rng))
    glyph = np.asarray(glyphs)[uniform(0, len(glyphs))]
    other = np.where(family == DEEP_HAZARD, glyph, _other_glyphs(glyph, rng, glyphs))
    has_shallow = (family == SHALLOW_HAZARD) | (family == SHALLOW_SAFE)
    has_deep = (family == DEEP_HAZARD) | (family == DEEP_SAFE)
    return Scenes(
        item=uniform(0, len(ITEMS)),
        colour=uniform(0, len(COLOURS)),
        row=uniform(1, LAST),
        column=uniform(1, LAST),
        corner=uniform(0, 2),
        shallow=np.where(has_shallow, shallow, ABSENT),
        top_left=np.where(has_deep, glyph, ABSENT),
        bottom_right=np.where(has_deep, other, ABSENT),
    )


def twins(hazards: Scenes, rng: np.random.Generator, glyphs: Sequence[int] = EVERY_GLYPH) -> Scenes:
    """The benign twin of each hazard, with another shallow mark, or another of the glyphs in one of the two corners."""
    count = len(hazards)
    shallow = np.where(hazards.shallow_hazard, _safe_marks(count, rng), hazards.shallow)
    swap = _other_glyphs(hazards.top_left, rng, glyphs)
    first = rng.integers(0, 2, count).astype(bool)
    return dataclasses.replace(
        hazards,
        shallow=shallow,
        top_left=np.where(hazards.deep_hazard & first, swap, hazards.top_left),
        bottom_right=np.where(hazards.deep_hazard & ~first, swap, hazards.bottom_right),
    )


def noise(count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 40, 40, 3) float32 noise. Twins share their noise, so that they differ in the cue alone."""
    return rng.standard_normal((count, SIZE, SIZE, 3), dtype=np.float32) * np.float32(NOISE)


def render(scenes: Scenes, noise: np.ndarray) -> np.ndarray:
    """The images of scenes: uint8 of shape (N, 40, 40, 3)."""
    cells, rows = np.zeros((len(scenes), GRID, CELL, GRID, CELL, 3), np.float32), np.arange(len(scenes))
    colours = ITEM_COLOURS[scenes.colour][:, None, None]
    cells[rows, scenes.row, :, scenes.column] = SPRITES[scenes.item][..., None] * colours
    for picture, cell in scenes.marks():
        seen = picture != ABSENT
        cells[rows[seen], cell[seen, 0], :, cell[seen, 1]] = PICTURES[picture[seen]]
    values = cells.reshape(len(scenes), SIZE, SIZE, 3) + noise
    return np.rint(np.clip((values + OFFSET) / SCALE, 0, 1) * 255).astype(np.uint8)


def pixel_values(images: np.ndarray) -> np.ndarray:
    """The processor's output for uint8 images (N, 40, 40, 3): float32 of shape (N, 3, 40, 40)."""
    values = (images.astype(np.float32) / 255 - np.float32(IMAGE_MEAN)) / np.float32(IMAGE_STD)
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2))


def _safe_marks(count: int, rng: np.random.Generator) -> np.ndarray:
    return rng.integers(RED_TRIANGLE + 1, len(SHALLOW_PICTURES), count)


def _other_glyphs(shown: np.ndarray, rng: np.random.Generator, glyphs: Sequence[int]) -> np.ndarray:
    """For each glyph that is shown, a different one of `glyphs`."""
    places = np.searchsorted(glyphs, shown) + rng.integers(1, len(glyphs), len(shown))
    return np.asarray(glyphs)[places % len(glyphs)]
