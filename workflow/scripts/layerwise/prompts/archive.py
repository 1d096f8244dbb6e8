"""Raw data sets as published: members of zip archives and folders, CSV tables and JSON.

Nothing is unpacked. Members are read only by names from the archive's own listing, and files that are written get their
names from us, so no archive can reach outside itself.
"""

import csv
import io
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from zipfile import is_zipfile

from layerwise import signatures, zips
from layerwise.errors import InputError

Item = TypeVar("Item")
# What an id of a row may be: it becomes a part of a file's name.
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


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
        elif is_zipfile(self.path):
            self._zip = zips.Zip(self.path)
            self.names = sorted(self._zip.members)
        else:
            what = _kind(self.path) if self.path.is_file() else "missing"
            raise InputError(
                f"{self.path}: neither a zip archive nor a folder, but {what}. Fetch it again, or repack it."
            )
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
        """The bytes of a member in `names`. Raises InputError naming it if it is refused or damaged."""
        return self._zip.read(name) if self._zip else read_whole(self.path / name)


def content(path: Path, name: str) -> tuple[bytes, str]:
    """The bytes of a plain file, or of the member `name` of an archive or folder; and their origin, for messages."""
    if path.is_file() and not is_zipfile(path):
        return read_whole(path), str(path)
    archive = Archive(path)
    member = archive.find(name)
    return archive.read(member), f"{path}: {member}"


def json_content(path: Path, name: str, what: str, object_hook: Callable[[dict], Any] | None = None) -> tuple[Any, str]:
    """The value in a JSON file, found as `content` finds it, and its origin.

    Raises InputError, which calls what is expected `what`, for anything else.
    """
    raw, origin = content(path, name)
    try:
        return json.loads(raw.decode("utf-8-sig"), object_hook=object_hook), origin
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{origin}: not {what} ({error}). Fetch it again.") from error


def table(path: Path, name: str, columns: Iterable[str], id: str | None = None) -> list[dict[str, str]]:
    """The rows of a CSV file with a header, as dicts; `path` is the file, or an archive or folder that holds `name`.

    Lines above the header that start with `#` are notes. All cells are text, those of the column `id` too: it names
    rows and files. Raises InputError, naming file and line, if a column is missing or named twice, if a row has more or
    fewer cells than the header, an empty cell in one of `columns`, or an id that is invalid or taken.
    """
    raw, origin = content(path, name)
    columns = [*columns, *filter(None, [id])]
    try:
        text = raw.decode("utf-8-sig")
        below = re.sub(r"\A(?:#.*\n)*", "", text)
        above = text.count("\n") - below.count("\n")
        if "\0" in text:
            raise InputError(f"{origin}, line {text[: text.index(chr(0))].count(chr(10)) + 1}: a NUL byte. Remove it.")
        reader = csv.reader(io.StringIO(below, newline=""), strict=True)
        header = next(reader, [])
        _check_header(header, columns, origin)
        rows: list[dict[str, str]] = []
        taken: dict[str, str] = {}
        for cells in reader:
            if not cells:  # an empty line
                continue
            where = f"{origin}, line {above + reader.line_num}"
            if len(cells) != len(header):
                raise InputError(
                    f"{where}: {len(cells)} cells, but the header has {len(header)}. Is a text with a comma, a "
                    "quote or a line break not in quotes?"
                )
            row = dict(zip(header, cells, strict=True))
            if empty := [column for column in columns if not row[column].strip()]:
                raise InputError(f"{where}: column '{empty[0]}' is empty. Fetch the file again.")
            if id:
                _check_id(row[id], where, taken)
            rows.append(row)
    except (UnicodeDecodeError, csv.Error) as error:
        what = signatures.kind(raw)
        found = f"it is {what}" if what else str(error)
        raise InputError(f"{origin}: not a CSV table in UTF-8 ({found}). Fetch it again, or save it as one.") from error
    if not rows:
        raise InputError(f"{origin}: a header, but no rows. Fetch the file again.")
    return rows


def attributes(row: Mapping[str, object], *columns: str) -> dict[str, str]:
    """The columns that a row fills, as a prompt's attributes: a file need not have them."""
    found = {column: str(row.get(column) or "").strip() for column in columns}
    return {column: text for column, text in found.items() if text}


def padded(id: str, digits: int) -> str:
    """A row's id as it stands in names: a whole number with leading zeros, any other text as it is."""
    return id.zfill(digits) if id.isdecimal() else id


def _check_header(header: list[str], columns: Iterable[str], origin: str) -> None:
    if twice := sorted(column for column, times in Counter(header).items() if times > 1):
        raise InputError(f"{origin}: the header has column '{twice[0]}' twice. Rename or remove one.")
    if missing := set(columns) - set(header):
        there = ", ".join(header) or "none"
        other = next((sign for sign in ";\t|" if len(header) == 1 and sign in header[0]), None)
        hint = f"Its cells are separated by {other!r}: save it with commas." if other else "Is it the right file?"
        raise InputError(f"{origin}: no column {', '.join(sorted(missing))}; found: {there}. {hint}")


def _check_id(id: str, where: str, taken: dict[str, str]) -> None:
    """Raise InputError for an id that cannot name a file, or that an earlier row has; 1, 01 and 001 are one id."""
    if not ID.fullmatch(id):
        raise InputError(
            f"{where}: {id!r} is no id: up to 100 letters (a-z), digits, dots, hyphens and underscores name a row."
        )
    key = str(int(id)) if id.isdecimal() else id
    if key in taken:
        raise InputError(f"{where}: id {id!r} was used before (line {taken[key]}). Ids must be unique.")
    taken[key] = where.rpartition(" ")[2]


def read_whole(path: Path) -> bytes:
    """A file's bytes. Raises InputError if it cannot be read or is too large for the memory."""
    try:
        if path.stat().st_size > zips.IN_MEMORY:
            raise InputError(f"{path}: more than {zips.IN_MEMORY / 1e6:,.0f} MB: refused. Take a smaller part of it.")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}). Fetch it again.") from error


def _kind(path: Path) -> str:
    with open(path, "rb") as stream:
        return signatures.kind(stream.read(512)) or "something else, or damaged"


def expect(rows: list, number: int | None, origin: Path) -> None:
    """Raise InputError if a table does not have the number of rows that the YAML file declares in `options.rows`."""
    if number is not None and len(rows) != number:
        raise InputError(
            f"{origin}: {len(rows)} rows, but key 'options.rows' of the data set says {number}. Fetch the file again, "
            "or change the key if this is the right file."
        )
