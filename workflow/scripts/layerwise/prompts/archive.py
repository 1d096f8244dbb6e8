"""Raw data sets as published: members of zip archives and folders, and CSV tables.

Nothing is unpacked. Members are read only by names from the archive's own listing, and files that are written get their
names from us, so no archive can reach outside itself.
"""

import csv
import io
import os
import re
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import TypeVar

from layerwise.errors import InputError

Item = TypeVar("Item")


class Archive:
    """The files in a zip archive or a folder. `names` are their paths with `/`, sorted."""

    def __init__(self, path: Path) -> None:
        """Raises InputError if `path` is neither a zip archive nor a folder."""
        self.path = Path(path)
        self._zip = None
        if self.path.is_dir():
            # The hub's cache holds links to files, so those are followed; links to folders are not.
            found = [Path(folder, name) for folder, _, files in os.walk(self.path) for name in files]
            self.names = sorted(file.relative_to(self.path).as_posix() for file in found)
        else:
            try:
                self._zip = zipfile.ZipFile(self.path)
            except (OSError, zipfile.BadZipFile) as error:
                raise InputError(
                    f"{self.path}: neither a zip archive nor a folder ({error}). Fetch it again."
                ) from error
            self.names = sorted(member.filename for member in self._zip.infolist() if not member.is_dir())
        self._by_last_part: dict[str, list[str]] = {}
        for name in self.names:
            self._by_last_part.setdefault(PurePosixPath(name).name, []).append(name)

    def find(self, path: str) -> str:
        """The only member whose path is `path` or ends in it, by whole parts: it may be inside a top folder.

        Raises InputError if there is no such member, or several, none of which is exactly `path`.
        """
        parts = PurePosixPath(path).parts
        same = self._by_last_part.get(parts[-1], []) if parts else []
        found = [name for name in same if PurePosixPath(name).parts[-len(parts) :] == parts]
        if path in found:
            return path
        if len(found) != 1:
            what = f"holds {len(found)} files '{path}'" if found else f"holds no file '{path}'"
            raise InputError(f"{self.path} {what} ({len(self.names)} files in all). Fetch the whole data set.")
        return found[0]

    def read(self, name: str) -> bytes:
        """The bytes of a member in `names`. Raises InputError naming it if it is damaged."""
        try:
            return self._zip.read(name) if self._zip else (self.path / name).read_bytes()
        except (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
            raise InputError(
                f"{self.path}: member '{name}' cannot be read ({error}). Delete the archive and fetch it again."
            ) from error


def content(path: Path, name: str) -> tuple[bytes, str]:
    """The bytes of a plain file, or of the member `name` of an archive or folder; and their origin, for messages."""
    if path.is_file() and not zipfile.is_zipfile(path):
        return path.read_bytes(), str(path)
    archive = Archive(path)
    member = archive.find(name)
    return archive.read(member), f"{path}: {member}"


def table(path: Path, name: str, columns: Iterable[str]) -> list[dict[str, str]]:
    """The rows of a CSV file with a header, as dicts; `path` is the file, or an archive or folder that holds `name`.

    Lines above the header that start with `#` are notes. Raises InputError, naming file and line, if a column is
    missing or a row has an empty cell in one of `columns`.
    """
    raw, origin = content(path, name)
    try:
        text = raw.decode("utf-8-sig")
        below = re.sub(r"\A(?:#.*\n)*", "", text)
        above = text.count("\n") - below.count("\n")
        reader = csv.DictReader(io.StringIO(below, newline=""), strict=True)
        missing = set(columns) - set(reader.fieldnames or ())
        if missing:
            there = ", ".join(reader.fieldnames or ()) or "none"
            raise InputError(f"{origin}: no column {', '.join(sorted(missing))}; found: {there}. Is it the right file?")
        rows = []
        for row in reader:
            empty = [column for column in columns if not (row[column] or "").strip()]
            if empty:
                raise InputError(
                    f"{origin}, line {above + reader.line_num}: column '{empty[0]}' is empty. Fetch the file again."
                )
            rows.append(row)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{origin}: not a CSV table in UTF-8 ({error}). Delete the file, then fetch it again."
        ) from error
    return rows


def attributes(row: Mapping[str, object], *columns: str) -> dict[str, str]:
    """The columns that a row fills, as a prompt's attributes: a file need not have them."""
    found = {column: str(row.get(column) or "").strip() for column in columns}
    return {column: text for column, text in found.items() if text}


def expect(rows: list, number: int | None, origin: Path) -> None:
    """Raise InputError if a table does not have the number of rows that the YAML file declares in `options.rows`."""
    if number is not None and len(rows) != number:
        raise InputError(
            f"{origin}: {len(rows)} rows, but key 'options.rows' of the data set says {number}. Fetch the file again, "
            "or change the key if this is the right file."
        )
