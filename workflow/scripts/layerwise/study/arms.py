"""Arms: what a model is trained from, by which method, and at which exit layers, as its YAML file declares them.

A *base* arm is trained from nothing but the vision encoder or the backbones; every other arm starts `from` one. Nothing
is read out of an arm's name.
"""

from typing import Annotated, Literal

from pydantic import Field

from layerwise.study.settings import Identifier, Name, Positive, Settings, Whole, found_in


class Arm(Settings):
    """One way of training a model."""

    start: Identifier | None = Field(
        None, alias="from", description="The arm that it starts from; absent: the encoder or the backbones alone."
    )
    method: Annotated[Name, found_in("training.methods")] = Field(
        description="The file in `training/methods/` that trains it."
    )
    exits: Literal["default", "all", "none"] | list[Whole] = Field(
        "default",
        description="Exit layers whose features it is trained on, one drawn for each example; `none`: without images.",
    )
    steps: Positive | None = Field(None, description="Training steps; absent: those of the recipe.")
    reward: str | None = Field(
        None, pattern="^[a-z0-9.-]+$", description="What a method that learns from a reward is rewarded with."
    )

    def layers(self, blocks: int, default_layer: int) -> list[int]:
        """The exit layers that training sees, of an encoder with so many blocks; empty without images."""
        named = {"default": [default_layer], "all": list(range(blocks + 1)), "none": []}
        return named[self.exits] if isinstance(self.exits, str) else sorted(set(self.exits))


def lineage(arms: dict[str, Arm], name: str) -> list[str]:
    """An arm and those that it is trained from, the base arm last; a circle ends where it closes."""
    found = [name]
    while (start := arms[found[-1]].start) and start in arms and start not in found:
        found.append(start)
    return found


def seed_of(arms: dict[str, Arm], name: str, seed: str) -> str:
    """The seed in the name of an arm's weights, of a subject of this seed: a base arm has the first part of `401a7`."""
    return seed if arms[name].start is not None else seed.partition("a")[0]
