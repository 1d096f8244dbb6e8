"""An experiment with every file it names, and what follows from them: subjects, downloads, metrics."""

from dataclasses import dataclass
from pathlib import Path

from layerwise.study.arms import Arm
from layerwise.study.config import Dataset, Judge, Model
from layerwise.study.declarations import JUDGES, builder_of, declared, kinds_of, labels_of, says
from layerwise.study.experiment import Experiment, ModelUse
from layerwise.study.sources import Source
from layerwise.vocabulary import MARGIN_OF, REFUSAL_GAP, of_outcomes


@dataclass(frozen=True)
class Subject:
    """One set of weights under study: a published model, or an arm of a model. `name` is its wildcard.

    `seed` is the base arm's, followed by `a<seed>` if the arms trained on top of it have another: `401`, `401a7`.
    `asked` has the exit layers at which each data set is asked, `layers` those at which any is.
    """

    name: str
    id: str
    model: Model
    arm: str | None
    seed: str | None
    asked: dict[str, tuple[int, ...]]

    @property
    def layers(self) -> tuple[int, ...]:
        return tuple(sorted(set().union(*self.asked.values())))

    @property
    def aligned(self) -> bool:
        """Whether the arm was trained from another one, or from published weights, to refuse."""
        return self.arm is not None and (self.model.arms[self.arm].start is not None or not self.model.trained)

    @property
    def weights(self) -> str:
        """The subject whose weights it has: itself, or for a variant that of the varied model."""
        return self.name.replace(self.id, self.model.weights_of, 1) if self.model.weights_of else self.name


@dataclass(frozen=True)
class Mismatch:
    """A judge that is not made for a language of a data set whose responses it judges."""

    judge: str
    dataset: str
    languages: tuple[str, ...]

    def said(self, judge: str, dataset: str) -> str:
        """A sentence, with these names of the two."""
        return f"{judge} is not made for the language of {dataset} ({', '.join(self.languages)})."


