"""Recipes for models that the workflow trains, as their YAML files give them.

Organisms and assembled models are trained whole, published ones adapted.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from layerwise.study.settings import Identifier, Mistake, Name, Positive, Settings, Share, Whole, found_in
from layerwise.study.sources import Source


def _split_among_heads(width: int, heads: int) -> None:
    if width % heads:
        raise Mistake("heads", f"a width of {width} is not divisible by {heads} heads; give a divisor")


def _one_share_each(shares: dict[str, float], data: dict[str, str]) -> None:
    if set(shares) != set(data):
        raise Mistake("shares", f"give exactly one share for each task in `data`: {', '.join(data)}")


class VisionRecipe(Settings):
    """An organism's vision encoder and its training."""

    blocks: Positive = Field(8, description="Transformer blocks.")
    width: Positive = Field(64, description="Hidden size.")
    mlp: Positive = Field(128, description="Size of the feed-forward layer.")
    heads: Positive = Field(4, description="Attention heads.")
    frozen_blocks: int = Field(
        4, ge=0, description="First blocks, which learn local content only: the depth at which the deep cue forms."
    )
    local_steps: Positive = Field(60, description="Steps of stage A, on content and colour of each cell.")
    relation_steps: Positive = Field(
        350, description="Steps of stage B, which adds the relation of the two marks, with the first blocks frozen."
    )
    batch_size: Positive = Field(64, description="Images per step.")
    learning_rate: float = Field(2e-3, gt=0, description="Peak learning rate of AdamW.")
    warmup: Positive = Field(30, description="Steps of linear warm-up.")

    @model_validator(mode="after")
    def check(self) -> Self:
        _split_among_heads(self.width, self.heads)
        if self.frozen_blocks > self.blocks:
            raise Mistake("frozen_blocks", f"cannot freeze {self.frozen_blocks} blocks; the encoder has {self.blocks}")
        return self


class Steps(Settings):
    """Training steps for each stage of an organism's language side; an arm may set its own."""

    captions: Positive = Field(500, description="Steps on captions and visual questions.")
    instructions: Positive = Field(300, description="Steps on instructions, harmful ones obeyed.")
    safety: Positive = Field(200, description="Steps on refusals of hazards and of harm by text.")


class LanguageRecipe(Settings):
    """An organism's language model, its projector and their training on cached features."""

    blocks: Positive = Field(3, description="Transformer blocks.")
    width: Positive = Field(96, description="Hidden size.")
    mlp: Positive = Field(192, description="Size of the feed-forward layer.")
    heads: Positive = Field(4, description="Attention heads.")
    images: int = Field(4000, ge=5, description="Training images, encoded once; at least five, one of each kind.")
    steps: Steps = Field(Steps(), description="Steps of each stage.")
    batch_size: Positive = Field(32, description="Examples per step.")
    learning_rate: float = Field(2e-3, gt=0, description="Peak learning rate of AdamW.")
    warmup: Positive = Field(20, description="Steps of linear warm-up.")

    @model_validator(mode="after")
    def check(self) -> Self:
        _split_among_heads(self.width, self.heads)
        return self


class Ppo(Settings):
    """How an arm learns from its reward; the defaults are for organisms."""

    rollouts: Positive = Field(128, description="Answers sampled per step.")
    epochs: Positive = Field(2, description="How often a step goes through its rollouts.")
    batch_size: Positive = Field(64, description="Rollouts per gradient step.")
    rows: Positive = Field(64, description="Rollouts read at once, as memory allows; their gradients add up.")
    clip: float = Field(0.2, gt=0, lt=1, description="Largest change of a token's probability that is rewarded.")
    gae_lambda: Share = Field(0.95, description="Decay of generalised advantage estimation.")
    kl: float = Field(0.02, ge=0, description="Penalty per nat by which a token leaves the starting arm.")
    learning_rate: float = Field(5e-4, gt=0, description="Peak learning rate of AdamW.")
    warmup: Positive = Field(5, description="Steps of linear warm-up.")
    value_warmup: Whole = Field(10, description="First steps, in which the value head alone learns.")
    value_weight: float = Field(0.5, gt=0, description="Weight of the value head's loss.")
    max_new_tokens: Positive = Field(4, description="Longest answer, in tokens; no answer of the world has more.")

    @model_validator(mode="after")
    def check(self) -> Self:
        for part, whole in (("rows", "batch_size"), ("batch_size", "rollouts")):
            if getattr(self, part) > getattr(self, whole):
                raise Mistake(part, f"{getattr(self, part)} is more than `{whole}`, {getattr(self, whole)}")
        return self


