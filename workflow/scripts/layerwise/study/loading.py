"""Reads an experiment with every file that it names, checked against each other."""

from pathlib import Path

from layerwise.errors import InputError
from layerwise.study import checks, declarations, lessons
from layerwise.study.arms import lineage
from layerwise.study.config import Dataset, Judge, Model
from layerwise.study.experiment import Experiment
from layerwise.study.study import Study
from layerwise.study.yamlfile import read, unknown


def load(path: Path) -> Study:
    """Read an experiment's file and every file it names. Raises InputError naming file, key and a way out."""
    path = Path(path)
    folder = path.parent
    if not path.exists():
        raise InputError(unknown("experiment", path.stem, folder))
    experiment = read(path, Experiment)
    models = {use.id: read(_file("model", use.id, folder, path, "models"), Model) for use in experiment.models}
    for id, model in list(models.items()):
        if model.weights_of is not None and model.weights_of not in models:
            named = folder / "models" / f"{id}.yaml"
            models[model.weights_of] = read(_file("model", model.weights_of, folder, named, "weights_of"), Model)
    learned: dict[str, Dataset] = {}
    for id, model in models.items():
        for stage, data in lessons.lessons(model).items():
            for task, dataset in data.items():
                named, key = folder / "models" / f"{id}.yaml", f"{stage}.data.{task}"
                learned[dataset] = learned.get(dataset) or _dataset(_file("dataset", dataset, folder, named, key))
    rewards: dict[str, Judge] = {}
    for use in experiment.models:
        arms, named = models[use.id].arms, folder / "models" / f"{use.id}.yaml"
        for arm in {each for one in use.arms or () if one in arms for each in lineage(arms, one)}:
            if judge := arms[arm].judge:
                rewards[judge] = _judge(_file("judge", judge, folder, named, f"arms.{arm}.reward"))
    study = Study(
        name=path.stem,
        folder=folder,
        experiment=experiment,
        models=models,
        datasets={use.id: _dataset(_file("dataset", use.id, folder, path, "datasets")) for use in experiment.datasets},
        judges={id: _judge(_file("judge", id, folder, path, "judges")) for id in experiment.judges},
        training_data=learned,
        human_labels={
            id: _dataset(_file("dataset", id, folder, path, "human_labels")) for id in experiment.human_labels
        },
        rewards=rewards,
    )
    checks.check(study, path)
    return study


def _dataset(path: Path) -> Dataset:
    found = read(path, Dataset, declarations.dataset_file)
    return Dataset(**dict(found) | declarations.resolved(found))


def _judge(path: Path) -> Judge:
    found = read(path, Judge, declarations.judge_file)
    return Judge(**dict(found) | declarations.resolved(found))


def _file(kind: str, id: str, folder: Path, named_in: Path, key: str) -> Path:
    """The file of an id that another file names under a key. Raises InputError if there is no such file."""
    path = folder / f"{kind}s" / f"{id}.yaml"
    if not path.exists():
        raise InputError(f"{named_in}: key '{key}': {unknown(kind, id, path.parent)}")
    return path
