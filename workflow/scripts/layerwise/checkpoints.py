"""Checkpoints of judges: where a checkpoint lies, and whether its bytes are those that were meant.

A published one is named by the receipt of its download; one that was trained here lies beside a file `SHA256SUMS`, in
the format of the program sha256sum. A pickle can run any code when it is opened, so it is opened only after `verify`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from layerwise import assets
from layerwise.records import InputError, atomic, digest, file_digest

SUMS = "SHA256SUMS"


@dataclass(frozen=True)
class Checkpoint:
    """`path` is a file, or the folder of a repository; `sums` has the sha256 of each file by its name.

    `name` is the hub repository, where it comes from one, else the file's.
    """

    path: Path
    sums: Mapping[str, str]
    name: str

    @property
    def folder(self) -> Path:
        return self.path if self.path.is_dir() else self.path.parent

    @property
    def sha256(self) -> str:
        """One checksum that names all the files."""
        return digest(dict(self.sums))

    def verify(self) -> None:
        """Raise InputError where a file's bytes are not those that were meant."""
        for name, expected in self.sums.items():
            if file_digest(self.folder / name) != expected:
                raise InputError(
                    f"{self.folder / name} has not the checksum that was recorded. Delete it and run again."
                )


def find(weights: Path) -> Checkpoint:
    """The checkpoint that a receipt (`.json`) names, or that lies at a path beside its SHA256SUMS. Hashes nothing."""
    if weights.suffix == ".json":
        receipt, path = assets.read(weights), assets.resolve(weights)
        return Checkpoint(
            path, {file.name: file.sha256 for file in receipt.files}, receipt.source.get("repo", path.name)
        )
    sums = weights.parent / SUMS
    if not weights.exists() or not sums.exists():
        raise InputError(
            f"the checkpoint {weights} or its {SUMS} is missing. Delete the folder, and run again to train it."
        )
    lines = [line.split("  ", 1) for line in sums.read_text(encoding="utf-8").splitlines()]
    return Checkpoint(weights, {name: value for value, name in lines}, weights.name)


def record(folder: Path) -> None:
    """Write the SHA256SUMS of all files below a folder."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    with atomic(folder / SUMS) as stream:
        stream.writelines(f"{file_digest(folder / name)}  {name}\n" for name in names if name != SUMS)
