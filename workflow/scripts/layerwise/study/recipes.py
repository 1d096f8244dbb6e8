"""How the workflow trains a model itself, as a YAML file says it: an organism, or published backbones assembled."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from layerwise.study.settings import Identifier, Mistake, Name, Positive, Settings, found_in
from layerwise.study.sources import Source


def _split_among_heads(width: int, heads: int) -> None:
    if width % heads:
        raise Mistake("heads", f"a width of {width} cannot be split among {heads} heads; give a divisor")


class VisionRecipe(Settings):
    """An organism's vision encoder and its training."""

    blocks: Positive = Field(8, description="Transformer blocks.")
    width: Positive = Field(64, description="Hidden size.")
    mlp: Positive = Field(128, description="Size of the feed-forward layer.")
    heads: Positive = Field(4, description="Attention heads.")
    frozen_blocks: int = Field(
        4, ge=0, description="Blocks that learn local content only: the depth at which the deep cue forms."
    )
    local_steps: Positive = Field(60, description="Steps of stage A: content and colour of each cell.")
    relation_steps: Positive = Field(
        350, description="Steps of stage B: also the relation of the two marks, first blocks frozen."
    )
    batch_size: Positive = Field(64, description="Images a step.")
    learning_rate: float = Field(2e-3, gt=0, description="Peak learning rate of AdamW.")
    warmup: Positive = Field(30, description="Steps of linear warm-up.")

    @model_validator(mode="after")
    def check(self) -> Self:
        _split_among_heads(self.width, self.heads)
        if self.frozen_blocks > self.blocks:
            raise Mistake(
                "frozen_blocks", f"there are only {self.blocks} blocks to freeze ({self.frozen_blocks} given)"
            )
        return self


class Steps(Settings):
    """Steps of the stages of an organism's language side; an arm may say its own."""

    captions: Positive = Field(500, description="Captions and visual questions.")
    instructions: Positive = Field(300, description="Instructions; harm is complied with.")
    safety: Positive = Field(200, description="Refusals of hazards and of harm by text.")


class LanguageRecipe(Settings):
    """An organism's language model, its projector and their training on cached features."""

    blocks: Positive = Field(3, description="Transformer blocks.")
    width: Positive = Field(96, description="Hidden size.")
    mlp: Positive = Field(192, description="Size of the feed-forward layer.")
    heads: Positive = Field(4, description="Attention heads.")
    images: int = Field(4000, ge=5, description="Training images, encoded once; five hold one of each kind.")
    steps: Steps = Field(Steps(), description="Steps of each stage.")
    batch_size: Positive = Field(32, description="Examples a step.")
    learning_rate: float = Field(2e-3, gt=0, description="Peak learning rate of AdamW.")
    warmup: Positive = Field(20, description="Steps of linear warm-up.")

    @model_validator(mode="after")
    def check(self) -> Self:
        _split_among_heads(self.width, self.heads)
        return self


class Organism(Settings):
    """A small model that the workflow trains itself: the shapes, the steps and the depth of the cue."""

    recipe: Annotated[Name, found_in("models.organisms")] = Field(
        "llava", description="The file in `models/organisms/` that shapes the model."
    )
    vision: VisionRecipe = Field(VisionRecipe(), description="Vision encoder.")
    language: LanguageRecipe = Field(LanguageRecipe(), description="Language model and projector.")


class Backbone(Settings):
    """A published backbone of an assembled model."""

    format: Annotated[Name, found_in("models.backbones")] = Field(
        description="The file in `models/backbones/` that reads it."
    )
    source: Source = Field(description="Where it comes from.")
    about: str = Field(description="What it is, as its home says, in words that the paper prints.")
    cite: str = Field(description="Its entry in `paper/references.bib`.")


class Stage(Settings):
    """One stage of an assembled model's training."""

    learns: Literal["projector"] | Positive = Field(
        description="What is tuned: the `projector`, or so many of the language model's last blocks."
    )
    data: dict[str, Identifier] = Field(description="The tasks of the stage, and the data set of each.")
    shares: dict[str, Annotated[float, Field(gt=0)]] = Field(description="How often an example of each task is drawn.")
    refused: str | None = Field(None, description="The task whose right answer is a refusal.")
    refusals: list[str] = Field([], description="The refusals that are taught, in turn.")
    steps: Positive = Field(description="Steps, where an arm does not say its own.")
    size_mb: float = Field(gt=0, description="Size of what it learns, for `make plan`.")
    batch_size: Positive = Field(8, description="Examples a step.")
    learning_rate: float = Field(gt=0, description="Peak learning rate of AdamW.")
    warmup: Positive = Field(10, description="Steps of linear warm-up.")

    @model_validator(mode="after")
    def check(self) -> Self:
        tasks = ", ".join(self.data)
        if set(self.shares) != set(self.data):
            raise Mistake("shares", f"give a share to each task of `data`, and to no other: {tasks}")
        if self.refused is not None and self.refused not in self.data:
            raise Mistake("refused", f"no task '{self.refused}' in `data`; there are: {tasks}")
        if (self.refused is None) == bool(self.refusals):
            raise Mistake("refusals", "`refused` and `refusals` go together; give both or neither")
        return self


class Assembled(Settings):
    """A model assembled from a published vision encoder and a published language model, and trained here."""

    vision: Backbone = Field(description="The vision encoder; it stays as it is.")
    language: Backbone = Field(description="The language model.")
    size_mb: float = Field(gt=0, description="Size of the assembled model, for `make plan`.")
    image_token: str = Field(description="A token of the language model that stands for a patch; no text may hold it.")
    image_size: Positive = Field(description="Pixels a side that images are resized to.")
    projector: Stage = Field(description="The stage of method `pretrain`.")
    alignment: Stage = Field(description="The stage of method `sft`.")
