"""Arms: what a model is trained from, by which method, and at which exit layers, as its YAML file declares them.

A *base* arm starts from the vision encoder or the backbones alone; every other arm starts `from` an arm, or, without
one, from published weights. The name of an arm carries no meaning.
"""

from typing import Annotated, Literal

from pydantic import Field

from layerwise import plugins
from layerwise.study.recipes import Ppo
from layerwise.study.settings import Glyphs, Identifier, Name, Positive, Settings, Whole, found_in

REWARDS = "training.rewards"


class Arm(Settings):
    """One way of training a model."""

    start: Identifier | None = Field(
        None,
        alias="from",
        description="The arm it starts from; if absent, the encoder or the backbones alone, or the published weights.",
    )
    method: Annotated[Name, found_in("training.methods")] = Field(
        description="The training method: a file in `training/methods/`."
    )
    exits: Literal["default", "all", "none"] | list[Whole] = Field(
        "default",
        description="Exit layers to train on, one drawn for each example; `none` trains without images.",
    )
    steps: Positive | None = Field(None, description="Training steps; if absent, the recipe's or the method's.")
    held_out: Glyphs = Field(
        [],
        description="Glyphs of the deep cue that no training image of this arm shows; the arms below it saw all.",
    )
    unrefused: bool = Field(
        False, description="Leave out the examples that the language model refuses by itself (the tasks in `own`)."
    )
    reward: Identifier | None = Field(
        None,
        description="The reward, for a method that learns from one: a file in `training/rewards/`, or a judge in "
        "`config/judges/` whose score it is.",
    )
    ppo: Ppo = Field(Ppo(), description="How method `ppo` learns.")

    @property
    def judge(self) -> str | None:
        """The judge whose score is the reward, if it is one's."""
        named = self.reward is not None and self.reward.replace("-", "_") in plugins.names(REWARDS)
        return None if named else self.reward

    def layers(self, blocks: int, default_layer: int) -> list[int]:
        """The exit layers that training sees, for an encoder with `blocks` blocks; empty without images."""
        named = {"default": [default_layer], "all": list(range(blocks + 1)), "none": []}
        return named[self.exits] if isinstance(self.exits, str) else sorted(set(self.exits))


def lineage(arms: dict[str, Arm], name: str) -> list[str]:
    """An arm and its ancestors, the base arm last; a cycle ends where it closes."""
    found = [name]
    while (start := arms[found[-1]].start) and start in arms and start not in found:
        found.append(start)
    return found


def seed_of(arms: dict[str, Arm], name: str, seed: str) -> str:
    """The seed in the name of an arm's weights, given a subject's seed: of `401a7`, a base arm has the first part."""
    return seed if arms[name].start is not None else seed.partition("a")[0]
