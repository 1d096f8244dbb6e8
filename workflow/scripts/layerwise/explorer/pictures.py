"""Images without loss, each once; of a twin that differs from its hazard in a small part, only that part.

A picture is text in base64, as a data address needs it: `{type, at, length}` in the text of all pictures, or
`{of, x, y, type, at, length}` for a part laid over another picture, by number.
"""

import base64
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from layerwise import pictures
from layerwise.files import file_digest
from layerwise.prompts.images import png
from layerwise.records import Prompt

# A part of a picture that is larger than this share of it is not worth the indirection.
PART = 0.25


class Pictures:
    """The pictures of some prompts; `number` has that of a prompt's checksum, if it has one."""

    def __init__(self) -> None:
        self.number: dict[str, int] = {}
        self.listed: list[dict[str, Any]] = []
        self.text: list[str] = []
        self.length = 0

    def add(self, prompts: Iterable[tuple[Prompt, Path]]) -> None:
        """Add the images of prompts, each with the folder that its path is relative to; hazards before their twins.

        One that is no longer there, or not as the models saw it, is left out: the page then gives its path.
        """
        first: dict[str, tuple[int, np.ndarray]] = {}
        for prompt, folder in prompts:
            if prompt.image is None or prompt.image_sha256 is None or prompt.image_sha256 in self.number:
                continue
            path = folder / prompt.image
            if not path.is_file() or file_digest(path) != prompt.image_sha256:
                continue
            data = path.read_bytes()
            image = pictures.decode(data, prompt.image)
            kind = pictures.suffix(image)
            pixels = np.asarray(image) if kind == "png" and image.mode == "RGB" else None
            self.number[prompt.image_sha256] = len(self.listed)
            base = first.get(prompt.cluster)
            if pixels is not None and base is not None and (part := difference(base[1], pixels)) is not None:
                x, y, cut = part
                self.listed.append({"of": base[0], "x": x, "y": y, **self._stored(png(cut), "png")})
                continue
            if pixels is not None:
                first.setdefault(prompt.cluster, (len(self.listed), pixels))
            self.listed.append(self._stored(data, kind))

    def _stored(self, data: bytes, kind: str) -> dict[str, Any]:
        text = base64.b64encode(data).decode()
        place = {"type": f"image/{'jpeg' if kind == 'jpg' else kind}", "at": self.length, "length": len(text)}
        self.text.append(text)
        self.length += len(text)
        return place


def difference(one: np.ndarray, other: np.ndarray) -> tuple[int, int, np.ndarray] | None:
    """The smallest rectangle outside which two images (height, width, 3) are equal: its corner, and the other's part.

    None if their sizes differ, if it is large, or if there is no difference.
    """
    if one.shape != other.shape:
        return None
    rows, columns = (np.flatnonzero((one != other).any(axis=axes)) for axes in ((1, 2), (0, 2)))
    if not len(rows):
        return None
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    if (bottom - top) * (right - left) > PART * one.shape[0] * one.shape[1]:
        return None
    return left, top, other[top:bottom, left:right]
