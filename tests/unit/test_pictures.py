"""Images as they come from elsewhere: what is opened, what is refused, and what they show in RGB."""

import io
import os
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from conftest import ROOT
from layerwise import pictures, signatures
from layerwise.errors import InputError
from layerwise.files import file_digest
from layerwise.models.engine import read_image
from layerwise.prompts.images import save_image

# A program in PostScript that draws a square: with Ghostscript it is an image.
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n0 0 10 10 rectfill\nshowpage\n%%EOF\n"


def written(image: Image.Image, kind: str = "PNG", **keys: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **keys)
    return stream.getvalue()


def shown(raw: bytes) -> np.ndarray:
    """The pixels of an image file in RGB."""
    return np.asarray(pictures.upright_rgb(pictures.decode(raw, "x.zip: a")))


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_of(width: int, height: int) -> bytes:
    """A PNG file that declares a size and holds one row."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels


def with_profile(profile: bytes) -> bytes:
    """A PNG file of one pixel with a colour profile, which is compressed."""
    raw = png_of(1, 1)
    return raw[:33] + chunk(b"iCCP", b"icc\0\0" + zlib.compress(profile)) + raw[33:]


def test_a_ramp_of_16_bits_is_the_ramp_of_8():
    levels = np.arange(256, dtype=np.uint16)
    fine = Image.fromarray(np.tile(levels * 257, (2, 1)))
    assert pictures.decode(written(fine), "a").mode == "I;16"
    expected = np.repeat(np.tile(levels, (2, 1))[..., None], 3, axis=2)
    assert (shown(written(fine)) == expected).all()
    # Levels between two of 8 bits go to the nearer one; a dark image stays dark, whatever its brightest level is.
    between = Image.fromarray(np.array([[0, 128, 129, 300, 32768]], np.uint16))
    assert shown(written(between))[0, :, 0].tolist() == [0, 0, 1, 1, 128]


@pytest.mark.parametrize("mode", ["I", "I;16B"])
def test_other_modes_of_16_bits_are_scaled_too(mode):
    image = Image.fromarray(np.array([[0, 32896, 65535]], np.uint16)).convert("I").convert(mode)
    assert np.asarray(pictures.upright_rgb(image))[0, :, 0].tolist() == [0, 128, 255]


def test_colours_of_16_bits_keep_their_high_bytes():
    rows = b"\0" + np.array([[0, 32896, 65535], [65535, 0, 257]], ">u2").tobytes()
    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    raw = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    assert shown(raw).tolist() == [[[0, 128, 255], [255, 0, 1]]]


def transparent() -> dict[str, bytes]:
    """A pixel that is see-through and one of (10, 20, 30), or of level 20, in each way that the formats know."""
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 10, 20, 30])
    palette.putpixel((1, 0), 1)
    colours = Image.new("RGB", (2, 1), (255, 0, 0))
    colours.putpixel((1, 0), (10, 20, 30))
    alpha = colours.convert("RGBA")
    alpha.putpixel((0, 0), (255, 0, 0, 0))
    grey = Image.fromarray(np.array([[7, 20]], np.uint8))
    fine = Image.fromarray(np.array([[7 * 257, 20 * 257]], np.uint16))
    return {
        "palette": written(palette, transparency=0),
        "palette of levels": written(palette, transparency=b"\0\xff"),
        "GIF": written(palette, "GIF", transparency=0),
        "colour key": written(colours, transparency=(255, 0, 0)),
        "alpha": written(alpha),
        "WebP": written(alpha, "WEBP", lossless=True),
        "grey": written(grey, transparency=7),
        "grey of 16 bits": written(fine, transparency=7 * 257),
        "grey and alpha": written(Image.merge("LA", (grey, Image.fromarray(np.array([[0, 255]], np.uint8))))),
    }


@pytest.mark.parametrize("way", transparent())
def test_what_is_see_through_shows_white(way):
    seen, solid = shown(transparent()[way])[0].tolist()
    assert seen == [255, 255, 255]
    assert solid == ([20, 20, 20] if "grey" in way else [10, 20, 30])


def test_half_transparent_is_half_white():
    assert shown(written(Image.new("RGBA", (1, 1), (0, 0, 0, 128)))).tolist() == [[[127, 127, 127]]]


def test_a_phone_s_jpeg_of_two_views_is_a_jpeg(tmp_path):
    views = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    raw = written(views[0], "MPO", save_all=True, append_images=views[1:])
    assert pictures.decode(raw, "a").format == "MPO"
    assert save_image(raw, tmp_path, "boats", "1", "x.zip: a")["image"] == "images/boats/1.jpg"
    assert abs(shown(raw)[0, 0].astype(int) - [254, 0, 0]).max() <= 2, "the first view"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_a_listed_format_is_opened_whatever_it_is_called(tmp_path, kind):
    raw = written(Image.new("RGB", (4, 4), "red"), kind)
    name = save_image(raw, tmp_path, "boats", "1", "x.zip: a.tiff")["image"]
    assert name == f"images/boats/1.{pictures.FORMATS[kind]}"
    assert read_image(tmp_path / name, file_digest(tmp_path / name)).size == (4, 4)


def bombs() -> dict[str, tuple[bytes, str]]:
    """Files that are no image of a listed format, or one beyond the limits; and what is said of each."""
    image = Image.new("RGB", (4, 4), "red")
    text = PngImagePlugin.PngInfo()
    text.add_text("parameters", "x" * 5_000_000, zip=True)
    return {
        "PostScript": (POSTSCRIPT, "but PostScript. Convert it"),
        "TIFF": (written(image, "TIFF"), "but a TIFF image. Convert it to PNG or JPEG"),
        "AVIF": (b"\0\0\0\x20ftypavif\0\0\0\0", "but an AVIF image"),
        "HEIC": (b"\0\0\0\x20ftypheic\0\0\0\0", "but a HEIC image"),
        "JPEG 2000": (written(image, "JPEG2000"), "but a JPEG 2000 image"),
        "PDF": (written(image, "PDF"), "but a PDF file"),
        "PPM": (written(image, "PPM"), "listed format"),
        "SVG": (b"\n<svg xmlns='x'/>", "but an SVG image"),
        "a web page": (b"<!DOCTYPE html><html>", "but a web page"),
        "a pointer": (b"version https://git-lfs.github.com/spec/v1\n", "but a Git LFS pointer"),
        "nothing": (b"", "but an empty file"),
        "a small bomb": (png_of(10_000, 10_000), "more than 89 million pixels. Scale it down"),
        "a bomb": (png_of(60_000, 60_000), "more than 89 million pixels. Scale it down"),
        "long text": (written(image, pnginfo=text), "metadata is too large"),
        "a long profile": (with_profile(b"\0" * 5_000_000), "metadata is too large"),
        "half of it": (written(image, "JPEG")[:-100], "not a complete image"),
        "no pixels": (png_of(100, 100), "not a complete image"),
    }


@pytest.mark.parametrize("name", bombs())
def test_whatever_is_refused_is_one_error_that_helps(tmp_path, name):
    raw, said = bombs()[name]
    path = tmp_path / "prompts" / "images" / "boats" / "1.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(raw)
    for attempt in (
        lambda: save_image(raw, tmp_path, "boats", "1", "x.zip: a.png"),
        lambda: read_image(path, file_digest(path)),
    ):
        with pytest.raises(InputError, match=re.escape(said)) as caught:
            attempt()
        assert "elete the archive" not in str(caught.value)


def test_nothing_of_an_image_is_run(tmp_path, monkeypatch):
    """PostScript in a `.png`: PIL alone would start Ghostscript, so the trap can catch something."""
    ghostscript = tmp_path / "gs"
    ghostscript.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    ghostscript.chmod(0o755)
    picture = tmp_path / "picture.png"
    picture.write_bytes(POSTSCRIPT)

    def run(code: str) -> tuple[bool, str]:
        """Whether a Python of its own started Ghostscript in these lines, and what it said."""
        (tmp_path / "started").unlink(missing_ok=True)
        environment = {
            **os.environ,
            "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT / "workflow" / "scripts"),
        }
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
        return (tmp_path / "started").exists(), done.stderr

    started, _ = run(f"from PIL import Image; Image.open({str(picture)!r}).load()")
    assert started, "the trap does not work"
    started, said = run(
        "from pathlib import Path\nfrom layerwise.prompts.images import save_image\n"
        f"save_image(Path({str(picture)!r}).read_bytes(), Path({str(tmp_path)!r}), 'a', 'b', 'x.zip: picture.png')"
    )
    assert not started and "x.zip: picture.png: not a complete image" in said


def test_only_one_place_opens_images():
    """The limits hold everywhere because nothing else opens one."""
    places = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "workflow").rglob("*.py")
        if re.search(r"\bImage\.open\(|\bimread\(|load_image\(", path.read_text())
    ]
    assert places == ["workflow/scripts/layerwise/pictures.py"]


def test_a_file_that_looks_like_nothing_has_no_kind(tmp_path):
    assert signatures.kind(b"id,prompt\n1,hello\n") is None
    assert signatures.kind(Path(__file__).read_bytes()) is None
