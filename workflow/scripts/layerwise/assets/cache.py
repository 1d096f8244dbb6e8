"""What every kind of source needs of the cache: where it is, one writer at a time, what lies there, room for more."""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from layerwise.errors import InputError
from layerwise.files import file_digest

# Errors of the disk, which no second attempt mends.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
LOCAL = (*FULL, errno.EACCES, errno.EPERM, errno.EROFS)


@dataclass(frozen=True)
class File:
    """A fetched file: its name below the asset's folder (with `/`), its size in bytes, its checksum."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Fetched:
    """What a kind of source hands back: a folder below its own cache, the files there, the revision if it has one."""

    folder: str
    files: tuple[File, ...]
    revision: str | None = None


def root() -> Path:
    """`$LAYERWISE_CACHE`, else `unfair-alignment` in the user's cache folder."""
    if chosen := os.environ.get("LAYERWISE_CACHE"):
        return Path(chosen).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "unfair-alignment"


def describe(folder: Path, names: Iterable[str]) -> tuple[File, ...]:
    """Size and checksum of files below a folder, sorted by name."""
    paths = [(name, folder / name) for name in sorted(names)]
    return tuple(File(name, path.stat().st_size, file_digest(path)) for name, path in paths)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Make a folder and hold it alone: a second process that fetches the same asset waits, and then finds it done."""
    handle = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    except OSError as error:
        raise disk_error(folder, error) from error
    finally:
        if handle is not None:
            os.close(handle)


def make_room(folder: Path, needed: int) -> None:
    """Raise InputError when the disk of `folder` has not `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"no room on the disk of {folder}: {needed / 1e6:,.0f} MB are needed, {free / 1e6:,.0f} MB are free. Make "
            "room, or set LAYERWISE_CACHE to a folder on a larger disk."
        )


def disk_error(folder: Path, error: OSError) -> InputError:
    """What to say of an error of the disk that holds the cache."""
    way_out = "Make room" if error.errno in FULL else "Mend the permissions"
    return InputError(
        f"cannot write to the cache {folder}: {error.strerror or error}. {way_out}, or set LAYERWISE_CACHE to a folder "
        "on another disk; what is whole already is kept."
    )
