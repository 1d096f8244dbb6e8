"""Canonical JSON, sha256, and atomic writing, which leaves either the old file or the new one."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from layerwise.errors import InputError


def canonical(value: object) -> str:
    """A value as JSON with sorted keys and no spaces, ready to be hashed: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: object) -> str:
    """sha256, in hexadecimal, of the canonical JSON of a value."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """sha256, in hexadecimal, of a file's bytes."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def atomic(path: Path, binary: bool = False) -> Iterator[IO]:
    """A stream, of text or of bytes, whose content appears at `path` only when the block ends without an error.

    Raises InputError if the disk is full or the folder is not writable; the old file then stays.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        mode, encoding, newline = ("wb", None, None) if binary else ("w", "utf-8", "\n")
        with open(handle, mode, encoding=encoding, newline=newline) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror or error}. Free space or fix the permissions, then run again."
        ) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
