"""Deltas: checkpoints that hold only a few tuned tensors, and the path of the checkpoint that holds the rest.

A folder with `below.json` is a delta on the folder that it names by a path relative to itself, which may be a delta
too. The lowest is a plain `save_pretrained` folder. So ten arms of one model take only ten times the space of what was
tuned.
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
    """Tensors by their name in the model, and the folder of the checkpoint that has all the others."""

    tensors: Mapping
    below: Path

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the delta as transformers writes models; `below` must be a sibling of the folder's final place."""
        from safetensors.torch import save_file

        save_file({name: tensor.detach().contiguous() for name, tensor in self.tensors.items()}, Path(folder) / WEIGHTS)
        (Path(folder) / BELOW).write_text(json.dumps({"below": f"../{self.below.name}"}) + "\n")


def chain(folder: Path) -> list[Path]:
    """The folders that make up a checkpoint, the complete one first. Raises InputError if one is missing."""
    found = [Path(folder)]
    while (pointer := found[0] / BELOW).exists():
        below = (found[0] / json.loads(pointer.read_text())["below"]).resolve()
        if not (below / WEIGHTS).is_file():
            raise InputError(f"{pointer} names {below}, which holds no {WEIGHTS}. Run the rule that trains it again.")
        found.insert(0, below)
    return found