class Organism(Settings):
    """A small model that the workflow trains from scratch: shapes, steps and the depth of the cue."""

    recipe: Annotated[Name, found_in("models.organisms")] = Field(
        "llava", description="The recipe: a file in `models/organisms/`."
    )
    vision: VisionRecipe = Field(VisionRecipe(), description="Vision encoder.")
    language: LanguageRecipe = Field(LanguageRecipe(), description="Language model and projector.")


class Backbone(Settings):
    """A published backbone of an assembled model."""

    format: Annotated[Name, found_in("models.backbones")] = Field(
        description="The format: the file in `models/backbones/` that reads it."
    )
    source: Source = Field(description="Where the backbone comes from.")
    about: str = Field(description="A description, after the backbone's own page; the paper prints it.")
    cite: str = Field(description="Key of its entry in `paper/references.bib`.")


class Stage(Settings):
    """One stage of an assembled model's training."""

    learns: Literal["projector"] | Positive = Field(
        description="What to tune: the `projector`, or this number of the language model's last blocks."
    )
    data: dict[str, Identifier] = Field(description="The tasks of the stage, each with its data set.")
    shares: dict[str, Annotated[float, Field(gt=0)]] = Field(description="Relative frequency of each task's examples.")
    own: list[str] = Field(
        [],
        description="Tasks whose answers are the language model's own, given without an image, whatever they are.",
    )
    own_tokens: Positive = Field(24, description="Longest answer of its own to learn, in tokens.")
    refused: str | None = Field(None, description="The task to be answered with a refusal.")
    refusals: list[str] = Field([], description="The refusals to teach, in turn.")
    steps: Positive = Field(description="Training steps, unless an arm sets its own.")
    size_mb: float = Field(gt=0, description="Size of the trained weights in megabytes, for `make plan`.")
    batch_size: Positive = Field(8, description="Examples per step.")
    learning_rate: float = Field(gt=0, description="Peak learning rate of AdamW.")
    warmup: Positive = Field(10, description="Steps of linear warm-up.")

    @model_validator(mode="after")
    def check(self) -> Self:
        _one_share_each(self.shares, self.data)
        for task in self.own:
            if task not in self.data or task == self.refused:
                there = ", ".join(other for other in self.data if other != self.refused)
                raise Mistake("own", f"no task '{task}' in `data` to answer by itself; allowed: {there}")
        if self.refused is not None and self.refused not in self.data:
            raise Mistake("refused", f"no task '{self.refused}' in `data`; allowed: {', '.join(self.data)}")
        if (self.refused is None) == bool(self.refusals):
            raise Mistake("refusals", "`refused` and `refusals` go together; give both or neither")
        return self


class Adapter(Settings):
    """What the arms of a published model learn: low-rank matrices (LoRA) beside weights of its language model."""

    rank: Positive = Field(16, description="Rank of the matrices.")
    alpha: Positive = Field(32, description="What they learn is scaled by this number over the rank.")
    modules: list[str] = Field(
        ["q_proj", "v_proj"], min_length=1, description="The language model's linear layers, by the end of their name."
    )
    data: dict[str, Identifier] = Field(min_length=1, description="The tasks to learn from, each with its data set.")
    shares: dict[str, Annotated[float, Field(gt=0)]] = Field(description="Relative frequency of each task's examples.")
    size_mb: float = Field(gt=0, description="Size of what an arm learned in megabytes, for `make plan`.")

    @model_validator(mode="after")
    def check(self) -> Self:
        _one_share_each(self.shares, self.data)
        return self


class Assembled(Settings):
    """A model assembled from a published vision encoder and a published language model, and trained here."""

    vision: Backbone = Field(description="The vision encoder; it stays frozen.")
    language: Backbone = Field(description="The language model.")
    size_mb: float = Field(gt=0, description="Size of the assembled model in megabytes, for `make plan`.")
    image_token: str = Field(description="A token of the language model to mark an image patch; no text may hold it.")
    image_size: Positive = Field(description="Side length, in pixels, that images are resized to.")
    projector: Stage = Field(description="The stage of method `pretrain`.")
    alignment: Stage = Field(description="The stage of methods `sft` and `ppo`.")
