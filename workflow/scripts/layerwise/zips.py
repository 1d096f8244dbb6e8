"""Zip archives from elsewhere, wheels among them: every member is checked before it is read, and nothing is run.

A member may be refused for its size, for expanding too much (a zip bomb), for encryption, or for a compression other
than the usual one: of the others, a few kilobytes can fill the memory before their declared size is noticed.
"""

import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from layerwise.errors import InputError

# Bytes: of a file that is read into memory, of one that is unpacked onto the disk, of all files of an archive.
IN_MEMORY = 500_000_000
ON_DISK = 4_000_000_000
IN_ALL = 100_000_000_000
MOST_MEMBERS = 2_000_000
# A member of more than FREE bytes may expand to so many times its compressed size. Text reaches 20, a blank image 300.
FREE = 10_000_000
LARGEST_RATIO = 200
# What zipfile raises for archives that are not what they say.
DAMAGE = (
    ArithmeticError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
)
COMPRESSION = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Zip:
    """A zip archive. `members` are its files by name, in the order of the archive; folders are left out.

    Errors name it `called`, and `mend` says what to do if it is damaged.
    """

    def __init__(self, path: Path, called: str = "", mend: str = "Fetch it again") -> None:
        """Raises InputError if it is no zip archive, has two files of one name, or is too large."""
        self.called, self.mend = called or str(path), mend
        try:
            self._zip = zipfile.ZipFile(path)
            infos = [info for info in self._zip.infolist() if not info.is_dir()]
        except DAMAGE as error:
            raise InputError(f"{self.called}: a damaged zip archive ({error}). {mend}.") from error
        self.members = {info.filename: info for info in infos}
        if len(self.members) < len(infos):
            twice = next(info.filename for info in infos if self.members[info.filename] is not info)
            raise InputError(f"{self.called} holds two files '{twice}', and one may hide the other: refused. {mend}.")
        if len(infos) > MOST_MEMBERS or self.size(self.members) > IN_ALL:
            raise InputError(
                f"{self.called} holds {len(infos):,} files of {self.size(self.members) / 1e9:,.1f} GB in all; the "
                f"limits are {MOST_MEMBERS:,} and {IN_ALL / 1e9:,.0f} GB. Repack a part of it."
            )

    def size(self, names: Iterable[str]) -> int:
        """The bytes that these members unpack to, as the archive declares them; no member unpacks to more."""
        return sum(self.members[name].file_size for name in names)

    def read(self, name: str) -> bytes:
        """The bytes of a member. Raises InputError naming it if it is refused, damaged, or too large for the memory."""
        with self.open(name, IN_MEMORY) as stream:
            return stream.read()

    @contextmanager
    def open(self, name: str, largest: int = ON_DISK) -> Iterator[IO[bytes]]:
        """A member as a stream. Raises InputError, naming it, if it is refused or damaged."""
        info = self.members[name]
        if reason := _refused(info, largest):
            raise InputError(f"{self.called}: member '{name}' {reason}: refused. Repack the archive, or leave it out.")
        try:
            stream = self._zip.open(info)
        except DAMAGE as error:
            raise self._damaged(name, error) from error
        with stream:
            try:
                yield stream
            except (EOFError, zipfile.BadZipFile, zlib.error) as error:
                raise self._damaged(name, error) from error

    def _damaged(self, name: str, error: Exception) -> InputError:
        return InputError(f"{self.called}: member '{name}' is damaged and cannot be read ({error}). {self.mend}.")


def _refused(info: zipfile.ZipInfo, largest: int) -> str | None:
    """Why a member is not opened; None if it is."""
    if info.flag_bits & 0x1:
        return "is encrypted"
    if info.compress_type not in COMPRESSION:
        return f"has a compression other than deflate (number {info.compress_type})"
    if info.file_size > largest:
        return f"unpacks to {info.file_size / 1e9:,.1f} GB, more than {largest / 1e9:,.1f} GB"
    if info.file_size > max(FREE, LARGEST_RATIO * info.compress_size):
        return f"unpacks to {info.file_size / 1e6:,.0f} MB from {info.compress_size / 1e6:,.2f} MB, as a zip bomb does"
    return None
