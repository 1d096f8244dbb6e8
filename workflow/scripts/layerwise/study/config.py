"""The keys of the YAML files that an experiment names, as pydantic models: models, data sets, judges."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from layerwise import plugins
from layerwise.study.arms import Arm, check_arm
from layerwise.study.features import Features
from layerwise.study.recipes import Adapter, Assembled, Organism
from layerwise.study.settings import Identifier, Mistake, Name, Positive, Settings, found_in, hint
from layerwise.study.sources import Source

# Tags of BCP 47; `x-world` is the language of the synthetic world.
Languages = Annotated[list[Annotated[str, Field(pattern=r"^[a-z]{1,3}(-[A-Za-z0-9]+)*$")]], Field(min_length=1)]


class Model(Settings):
    """`config/models/<id>.yaml`: one vision-language model."""

    display: str = Field(description="Name in figures and tables. Changing it reruns nothing.")
    family: Annotated[Name, found_in("models.families")] = Field(
        description="The model family: the file in `models/families/` that defines how the vision encoder exits."
    )
    blocks: Positive = Field(description="Transformer blocks of the vision encoder; exit layers are 0 to this number.")
    default_layer: int = Field(ge=0, description="The exit layer the model was trained and aligned with.")
    source: Source | None = Field(None, description="Where the weights come from; absent for an organism.")
    organism: Organism | None = Field(None, description="How the workflow trains an organism; absent for other models.")
    assembled: Assembled | None = Field(None, description="Published backbones for the workflow to assemble and train.")
    adapter: Adapter | None = Field(None, description="What arms of published weights learn, and from which data.")
    arms: dict[Identifier, Arm] = Field({}, description="The ways the workflow trains the model, by name.")
    weights_of: Identifier | None = Field(
        None, description="Another model whose weights this one uses, with its own `variant` or `features`."
    )
    dtype: Literal["float32", "bfloat16", "float16"] = Field("float32", description="Type of the weights in memory.")
    attention: Literal["sdpa", "eager", "flash_attention_2"] = Field(
        "sdpa", description="transformers' `attn_implementation`."
    )
    system_prompt: str | None = Field(None, description="System message before each prompt.")
    refusal_tokens: list[Annotated[str, Field(min_length=1)]] = Field(
        [],
        description="What the model's refusals begin with; the first token of each text counts. Without it, there is "
        "no refusal margin.",
    )
    variant: str | None = Field(None, description="A variant of the exit, such as `clamp` or `keep` for mllama.")
    features: Features | None = Field(
        None, description="A change of the image features, such as `shuffled`, with its settings if it has any."
    )
    gpu_memory_gb: float = Field(
        0,
        ge=0,
        description="GPU memory the model needs, in GB; with 0, a GPU is used if there is one, but not claimed.",
    )
    batch_size: Positive | None = Field(
        None, description="Rows that are answered side by side; if absent, the experiment's `decoding.batch_size`."
    )
    cache: Literal["dynamic", "static"] = Field(
        "dynamic",
        description="The key-value cache. `static`, for GPUs: its shape is constant, so that a step is one CUDA graph, "
        "and rows that have ended make room for others; rows of more than 768 tokens are fewer, in the same memory.",
    )
    gpus: Positive = Field(1, description="GPUs that one process claims, if it needs any; several share the weights.")

    @field_validator("features", mode="before")
    @classmethod
    def change_alone(cls, value: object) -> object:
        """Allow `shuffled` for `{change: shuffled}`."""
        return {"change": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def one_origin(self) -> Self:
        if [self.source, self.organism, self.assembled].count(None) != 2:
            raise ValueError("give one of `source` (published weights), `organism` or `assembled` (trained here)")
        if self.cache == "static" and self.attention == "flash_attention_2":
            raise Mistake("cache", "a static cache needs a mask, which flash_attention_2 does not take; use sdpa")
        if self.default_layer > self.blocks:
            raise Mistake(
                "default_layer", f"{self.default_layer} lies beyond the encoder: exit layers are 0 to {self.blocks}"
            )
        if self.organism and self.organism.vision.blocks != self.blocks:
            raise Mistake(
                "blocks", f"blocks is {self.blocks}, but organism.vision.blocks is {self.organism.vision.blocks}"
            )
        return self

    @model_validator(mode="after")
    def declared_by_its_files(self) -> Self:
        """Check against what the family, the recipe and the backbones' formats declare."""
        variants = plugins.constant("models.families", self.family, "VARIANTS")
        if self.variant is not None and self.variant not in variants:
            allowed = f"allowed: {', '.join(variants)}" if variants else "this family has none; remove the key"
            close = hint(self.variant, variants)
            raise Mistake("variant", f"no variant '{self.variant}' of family {self.family}; {allowed}{close}")
        if self.system_prompt is not None and not plugins.constant("models.families", self.family, "SYSTEM_PROMPT"):
            raise Mistake("system_prompt", f"family {self.family} has no system message; remove the key")
        if self.organism:
            self._fits("organism.recipe", plugins.constant("models.organisms", self.organism.recipe, "FAMILIES"))
        for part in ("vision", "language") if self.assembled else ():
            format, room = getattr(self.assembled, part).format, "models.backbones"
            if (reads := plugins.constant(room, format, "PART")) != part:
                there = [name for name in plugins.names(room) if plugins.constant(room, name, "PART") == part]
                raise Mistake(f"assembled.{part}.format", f"{format} is a {reads} format; allowed: {', '.join(there)}")
            self._fits(f"assembled.{part}.format", plugins.constant(room, format, "FAMILIES"))
        return self

    @model_validator(mode="after")
    def arms_can_be_trained(self) -> Self:
        if self.trained and not self.arms:
            raise Mistake("arms", "an organism or assembled model needs at least one arm, a way of training it")
        if self.adapter and self.trained:
            raise Mistake("adapter", "an adapter is for a model with a `source`; remove the key")
        if not self.trained and bool(self.arms) != bool(self.adapter):
            lacking = "adapter" if self.arms else "arms"
            raise Mistake(lacking, "a model with a `source` is adapted by `adapter` and `arms` together, or not at all")
        for name, arm in self.arms.items():
            check_arm(self, name, arm)
        return self

    def _fits(self, key: str, families: tuple[str, ...]) -> None:
        if self.family not in families:
            raise Mistake("family", f"{self.family} cannot be combined with `{key}`; allowed: {', '.join(families)}")

    @property
    def trained(self) -> bool:
        """Whether the workflow trains all of the model, so that every subject is an arm."""
        return self.source is None

    @property
    def kind(self) -> str:
        """What the model is: `organism`, `assembled` or `published`."""
        return "organism" if self.organism else "assembled" if self.assembled else "published"


