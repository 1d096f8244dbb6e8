"""Checkpoints of judges: where a checkpoint lies, and whether its bytes are those that were meant.

A published one is named by the receipt of its download; one that was trained here lies in a folder with a file
`SHA256SUMS`, in the format of the program sha256sum. A pickle can run any code when it is opened, so it is opened only
after `verify`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from layerwise import assets
from layerwise.errors import InputError
from layerwise.files import atomic, digest, file_digest

SUMS = "SHA256SUMS"


@dataclass(frozen=True)
class Checkpoint:
    """The files of a checkpoint: `sums` has the sha256 of each by its name below `folder`.

    `name` is the hub repository, where it comes from one, else the folder's.
    """

    folder: Path
    sums: Mapping[str, str]
    name: str

    @property
    def sha256(self) -> str:
        """One checksum that names all the files."""
        return digest(dict(self.sums))

    def file(self, suffix: str) -> Path:
        """The one file with this suffix. Raises InputError where there is none, or more than one."""
        found = [name for name in self.sums if name.endswith(suffix)]
        if len(found) != 1:
            raise InputError(f"the checkpoint {self.folder} must hold one file *{suffix}; it holds {len(found)}.")
        return self.folder / found[0]

    def verify(self) -> None:
        """Raise InputError where a file's bytes are not those that were meant."""
        for name, expected in self.sums.items():
            path = self.folder / name
            if not path.is_file() or file_digest(path) != expected:
                raise InputError(f"{path} has not the checksum that was recorded. Delete its folder, and run again.")


def find_checkpoint(weights: Path) -> Checkpoint:
    """The checkpoint that a receipt (`.json`) names, or that lies where this file does, beside its SHA256SUMS.

    Hashes nothing. Raises InputError where there is no checkpoint.
    """
    if weights.suffix == ".json":
        receipt, path = assets.read(weights), assets.resolve(weights)
        folder = path if path.is_dir() else path.parent
        sums = {file.name: file.sha256 for file in receipt.files}
        return Checkpoint(folder, sums, receipt.source.get("repo", folder.name))
    listing = weights.parent / SUMS
    if not weights.exists() or not listing.exists():
        raise InputError(f"the checkpoint {weights} or its {SUMS} is missing. Delete its folder, and run again.")
    lines = [line.split("  ", 1) for line in listing.read_text(encoding="utf-8").splitlines()]
    return Checkpoint(weights.parent, {name: value for value, name in lines}, weights.parent.name)


def record_checksums(folder: Path) -> None:
    """Write the SHA256SUMS of all files below a folder, but for hidden ones, which a killed process may have left."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    names = sorted(path.relative_to(folder).as_posix() for path in files)
    with atomic(folder / SUMS) as stream:
        stream.writelines(f"{file_digest(folder / name)}  {name}\n" for name in names if name != SUMS)
