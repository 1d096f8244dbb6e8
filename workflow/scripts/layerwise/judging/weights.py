"""Checkpoints of judges: where they are, and whether their bytes are the right ones.

The receipt of its download names a published checkpoint; a checkpoint trained here lies in a folder with a `SHA256SUMS`
file in the format of sha256sum. A pickle can run code when it is opened: `check_pickle` accepts plain values and
tensors alone.
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
    """The files of a checkpoint: `sums` has the sha256 of each, by its name below `folder`.

    `name` is the hub repository's name, or the folder's if the checkpoint does not come from the hub.
    """

    folder: Path
    sums: Mapping[str, str]
    name: str

    @property
    def sha256(self) -> str:
        """One checksum of all the files together."""
        return digest(dict(self.sums))

    def file(self, suffix: str) -> Path:
        """The file with this suffix. Raises InputError unless there is exactly one."""
        found = [name for name in self.sums if name.endswith(suffix)]
        if len(found) != 1:
            raise InputError(
                f"the checkpoint {self.folder} must hold exactly one file *{suffix}; it holds {len(found)}."
            )
        return self.folder / found[0]

    def verify(self) -> None:
        """Raise InputError if a file does not have its recorded checksum."""
        for name, expected in self.sums.items():
            path = self.folder / name
            if not path.is_file() or file_digest(path) != expected:
                raise InputError(f"checksum mismatch: {path}. Delete its folder, then run again.")


def check_pickle(path: Path) -> None:
    """Raise InputError unless a checkpoint in torch's format holds plain values and tensors alone.

    Opening it then runs nothing, whoever opens it.
    """
    import pickle

    import torch

    try:
        torch.load(path, map_location="meta", weights_only=True)
    except (pickle.UnpicklingError, EOFError, OSError, RuntimeError, ValueError) as error:
        reason = next((line for line in str(error).splitlines() if "WeightsUnpickler error" in line), str(error))
        raise InputError(
            f"the checkpoint {path} is not opened: it is damaged, or holds more than weights and could run code "
            f"({reason[:200]}). Take it from its official home."
        ) from error


def find_checkpoint(weights: Path) -> Checkpoint:
    """The checkpoint that a receipt (`.json`) names, or the one in the folder of this file and its SHA256SUMS.

    Hashes nothing. Raises InputError if there is no checkpoint.
    """
    if weights.suffix == ".json":
        receipt, path = assets.read(weights), assets.resolve(weights)
        folder = path if path.is_dir() else path.parent
        sums = {file.name: file.sha256 for file in receipt.files}
        return Checkpoint(folder, sums, receipt.source.get("repo", folder.name))
    listing = weights.parent / SUMS
    if not weights.exists() or not listing.exists():
        raise InputError(f"the checkpoint {weights} or its {SUMS} is missing. Delete its folder, then run again.")
    lines = [line.split("  ", 1) for line in listing.read_text(encoding="utf-8").splitlines()]
    return Checkpoint(weights.parent, {name: value for value, name in lines}, weights.parent.name)


def record_checksums(folder: Path) -> None:
    """Write the SHA256SUMS of all files below a folder, except hidden ones, which a killed process may have left."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    names = sorted(path.relative_to(folder).as_posix() for path in files)
    with atomic(folder / SUMS) as stream:
        stream.writelines(f"{file_digest(folder / name)}  {name}\n" for name in names if name != SUMS)