class Dataset(Settings):
    """`config/datasets/<id>.yaml`: one data set of prompts."""

    display: str = Field(description="Name in figures and tables. Changing it reruns nothing.")
    languages: Languages = Field(["en"], description="Languages of its prompts, as tags of BCP 47, such as `en`.")
    builder: Annotated[Name, found_in("prompts.builders")] = Field(
        description="The builder: a file in `prompts/builders/`."
    )
    seed: int = Field(0, ge=0, description="Seed of all draws, such as images and pairings.")
    size: Positive | None = Field(None, description="Number of clusters to build; if absent, all.")
    prompts: Positive | None = Field(
        None, description="Number of prompts without a limit, for `make plan`; if absent, one per cluster."
    )
    image: Literal["own", "none", "blank", "noise"] = Field(
        "own", description="The image shown with each prompt; all values but `own` are controls."
    )
    sources: dict[str, Source] = Field({}, description="Assets that the builder reads, by name.")
    options: dict[str, Any] = Field({}, description="Settings of the builder.")


class Judge(Settings):
    """`config/judges/<id>.yaml`: one judge of responses."""

    display: str = Field(description="Name in figures and tables. Changing it reruns nothing.")
    judge: Annotated[Name, found_in("judging.judges")] = Field(description="The judge: a file in `judging/judges/`.")
    languages: Languages | None = Field(
        None,
        description="Languages it is made for, as tags of BCP 47; if absent, those that the judge's file declares.",
    )
    source: Source | None = Field(None, description="Where published weights come from, if it has any.")
    base: Source | None = Field(None, description="Tokenizer and configuration, if they do not come with the weights.")
    train: dict[str, Any] | None = Field(None, description="How the workflow trains the judge, if it does.")
    options: dict[str, Any] = Field({}, description="Settings of the judge, such as a threshold.")
    gpu_memory_gb: float = Field(
        0,
        ge=0,
        description="GPU memory the judge needs, in GB; with 0, a GPU is used if there is one, but not claimed.",
    )

    @model_validator(mode="after")
    def weights_that_it_reads(self) -> Self:
        readable = plugins.constant("judging.judges", self.judge, "WEIGHTS")
        for key in ("source", "base", "train"):
            if getattr(self, key) is not None and key not in readable:
                allowed = f"it reads {' or '.join(f'`{one}`' for one in readable)}" if readable else "it has no weights"
                raise Mistake(key, f"judge {self.judge} has no use for it: {allowed}. Remove the key")
        origins = [key for key in ("source", "train") if key in readable]
        given = [key for key in origins if getattr(self, key) is not None]
        if origins and len(given) != 1:
            choice = " or ".join(f"`{key}`" for key in origins)
            raise Mistake(
                origins[0], f"judge {self.judge} needs weights: give {choice}" + (", not both" if given else "")
            )
        if self.base is not None and self.source is None:
            raise Mistake("base", "`base` goes with `source`; a judge trained here brings its own. Remove the key")
        return self
