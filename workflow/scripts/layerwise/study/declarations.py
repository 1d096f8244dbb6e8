"""What judges and builders declare, and narrower models of the YAML files that name them.

A file in `judging/judges/` or `prompts/builders/` declares at its top which options it takes and what it makes of them.
So it must be light to import: heavy libraries are imported inside its functions.
"""

import functools
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any, NamedTuple

from pydantic import Field, create_model

from layerwise import plugins
from layerwise.errors import InputError
from layerwise.study.config import Dataset, Judge
from layerwise.study.settings import Positive, Settings
from layerwise.study.sources import Source
from layerwise.vocabulary import CONTROLS, KINDS, METRICS, OUTCOME_OF, OUTCOME_OF_BENIGN, OUTCOMES, REFUSAL_GAP

JUDGES, BUILDERS = "judging.judges", "prompts.builders"
NAMES = {
    JUDGES: ("Options", "WEIGHTS", "MEASURES", "CLAIMS", "Judge"),
    BUILDERS: ("Options", "SOURCES", "TWINS", "kinds", "build"),
}


@functools.cache
def declared(room: str, name: str) -> ModuleType:
    """The module of a judge or builder. Raises InputError, naming its file, if its declarations are invalid."""
    module = plugins.find(room, name)
    if missing := [each for each in NAMES[room] if not hasattr(module, each)]:
        raise InputError(f"{module.__file__} does not declare {', '.join(missing)}; see CONTRIBUTING.md.")
    if room == JUDGES:
        if "train" in module.WEIGHTS and not hasattr(module, "Training"):
            raise InputError(f"{module.__file__}: WEIGHTS names `train`, so it must declare Training.")
        for mistake in _wrong_measures(module):
            raise InputError(f"{module.__file__}: MEASURES: {mistake}.")
        if strange := {label: claim for label, claim in module.CLAIMS.items() if label not in module.Judge.labels}:
            raise InputError(f"{module.__file__}: CLAIMS: the judge has no labels {sorted(strange)}.")
        if other := set(module.CLAIMS.values()) - set(OUTCOMES):
            raise InputError(f"{module.__file__}: CLAIMS: no outcome {sorted(other)}; allowed: {', '.join(OUTCOMES)}.")
        right = getattr(module, "CONTROLS", {})
        if not all(isinstance(labels, tuple) for labels in right.values()):
            raise InputError(f"{module.__file__}: CONTROLS: give a tuple of labels for each control.")
        if unknown := set(right) - set(CONTROLS):
            raise InputError(f"{module.__file__}: CONTROLS: no {sorted(unknown)}; allowed: {', '.join(CONTROLS)}.")
        if wrong := {label for labels in right.values() for label in labels} - set(module.Judge.labels):
            raise InputError(f"{module.__file__}: CONTROLS: the judge has no labels {sorted(wrong)}.")
    return module


def _wrong_measures(module: ModuleType) -> Iterator[str]:
    kinds, labels = module.Judge.kinds, module.Judge.labels
    for measure in module.MEASURES:
        name = f"'{measure.metric}'"
        if measure.metric in (*OUTCOME_OF, *OUTCOME_OF_BENIGN, REFUSAL_GAP):
            yield f"{name} follows from the outcomes, which CLAIMS feeds"
        if measure.metric not in METRICS and measure.about is None:
            yield f"no metric {name}; known: {', '.join(METRICS)}; describe a new one in `about`"
        if measure.metric in METRICS and measure.about is not None:
            yield f"{name} is already described in vocabulary.py; leave `about` out"
        if measure.kind not in KINDS or measure.kind not in kinds:
            yield f"{name} is of kind '{measure.kind}', but the judge applies to {', '.join(sorted(kinds))}"
        if measure.label not in labels:
            yield f"{name} counts '{measure.label}', but the judge's labels are {', '.join(labels)}"


def builder_of(dataset: Dataset) -> ModuleType:
    """The module that builds a data set, with its declarations."""
    return declared(BUILDERS, dataset.builder)


class Says(NamedTuple):
    """What a judge with certain options may say: its labels, what of them means which outcome, and its `Measure`s."""

    labels: tuple[str, ...]
    claims: dict[str, str]
    measures: tuple[Any, ...]


def says(name: str, options: Mapping[str, Any]) -> Says:
    """What the judge of a file may say with these options: all that it declares, or what its `labels(options)` keep."""
    module = declared(JUDGES, name)
    labels = module.labels(module.Options(**options)) if hasattr(module, "labels") else module.Judge.labels
    claims = {label: outcome for label, outcome in module.CLAIMS.items() if label in labels}
    return Says(tuple(labels), claims, tuple(measure for measure in module.MEASURES if measure.label in labels))


def worth(name: str, options: Mapping[str, Any]) -> int | None:
    """Whether high scores of a judge with these options are good (1) or bad (-1) as a reward; None if neither."""
    signs = getattr(declared(JUDGES, name), "REWARDS", {})
    return next((signs[label] for label in says(name, options).labels if label in signs), None)


def kinds_of(dataset: Dataset) -> frozenset[str]:
    """The kinds of prompts in a data set; none if it holds labelled responses."""
    builder = builder_of(dataset)
    return builder.kinds(builder.Options(**dataset.options))


def labels_of(dataset: Dataset) -> tuple[str, str]:
    """The two labels of a data set of labelled responses, the one sought first."""
    builder = builder_of(dataset)
    return builder.labels(builder.Options(**dataset.options))


def judge_file(judge: Judge) -> type[Judge]:
    """The model of a YAML file that names this judge, with its options."""
    module = declared(JUDGES, judge.judge)
    fields: dict[str, Any] = {"options": (module.Options, Field({}, validate_default=True))}
    if judge.train is not None:
        fields["train"] = (module.Training, ...)
    return create_model("Judge", __base__=Judge, **fields)


def dataset_file(dataset: Dataset) -> type[Dataset]:
    """The model of a YAML file that names this builder, with its options and sources."""
    module = declared(BUILDERS, dataset.builder)
    fields: dict[str, Any] = {"options": (module.Options, Field({}, validate_default=True))}
    if module.SOURCES == {}:
        # Rendered prompts, unlike those read from files, have no natural end.
        fields["size"] = (Positive, Field(description="Number of clusters to build."))
    if module.SOURCES is not None:
        means = Field(description=f"a source that builder {dataset.builder} reads.")
        optional = Field(None, description=means.description)
        named: dict[str, Any] = {
            name: (Source, means) if required else (Source | None, optional)
            for name, required in module.SOURCES.items()
        }
        sources = create_model("Sources", __base__=Settings, **named)
        fields["sources"] = (sources, Field({}, validate_default=True))
    return create_model("Dataset", __base__=Dataset, **fields)


def resolved(file: Judge | Dataset) -> dict[str, Any]:
    """The parts of a checked file that its plug-in describes, defaults included, as plain values."""
    parts = file.model_dump(include={"options", "train"})
    if isinstance(file, Judge):
        return parts
    return parts | {"sources": {name: source for name, source in dict(file.sources).items() if source is not None}}
