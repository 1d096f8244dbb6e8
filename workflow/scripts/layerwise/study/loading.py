"""An experiment with every file that it names, checked against each other: the `Study`."""

import difflib
from dataclasses import dataclass
from pathlib import Path

from layerwise.errors import InputError
from layerwise.study.arms import ARMS, JOINED_ARMS
from layerwise.study.config import (
    Dataset,
    Experiment,
    Judge,
    Model,
)
from layerwise.study.sources import Source
from layerwise.study.yamlfile import read, unknown


@dataclass(frozen=True)
class Subject:
    """One set of weights under study: a published model, or an organism's arm at one seed. `name` is its wildcard."""

    name: str
    id: str
    model: Model
    arm: str | None
    seed: int | None
    layers: tuple[int, ...]

    @property
    def weights(self) -> str:
        """The subject whose weights it has: itself, but for a variant of another model."""
        return self.name.replace(self.id, self.model.weights_of, 1) if self.model.weights_of else self.name


@dataclass(frozen=True)
class Study:
    """An experiment together with every file that it names."""

    name: str
    folder: Path
    experiment: Experiment
    models: dict[str, Model]
    datasets: dict[str, Dataset]
    judges: dict[str, Judge]
    training_data: dict[str, Dataset]
    human_labels: dict[str, Dataset]

    @property
    def subjects(self) -> list[Subject]:
        """Every set of weights under study, in the order of the file."""
        found = []
        for use in self.experiment.models:
            model = self.models[use.id]
            layers = self._layers(model, use.layers or self.experiment.layers)
            if not model.trained:
                found.append(Subject(use.id, use.id, model, None, None, layers))
                continue
            seeds = self.experiment.seeds if use.seeds == "all" else self.experiment.seeds[:1]
            for seed in seeds:
                for arm in use.arms or ():
                    found.append(Subject(f"{use.id}.{arm}.s{seed}", use.id, model, arm, seed, layers))
        return found

    @property
    def sources(self) -> dict[str, Source]:
        """Everything that is fetched, by the name of its receipt."""
        found = {id: model.source for id, model in self.models.items() if model.source}
        for id, model in self.models.items():
            if model.joined and not model.weights_of:
                found |= {f"{id}.vision": model.joined.vision.source, f"{id}.language": model.joined.language.source}
        for id, judge in self.judges.items():
            found |= {name: source for name, source in ((id, judge.source), (f"{id}.base", judge.base)) if source}
        for id, data in (self.datasets | self.training_data | self.human_labels).items():
            found |= {f"{id}.{name}": source for name, source in data.sources.items()}
        return found

    def _layers(self, model: Model, chosen: object) -> tuple[int, ...]:
        everything = range(model.blocks + 1)
        return tuple(everything) if chosen == "all" else tuple(sorted({*chosen, model.default_layer}))


def load(path: Path) -> Study:
    """Read an experiment file and every file that it names; raises InputError naming file, key and way out."""
    path = Path(path)
    folder = path.parent
    if not path.exists():
        raise InputError(unknown("experiment", path.stem, folder))
    experiment = read(path, Experiment)
    models = {use.id: read(_file("model", use.id, folder, path), Model) for use in experiment.models}
    for id in {model.weights_of for model in models.values()} - {None, *models}:
        models[id] = read(_file("model", id, folder, path), Model)
    stages = [s for m in models.values() if m.joined for s in (m.joined.projector, m.joined.alignment)]
    learned = dict.fromkeys(dataset for stage in stages for dataset in stage.data.values())
    study = Study(
        name=path.stem,
        folder=folder,
        experiment=experiment,
        models=models,
        datasets={id: read(_file("dataset", id, folder, path), Dataset) for id in experiment.datasets},
        judges={id: read(_file("judge", id, folder, path), Judge) for id in experiment.judges},
        training_data={id: read(_file("dataset", id, folder, path), Dataset) for id in learned},
        human_labels={
            id: read(_file("dataset", id, folder, path), Dataset) for id in filter(None, [experiment.human_labels])
        },
    )
    _check(study, path)
    return study


def _file(kind: str, id: str, folder: Path, named_in: Path) -> Path:
    path = folder / f"{kind}s" / f"{id}.yaml"
    if not path.exists():
        raise InputError(f"{named_in}: key '{kind}s': {unknown(kind, id, path.parent)}")
    return path


def _check(study: Study, path: Path) -> None:
    """What only shows when the files are seen together."""
    experiment = study.experiment
    for use in experiment.models:
        model = study.models[use.id]
        layers = use.layers or experiment.layers
        if isinstance(layers, list):
            for layer in layers:
                if not 0 <= layer <= model.blocks:
                    raise InputError(
                        f"{path}: key 'layers': exit layer {layer} lies beyond the encoder of '{use.id}'. "
                        f"Its exit layers are 0 to {model.blocks}."
                    )
        arms = [arm for arm in ARMS if model.joined or arm not in JOINED_ARMS]
        if model.trained and not use.arms:
            raise InputError(f"{path}: key 'models': '{use.id}' needs 'arms', any of {', '.join(arms)}.")
        for arm in use.arms or ():
            if not model.trained:
                raise InputError(
                    f"{path}: key 'models': '{use.id}' has published weights, so it has no 'arms'. Remove them."
                )
            if arm not in arms:
                close = difflib.get_close_matches(arm, arms, n=1)
                hint = f" Did you mean {close[0]}?" if close else ""
                raise InputError(
                    f"{path}: key 'models': no arm '{arm}' of '{use.id}'; allowed: {', '.join(arms)}.{hint}"
                )
    for arm in experiment.probes.arms:
        if arm not in ARMS:
            raise InputError(f"{path}: key 'probes.arms': no arm '{arm}'; allowed: {', '.join(ARMS)}.")
    names = [subject.name for subject in study.subjects]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{path}: key 'models': '{name}' stands there twice; keep one.")
    for role, judge in experiment.outcome:
        if judge is not None and judge not in experiment.judges:
            raise InputError(
                f"{path}: key 'outcome.{role}': '{judge}' is not in 'judges' ({', '.join(experiment.judges)})."
            )