@dataclass(frozen=True)
class Study:
    """An experiment and every file it names; options of judges and data sets include their defaults."""

    name: str
    folder: Path
    experiment: Experiment
    models: dict[str, Model]
    datasets: dict[str, Dataset]
    judges: dict[str, Judge]
    training_data: dict[str, Dataset]
    human_labels: dict[str, Dataset]
    rewards: dict[str, Judge]  # those whose score is an arm's reward

    @property
    def subjects(self) -> list[Subject]:
        """Every set of weights under study, in the order of the file."""
        found = []
        for use in self.experiment.models:
            model = self.models[use.id]
            layers = _layers(model, use.layers or self.experiment.layers)
            if not use.arms:
                found.append(Subject(use.id, use.id, model, None, None, self._asked(use.id, None, True, layers)))
                continue
            seeds = self.experiment.seeds if use.seeds == "all" else self.experiment.seeds[:1]
            for number, seed in enumerate(seeds):
                for arm in use.arms:
                    for place, alignment_seed in enumerate(_alignment_seeds(model.arms[arm], use, seed)):
                        label = f"{seed}" if alignment_seed == seed else f"{seed}a{alignment_seed}"
                        asked = self._asked(use.id, arm, number == place == 0, layers)
                        found.append(Subject(f"{use.id}.{arm}.s{label}", use.id, model, arm, label, asked))
        return found

    def adapted_from(self, subject: Subject) -> Subject | None:
        """The published model under study that an adapted one started from, if it is studied too."""
        if subject.arm is None or subject.model.trained:
            return None
        published = (one for one in self.subjects if one.arm is None and one.model.source == subject.model.source)
        return next(published, None)

    @property
    def probed(self) -> list[Subject]:
        """The subjects whose features are probed: published models, and the arms in `probes.arms`; no variants."""
        own = [one for one in self.subjects if one.model.features is None]
        return [one for one in own if one.arm is None or one.arm in self.experiment.probes.arms]

    @property
    def sources(self) -> dict[str, Source]:
        """Every download, by the name of its receipt."""
        found = {id: model.source for id, model in self.models.items() if model.source}
        for id, model in self.models.items():
            if model.assembled and not model.weights_of:
                found |= {
                    f"{id}.vision": model.assembled.vision.source,
                    f"{id}.language": model.assembled.language.source,
                }
        for id, judge in (self.rewards | self.judges).items():
            found |= {name: source for name, source in ((id, judge.source), (f"{id}.base", judge.base)) if source}
        for id, data in (self.datasets | self.training_data | self.human_labels).items():
            found |= {f"{id}.{name}": source for name, source in data.sources.items()}
        return found

    @property
    def kinds(self) -> dict[str, frozenset[str]]:
        """The kinds of prompts in each data set."""
        return {id: kinds_of(dataset) for id, dataset in self.datasets.items()}

    @property
    def twins(self) -> list[str]:
        """The data sets in which a cluster is a hazard and its benign twin."""
        both = {id for id, kinds in self.kinds.items() if kinds >= {"harmful", "benign"}}
        return [id for id in self.datasets if id in both and builder_of(self.datasets[id]).TWINS]

    @property
    def labelling(self) -> dict[str, Judge]:
        """The judges that give the labels which people gave to labelled responses."""
        asked = [set(labels_of(dataset)) for dataset in self.human_labels.values()]
        return {
            id: judge
            for id, judge in self.judges.items()
            if any(labels <= set(says(judge.judge, judge.options).labels) for labels in asked)
        }

    @property
    def deciding(self) -> list[str]:
        """The judges that decide the outcome."""
        return [judge for _, judge in self.experiment.outcome if judge is not None]

    @property
    def mismatches(self) -> list[Mismatch]:
        """The judges that are not made for a data set's languages."""
        found = []
        for id, judge in self.judges.items():
            module = declared(JUDGES, judge.judge)
            known: tuple[str, ...] = getattr(module, "LANGUAGES", ("*",))
            made_for = {tag.partition("-")[0] for tag in judge.languages or known}
            for dataset, kinds in self.kinds.items():
                spoken = self.datasets[dataset].languages
                others = tuple(tag for tag in spoken if not {"*", tag.partition("-")[0]} & made_for)
                if others and kinds & module.Judge.kinds:
                    found.append(Mismatch(id, dataset, others))
        return found

    @property
    def measured(self) -> frozenset[str]:
        """The ids of the metrics that the experiment can have, by its judges, their roles and its data sets."""
        kinds = set().union(*self.kinds.values())
        roles = self.experiment.outcome.model_dump()
        found = {metric for kind in kinds for metric in of_outcomes(roles, kind)}
        found |= {
            m.metric
            for judge in self.judges.values()
            for m in says(judge.judge, judge.options).measures
            if m.kind in kinds
        }
        if self.with_margin:
            found |= {metric for kind, metric in MARGIN_OF.items() if kind in kinds}
        return frozenset(found | ({REFUSAL_GAP} if self.twins else set()))

    @property
    def with_margin(self) -> list[Subject]:
        """The subjects whose responses have a refusal margin."""
        return [subject for subject in self.subjects if subject.model.refusal_tokens]

    def _asked(self, id: str, arm: str | None, first: bool, layers: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """The exit layers at which each data set is asked of a subject; `first` says whether it is its arm's first."""
        return {
            use.id: tuple(layer for layer in _layers(self.models[id], use.layers) if layer in layers)
            for use in self.experiment.datasets
            if (use.models is None or id in use.models)
            and (use.arms is None or arm is None or arm in use.arms)
            and (use.seeds == "all" or first)
        }


def _layers(model: Model, chosen: str | list[int]) -> tuple[int, ...]:
    """Exit layers as the YAML names them; a list is completed by the default layer."""
    if chosen == "all":
        return tuple(range(model.blocks + 1))
    return tuple(sorted({*(() if isinstance(chosen, str) else chosen), model.default_layer}))


def _alignment_seeds(arm: Arm, use: ModelUse, seed: int) -> list[int]:
    """The seeds of an arm's own training on one base; a base arm has only the seed of the base."""
    return [seed] if arm.start is None or use.alignment_seeds is None else use.alignment_seeds
