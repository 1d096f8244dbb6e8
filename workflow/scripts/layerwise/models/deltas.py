"""Checkpoints that hold only what differs from another one: a few tuned tensors, and where the rest lies.

A folder with `below.json` is laid over the folder that it names, by a path relative to itself; that one may be laid
over another. The lowest is a plain `save_pretrained` folder. So ten arms of one model cost ten times what was tuned.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from layerwise.errors import InputError

BELOW = "below.json"
WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Delta:
    """Tensors by their name in the model, and the folder of the checkpoint that has all others."""

    tensors: Mapping
    below: Path

    def save_pretrained(self, folder: str | Path) -> None:
        """Write it as transformers' models are written; `below` must be a neighbour of the folder's final place."""
        from safetensors.torch import save_file

        save_file({name: tensor.detach().contiguous() for name, tensor in self.tensors.items()}, Path(folder) / WEIGHTS)
        (Path(folder) / BELOW).write_text(json.dumps({"below": f"../{self.below.name}"}) + "\n")


def chain(folder: Path) -> list[Path]:
    """The folders that make up a checkpoint, the whole one first. Raises InputError where one is missing."""
    found = [Path(folder)]
    while (pointer := found[0] / BELOW).exists():
        below = (found[0] / json.loads(pointer.read_text())["below"]).resolve()
        if not (below / WEIGHTS).is_file():
            raise InputError(f"{pointer} names {below}, which holds no {WEIGHTS}. Run the rule that trains it again.")
        found.insert(0, below)
    return found
