"""The vision encoder learns what each cell holds, then whether the two glyphs are the same.

The first stage trains local content only, read cell by cell. The second freezes the first blocks, which do not mix
cells yet, and adds the relation, read from the mean of all cells. So the relation forms in the later blocks, at a depth
set by the number of frozen blocks. (With end-to-end training it is readable after one block, and also if the first
stage reads the mean of all cells.) Heads sit at the default layer; blocks beyond it keep their initial weights.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from layerwise import plugins
from layerwise.models.organisms import Recipe
from layerwise.training.loop import Point, fit
from layerwise.world import world
from layerwise.world.language import COLOURS

LOCAL_FAMILIES = (0.2, 0.2, 0.2, 0.2, 0.2)
RELATION_FAMILIES = (0.1, 0.1, 0.1, 0.35, 0.35)
LOCAL_WEIGHT = 0.3


class Heads(nn.Module):
    """The heads that read the encoder's states during training and are discarded afterwards."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.content = nn.Linear(width, world.CONTENTS)
        self.colour = nn.Linear(width, len(COLOURS))
        self.relation = nn.Linear(width, 2)

    def local_loss(self, states: Tensor, scenes: world.Scenes) -> Tensor:
        """Loss on the content of every cell, with occupied cells weighing as much as empty ones, and on the colour."""
        contents = torch.from_numpy(scenes.contents())
        losses = nn.functional.cross_entropy(self.content(states).flatten(0, 1), contents.flatten(), reduction="none")
        full = (contents.flatten() > 0).float()
        content = (losses * full).sum() / full.sum() + (losses * (1 - full)).mean()
        item = states[torch.arange(len(states)), torch.from_numpy(scenes.item_cell())]
        return content + nn.functional.cross_entropy(self.colour(item), torch.from_numpy(scenes.colour))

    def relation_loss(self, states: Tensor, scenes: world.Scenes) -> Tensor:
        """Loss on two equal glyphs against everything else."""
        same = torch.from_numpy(scenes.deep_hazard).long()
        return nn.functional.cross_entropy(self.relation(states.mean(1)), same)


def train_vision(organism: dict, default_layer: int, seed: int, name: str) -> tuple[nn.Module, list[Point]]:
    """A trained vision encoder and its curve. `organism` as in `recipes.Organism`; `name` is for progress lines."""
    recipe: Recipe = plugins.find("models.organisms", organism["recipe"])
    vision = organism["vision"]
    torch.manual_seed(seed)
    encoder, heads = recipe.new_vision(vision), Heads(vision["width"])

    def loss_of(stage: str, frozen: int, families: Sequence[float], rng: np.random.Generator, step: int) -> Tensor:
        scenes, images = world.sample(world.FAMILIES, vision["batch_size"], rng, families)
        pixel_values = torch.from_numpy(world.pixel_values(images))
        states = recipe.vision_states(encoder, pixel_values, default_layer, frozen)
        loss = LOCAL_WEIGHT * heads.local_loss(states, scenes)
        return loss + heads.relation_loss(states, scenes) if stage == "relation" else loss

    curve = []
    for stage, steps, frozen, families in (
        ("local", vision["local_steps"], 0, LOCAL_FAMILIES),
        ("relation", vision["relation_steps"], vision["frozen_blocks"], RELATION_FAMILIES),
    ):
        loss = partial(loss_of, stage, frozen, families, world.stream(seed, "vision", stage))
        parameters = [*recipe.vision_parameters(encoder, default_layer, frozen), *heads.parameters()]
        curve += fit(name, stage, parameters, loss, steps, vision["learning_rate"], vision["warmup"])
    return encoder, curve
