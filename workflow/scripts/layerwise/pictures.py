"""Images from elsewhere: opened as one of a few formats and within limits, and turned into upright RGB.

PIL knows some forty formats, and hands PostScript to Ghostscript, which runs it. So nothing else in this project opens
an image; a file's name decides nothing.
"""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

from layerwise import signatures
from layerwise.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

# PIL's names of the formats that are opened, and the suffixes of their files.
FORMATS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif", "BMP": "bmp"}
LISTED = "JPEG, PNG, WebP, GIF, BMP"
# 16-bit levels per 8-bit level.
STEPS = 65535 / 255


def decode(raw: bytes, origin: str) -> Image:
    """The image in these bytes, decoded completely; of several frames, the first.

    Raises InputError, naming `origin`, for another format, and for an image that is damaged or far too large.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(raw), formats=list(FORMATS))
            image.load()
    except UnidentifiedImageError as error:
        what = signatures.kind(raw) or "something else, or damaged"
        raise InputError(
            f"{origin}: not a complete image of a listed format ({LISTED}), but {what}. Convert it to PNG or JPEG, "
            "fetch it again if it should be one, or leave its row out."
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(
            f"{origin}: the image has more than {Image.MAX_IMAGE_PIXELS / 1e6:.0f} million pixels. Scale it down, or "
            "leave its row out."
        ) from error
    except ValueError as error:  # PIL's limits to what is compressed beside the pixels
        raise InputError(
            f"{origin}: the image's metadata is too large or invalid ({error}). Save it again without metadata, or "
            "leave its row out."
        ) from error
    except Exception as error:  # decoders fail in many ways at damaged files
        raise InputError(f"{origin}: not a complete image ({error}). Fetch it again, or leave its row out.") from error
    return image


def suffix(image: Image) -> str:
    """The suffix of the file name that a decoded image's own bytes get; PIL calls a phone's JPEG of two views MPO."""
    assert image.format is not None, "an image that was decoded has a format"
    return FORMATS["JPEG" if image.format == "MPO" else image.format]


def upright_rgb(image: Image) -> Image:
    """The image in RGB, rotated as its EXIF orientation says: 16 bits scaled to 8, transparency on white."""
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        image = _eight_bits(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def _eight_bits(image: Image) -> Image:
    """A grey image of 16 bits in 8, its transparent level (if it has one) as an alpha channel."""
    import numpy as np
    from PIL import Image

    levels = np.asarray(image)
    grey = Image.fromarray(np.clip(np.round(levels / STEPS), 0, 255).astype(np.uint8))
    if "transparency" in image.info:
        opaque = levels != image.info["transparency"]
        grey = Image.merge("LA", (grey, Image.fromarray(opaque.astype(np.uint8) * 255)))
    return grey
