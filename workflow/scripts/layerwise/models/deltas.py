"""Deltas: checkpoints that hold only what was tuned, and the path of the checkpoint that holds the rest.

A folder with `below.json` is a delta on what it names by a path relative to itself: the folder of another checkpoint,
which may be a delta too, or the receipt of a published one. So ten arms of one model take only ten times the space of
what was tuned. A tuned tensor is stored whole, or as two factors of low rank (LoRA, Hu et al. 2022) whose product is
added to the tensor below; the sum has the type of the weights, so in bfloat16 it is rounded.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from layerwise.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

BELOW = "below.json"
WEIGHTS = "model.safetensors"
# What follows the name of a weight (out, in) in the names of its factors: (rank, in) and (out, rank).
DOWN, UP = ".lora_A", ".lora_B"


@dataclass(frozen=True)
class Delta:
    """Tensors by their name in the model, and what has all the others: a folder or a receipt, relative to the delta."""

    tensors: Mapping
    below: str

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the delta as transformers writes models."""
        from safetensors.torch import save_file

        save_file({name: tensor.detach().contiguous() for name, tensor in self.tensors.items()}, Path(folder) / WEIGHTS)
        (Path(folder) / BELOW).write_text(json.dumps({"below": self.below}) + "\n")


def between(start: Path, weights: Path) -> str:
    """The `below` of a delta with these weights, <folder>/model.safetensors, on `start`: the same, or a receipt."""
    return os.path.relpath(start if start.suffix == ".json" else start.parent, weights.parent)


def chain(folder: Path) -> list[Path]:
    """What makes up a checkpoint, the complete one first: folders, or a receipt and folders.

    Raises InputError if one is missing.
    """
    found = [Path(folder)]
    while (pointer := found[0] / BELOW).exists():
        below = (found[0] / json.loads(pointer.read_text())["below"]).resolve()
        if not (below if below.suffix == ".json" else below / WEIGHTS).is_file():
            what = "does not exist" if below.suffix == ".json" else f"holds no {WEIGHTS}"
            raise InputError(f"{pointer} names {below}, which {what}. Run the rule that makes it again.")
        found.insert(0, below)
    return found


def apply(model: "nn.Module", tensors: "dict[str, Tensor]") -> None:
    """Put a delta's tensors into a model. Raises ValueError if the model has no such weights."""
    parameters = dict(model.named_parameters())
    for name in [name for name in tensors if name.endswith(UP)]:
        weight = parameters.get(name.removesuffix(UP))
        down, up = tensors.pop(name.removesuffix(UP) + DOWN), tensors.pop(name)
        if weight is None or weight.shape != (len(up), down.shape[1]):
            raise ValueError(f"the factors of {name.removesuffix(UP)} do not fit the model")
        weight.data = (weight.data.float() + (up @ down).to(weight.device)).to(weight)
    unknown = model.load_state_dict(tensors, strict=False).unexpected_keys
    if unknown:
        raise ValueError(f"it holds weights that the model lacks, such as {unknown[0]}")
