"""Raw data sets as their homes ship them: members of zip archives and folders, CSV tables, seeded draws, images.

Nothing is unpacked. A member is only ever read by a name out of the archive's own listing, and what is written gets its
name from us, so no archive can reach outside itself. Images keep their bytes: they are decoded to see that they are
whole, never encoded again.
"""

import csv
import hashlib
import io
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable
from itertools import combinations, zip_longest
from pathlib import Path, PurePosixPath
from typing import TypeVar

from PIL import Image, UnidentifiedImageError

from layerwise.records import InputError

Item = TypeVar("Item")

# What PIL calls the formats that data sets come in, and the file names' endings.
FORMATS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif", "BMP": "bmp"}


def settings(spec: dict, **defaults: object) -> dict:
    """A data set's options laid over its builder's defaults; raises InputError for an option that it does not know."""
    for key in spec["options"]:
        if key not in defaults:
            allowed = ", ".join(sorted(defaults)) or "none"
            raise InputError(f"{_yaml(spec)}: unknown key 'options.{key}'; allowed: {allowed}.")
    return {**defaults, **spec["options"]}


def source(spec: dict, sources: dict[str, Path], name: str) -> Path:
    """The local file or folder of a named source; raises InputError where the YAML file gives none of that name."""
    if name not in sources:
        raise InputError(
            f"{_yaml(spec)}: key 'sources.{name}' is missing, and builder '{spec['builder']}' reads it. "
            f"Given: {', '.join(sorted(sources)) or 'none'}."
        )
    return sources[name]


def choice(spec: dict, options: dict, key: str, allowed: Iterable[str]) -> str:
    """The value of an option that is one of a few words; raises InputError for another."""
    if options[key] not in allowed:
        raise InputError(
            f"{_yaml(spec)}: key 'options.{key}': there is no {options[key]!r}; allowed: {', '.join(allowed)}."
        )
    return options[key]


def _yaml(spec: dict) -> str:
    return f"config/datasets/{spec['dataset']}.yaml"


class Archive:
    """The files in a zip archive or a folder. `names` are their paths with `/`, sorted."""

    def __init__(self, path: Path) -> None:
        """Raises InputError where there is neither a zip archive nor a folder."""
        self.path = Path(path)
        self._zip = None
        if self.path.is_dir():
            # A hub's cache holds links to its files: links to files are followed, links to folders are not.
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
        """The one member whose path is `path` or ends in it, by whole parts: a top folder may stand before it.

        Raises InputError where there is none, or several of which none is exactly `path`.
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
        """The bytes of a member, out of `names`; raises InputError naming it where it is damaged."""
        try:
            return self._zip.read(name) if self._zip else (self.path / name).read_bytes()
        except (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
            raise InputError(
                f"{self.path}: member '{name}' cannot be read ({error}). Delete the archive and fetch it again."
            ) from error


def content(path: Path, name: str) -> tuple[bytes, str]:
    """A plain file's bytes, or those of the member `name` of an archive or folder; and their origin, for messages."""
    if path.is_file() and not zipfile.is_zipfile(path):
        return path.read_bytes(), str(path)
    archive = Archive(path)
    member = archive.find(name)
    return archive.read(member), f"{path}: {member}"


def table(path: Path, name: str, columns: Iterable[str]) -> list[dict[str, str]]:
    """The rows of a CSV file with a header, one dict a row; `path` is the file, or an archive or folder with `name`.

    Lines above the header that begin with `#` are notes.
    Raises InputError, naming file and line, where a column is missing or a row has nothing in one of `columns`.
    """
    raw, origin = content(path, name)
    try:
        text = raw.decode("utf-8-sig")
        notes = re.match(r"(?:#.*\n)*", text)[0]
        above = notes.count("\n")
        reader = csv.DictReader(io.StringIO(text.removeprefix(notes), newline=""), strict=True)
        missing = set(columns) - set(reader.fieldnames or ())
        if missing:
            there = ", ".join(reader.fieldnames or ()) or "none"
            raise InputError(
                f"{origin}: no column {', '.join(sorted(missing))}; there are {there}. Is it another file?"
            )
        rows = []
        for row in reader:
            empty = [column for column in columns if not (row[column] or "").strip()]
            if empty:
                raise InputError(
                    f"{origin}, line {above + reader.line_num}: nothing in column '{empty[0]}'. Fetch the file again."
                )
            rows.append(row)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{origin}: not a CSV table in UTF-8 ({error}). Delete the file and fetch it again."
        ) from error
    return rows


def expect(rows: list, number: int | None, origin: Path) -> None:
    """Raise InputError where a table has not as many rows as the YAML file declares in `options.rows`."""
    if number is not None and len(rows) != number:
        raise InputError(
            f"{origin}: {len(rows)} rows, but key 'options.rows' of the data set says {number}. Fetch the file again, "
            "or change the key if the file is meant."
        )


def draw(
    items: Iterable[Item], seed: int, size: int | None = None, cluster: Callable[[Item], object] = str
) -> list[Item]:
    """Items in a seeded order, those of a cluster together, and of the first `size` clusters only (None: of all).

    Clusters stand in the order of sha256(`seed:cluster`). So two keep their order whatever others there are, it is the
    same in every language and version, and a larger size adds to a smaller one.
    """
    clusters: dict[object, list[Item]] = {}
    for item in items:
        clusters.setdefault(cluster(item), []).append(item)
    order = sorted(clusters, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())
    return [item for name in order[:size] for item in clusters[name]]


def in_turn(groups: Iterable[Iterable[Item]]) -> list[Item]:
    """The first item of each group, then the second of each, and so on; groups that are used up drop out.

    So however many of the first are taken, the groups have equal shares of them, as long as the smallest lasts.
    """
    nothing = object()
    rounds = zip_longest(*groups, fillvalue=nothing)
    return [item for items in rounds for item in items if item is not nothing]


def near_duplicates(words: list[frozenset[str]], share: float) -> list[int]:
    """For each text, given as its set of words, the number of the first one that it hangs together with, or its own.

    Two are near-duplicates if they have this share of the words that are in either (Jaccard index), or no word at all.
    """
    first = list(range(len(words)))
    for one, other in combinations(range(len(words)), 2):
        shared, either = len(words[one] & words[other]), len(words[one] | words[other])
        if first[one] != first[other] and shared >= share * either:
            low, high = sorted((first[one], first[other]))
            first = [low if number == high else number for number in first]
    return first


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
    archive = Archive(source(spec, sources, "images"))
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
