"""What a file is, by its first bytes: for messages that say what was found in place of an image or a table."""

STARTS = (
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"%PDF", "a PDF file"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL image"),
    (b"\xff\x0a", "a JPEG XL image"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 image"),
    (b"8BPS", "a Photoshop file"),
    (b"<svg", "an SVG image"),
    (b"<?xml", "XML"),
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
    (b"version https://git-lfs", "a Git LFS pointer in place of the file"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ\0", "an xz file"),
    (b"(\xb5/\xfd", "a zstd file"),
    (b"7z\xbc\xaf'\x1c", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"PAR1", "a Parquet table"),
    (b"ARROW1", "an Arrow table"),
    (b"SQLite format 3", "a SQLite database"),
    (b"\xff\xfe", "text in UTF-16"),
    (b"\xfe\xff", "text in UTF-16"),
    (b"\x80\x04\x95", "a pickle"),
)
BRANDS = {b"avif": "an AVIF image", b"avis": "an AVIF image", b"heic": "a HEIC image", b"mif1": "a HEIC image"}


def kind(raw: bytes) -> str | None:
    """What bytes look like, such as `a TIFF image`; None if they look like nothing that is listed here."""
    if not raw:
        return "an empty file"
    if raw[4:8] == b"ftyp":
        return BRANDS.get(raw[8:12], "a video or an image of the ISO media format")
    if raw[257:262] == b"ustar":
        return "a tar archive"
    start = raw[:200].lstrip().lower()
    return next((name for sign, name in STARTS if raw.startswith(sign) or start.startswith(sign)), None)
