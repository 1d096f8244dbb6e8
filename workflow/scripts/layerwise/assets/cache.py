"""What every kind of source needs from the cache: its path, one writer at a time, its files, and room for more."""

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

# Disk errors, which a second attempt does not fix.
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
    """What a kind of source returns: a folder below its own cache, the files there, and the revision if it has one."""

    folder: str
    files: tuple[File, ...]
    revision: str | None = None


def root() -> Path:
    """`$LAYERWISE_CACHE`, or by default `unfair-alignment` in the user's cache folder."""
    if chosen := os.environ.get("LAYERWISE_CACHE"):
        return Path(chosen).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "unfair-alignment"


def describe(folder: Path, names: Iterable[str]) -> tuple[File, ...]:
    """Size and checksum of files below a folder, sorted by name."""
    paths = [(name, folder / name) for name in sorted(names)]
    return tuple(File(name, path.stat().st_size, file_digest(path)) for name, path in paths)


@dataclass(frozen=True)
class Found:
    """What a place says when it is asked without downloading: the size in bytes if it tells, and remarks."""

    size: int | None
    remarks: tuple[str, ...] = ()


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Create a folder and lock it: a second process that fetches the same asset waits, and then finds it complete."""
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
    """Raise InputError if the disk of `folder` has fewer than `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"not enough space on the disk of {folder}: {needed / 1e6:,.0f} MB needed, {free / 1e6:,.0f} MB free. Free "
            "space, or set LAYERWISE_CACHE to a folder on a larger disk."
        )


def disk_error(folder: Path, error: OSError) -> InputError:
    """The message for an error of the disk that holds the cache."""
    way_out = "Free space" if error.errno in FULL else "Fix the permissions"
    return InputError(
        f"cannot write to the cache {folder}: {error.strerror or error}. {way_out}, or set LAYERWISE_CACHE to a folder "
        "on another disk; complete files are kept."
    )
