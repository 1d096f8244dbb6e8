"""Wheels and the pages of a package index, for a real pip."""

import hashlib
import zipfile
from pathlib import Path


def build(
    folder: Path, members: dict[str, bytes], version: str = "1.0", python: str = ">=99", name: str = "acme-data"
) -> Path:
    """A wheel with these members, for a Python that nobody has: no code of it is needed."""
    stem = f"{name.replace('-', '_')}-{version}"
    path, info = folder / f"{stem}-py3-none-any.whl", f"{stem}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Python: {python}\n"
    described = {f"{info}/METADATA": metadata, f"{info}/WHEEL": "Wheel-Version: 1.0\nTag: py3-none-any\n"}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**members, **described, f"{info}/RECORD": ""}.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return path


def publish(folder: Path, hashes: bool = True) -> None:
    """The index page of the wheels in a folder."""
    links = []
    for path in sorted(folder.glob("*.whl")):
        checksum = f"#sha256={hashlib.sha256(path.read_bytes()).hexdigest()}" if hashes else ""
        links.append(f'<a href="{path.name}{checksum}">{path.name}</a>')
    (folder / "index.html").write_text(f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>")
