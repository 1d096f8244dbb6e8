"""Reads and writes `save_pretrained` folders. A kill leaves no half of one: whoever sees the weights sees it all."""

import os
import tempfile
from pathlib import Path

from transformers import PreTrainedModel

from layerwise.records import InputError

WEIGHTS = "model.safetensors"


def load(kind: type[PreTrainedModel], weights: Path) -> PreTrainedModel:
    """The model of a class whose weights these are, <folder>/model.safetensors."""
    model = kind.from_pretrained(weights.parent, local_files_only=True)
    model.config.name_or_path = ""  # else the folder's path is written into every checkpoint that it becomes a part of
    return model


def save(weights: Path, *parts) -> None:
    """Save each of `parts` (a model; its processor) into the folder of `weights`, which is <folder>/model.safetensors.

    The files are written aside and renamed one by one, the weights last. Raises InputError where that cannot be done.
    """
    if weights.name != WEIGHTS:
        raise InputError(f"--output {weights}: transformers names weights {WEIGHTS}. Give a path that ends so.")
    os.umask(mask := os.umask(0))
    try:
        weights.parent.mkdir(parents=True, exist_ok=True)
        weights.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(dir=weights.parent, prefix=".saving-") as aside:
            for part in parts:
                part.save_pretrained(aside)
            for file in sorted(Path(aside).iterdir(), key=lambda file: file.name == WEIGHTS):
                file.chmod(0o666 & ~mask)  # safetensors makes its file readable by the owner alone
                with open(file, "rb") as stream:
                    os.fsync(stream.fileno())
                file.replace(weights.with_name(file.name))
    except OSError as error:
        raise InputError(
            f"cannot write {weights}: {error.strerror or error}. Make room or mend the permissions, then run again."
        ) from error
