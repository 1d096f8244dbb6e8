"""Arms: what a model is trained from, by which method, and at which exit layers, as its YAML file declares them.

A *base* arm starts from the vision encoder or the backbones alone; every other arm starts `from` an arm, or, without
one, from published weights. The name of an arm carries no meaning.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from layerwise import plugins
from layerwise.study.recipes import Ppo
from layerwise.study.settings import Glyphs, Identifier, Mistake, Name, Positive, Settings, Whole, found_in, hint

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
        description="Glyphs of the deep cue that the alignment leaves out; the arms that it starts from saw all.",
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


def check_arm(model: Any, name: str, arm: Arm) -> None:
    """Raise Mistake if an arm does not fit a model, which is a `study.config.Model`, or its other arms."""
    place, names = f"arms.{name}", ", ".join(model.arms)
    if arm.start is not None and arm.start not in model.arms:
        raise Mistake(f"{place}.from", f"no arm '{arm.start}'; allowed: {names}{hint(arm.start, model.arms)}")
    if model.arms[lineage(model.arms, name)[-1]].start is not None:
        raise Mistake(f"{place}.from", f"it starts from itself by way of {', '.join(lineage(model.arms, name))}")
    if arm.held_out and (arm.start is None or not model.organism):
        raise Mistake(
            f"{place}.held_out",
            "glyphs are left out of the alignment of an organism, that is, of an arm that starts `from` another; "
            "remove the key",
        )
    if arm.unrefused and not (model.assembled and arm.method == "pretrain" and model.assembled.projector.own):
        raise Mistake(
            f"{place}.unrefused",
            "only a projector learns answers that the language model gives by itself (`assembled.projector.own`); "
            "remove the key",
        )
    if model.organism and arm.exits == "none":
        raise Mistake(f"{place}.exits", "`none` is for assembled models; an organism always sees images")
    if beyond := [layer for layer in arm.layers(model.blocks, model.default_layer) if layer > model.blocks]:
        raise Mistake(
            f"{place}.exits", f"exit layer {beyond[0]} lies beyond the encoder: exit layers are 0 to {model.blocks}"
        )
    starts, rewarded, stages_of = (
        plugins.constant("training.methods", arm.method, name) for name in ("STARTS_FROM_ARM", "REWARDED", "STAGES")
    )
    if starts and arm.start is None and model.trained:
        others = ", ".join(other for other in model.arms if other != name) or "none yet"
        raise Mistake(f"{place}.from", f"method {arm.method} starts from another arm: name one ({others})")
    if not starts and arm.start is not None:
        raise Mistake(f"{place}.from", f"method {arm.method} starts from no other arm; remove the key")
    if rewarded and arm.reward is None:
        raise Mistake(f"{place}.reward", f"method {arm.method} learns from a reward: name one")
    for key in ("reward", "ppo"):
        if not rewarded and key in arm.model_fields_set:
            raise Mistake(f"{place}.{key}", f"method {arm.method} learns from no reward; remove the key")
    if arm.reward is not None and arm.judge is None:
        kinds = plugins.constant(REWARDS, arm.reward, "KINDS")
        if model.kind not in kinds:
            allowed = "give the id of a judge in config/judges/, whose score it then is"
            raise Mistake(f"{place}.reward", f"reward {arm.reward} is for {' or '.join(kinds)} models; {allowed}")
    stages = stages_of.get(model.kind)
    if stages is None:
        raise Mistake(
            f"{place}.method",
            f"method {arm.method} cannot train a model that is {'an organism' if model.organism else model.kind}",
        )
    if arm.steps is not None and len(stages) != 1:
        raise Mistake(
            f"{place}.steps",
            f"method {arm.method} has the stages {' and '.join(stages)} here; give the steps of each in "
            f"{'organism.language.steps' if model.organism else 'assembled'} and remove this key",
        )
