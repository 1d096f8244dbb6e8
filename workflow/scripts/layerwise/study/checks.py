"""What only shows when the files of an experiment are seen together: each mistake ends in one sentence."""

import difflib
from collections.abc import Iterable
from pathlib import Path

from layerwise.errors import InputError
from layerwise.study.config import ModelUse
from layerwise.study.declarations import builder_of, judge_of, kinds_of
from layerwise.study.study import Study
from layerwise.vocabulary import CLAIMED

# Metrics that one judge alone may measure: gates and comparisons between exit layers name no judge.
OF_ONE_JUDGE = ("vqa_accuracy",)


def check(study: Study, path: Path) -> None:
    """Raise InputError, naming file, key and what is allowed, where the files do not go together."""
    for use in study.experiment.models:
        _check_use(study, use, path)
    for id, model in study.models.items():
        if model.weights_of is not None:
            _check_weights_of(study, id)
    names = [subject.name for subject in study.subjects]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{path}: key 'models': '{name}' is listed twice; keep one.")
    declared = list(dict.fromkeys(arm for model in study.models.values() for arm in model.arms))
    for arm in study.experiment.probes.arms if declared else ():
        if arm not in declared:
            raise InputError(f"{path}: key 'probes.arms': {_not_there('arm', arm, declared)}")
    for key in study.experiment.palette:
        if key not in (coloured := [*declared, *(use.id for use in study.experiment.models)]):
            raise InputError(f"{path}: key 'palette.{key}': {_not_there('arm or model', key, coloured)}")
    _check_datasets(study, path)
    _check_outcome(study, path)
    _check_judges(study, path)


def _check_use(study: Study, use: ModelUse, path: Path) -> None:
    """One entry under `models`."""
    model = study.models[use.id]
    if isinstance(layers := use.layers or study.experiment.layers, list):
        for layer in layers:
            if not 0 <= layer <= model.blocks:
                raise InputError(
                    f"{path}: key 'layers': exit layer {layer} lies beyond the encoder of '{use.id}'. "
                    f"Its exit layers are 0 to {model.blocks}."
                )
    if model.trained and not use.arms:
        raise InputError(f"{path}: key 'models': '{use.id}' needs 'arms', any of {', '.join(model.arms)}.")
    if not model.trained:
        for key in ("arms", "alignment_seeds"):
            if getattr(use, key) is not None:
                raise InputError(
                    f"{path}: key 'models': '{use.id}' has published weights, so it has no '{key}'. Remove them."
                )
    for arm in use.arms or ():
        if arm not in model.arms:
            raise InputError(f"{path}: key 'models': {_not_there('arm', arm, model.arms, of=use.id)}")


def _check_weights_of(study: Study, id: str) -> None:
    """A model that takes another's weights: they have to be its own but for the variant."""
    model = study.models[id]
    assert model.weights_of is not None
    other, place = study.models[model.weights_of], f"{study.folder / 'models' / id}.yaml: key 'weights_of'"
    if model.weights_of == id or other.weights_of is not None:
        raise InputError(f"{place}: '{model.weights_of}' has no weights of its own. Name a model that has.")
    if model.variant == other.variant:
        raise InputError(f"{place}: it needs another 'variant' than '{model.weights_of}' has, or it is the same model.")
    for key in ("family", "blocks", "default_layer", "source", "organism", "assembled", "arms"):
        if getattr(model, key) != getattr(other, key):
            raise InputError(
                f"{place}: '{key}' differs from that of '{model.weights_of}', whose weights it takes. "
                f"Write 'inherits: {model.weights_of}', and only what may differ."
            )


def _check_datasets(study: Study, path: Path) -> None:
    """Data sets that are asked hold prompts, and the labelled responses of `human_labels` hold none."""
    folder = study.folder / "datasets"
    for id, dataset in (study.datasets | study.training_data).items():
        if not kinds_of(dataset):
            raise InputError(
                f"{folder / id}.yaml holds responses that people have labelled, and no prompts. Name it in key "
                f"'human_labels' of {path} instead."
            )
    for id, dataset in study.human_labels.items():
        if not hasattr(builder_of(dataset), "labelled"):
            raise InputError(
                f"{path}: key 'human_labels': data set '{id}' holds prompts, and no labelled responses. "
                "Name another, such as refusal-labels."
            )


def _check_judges(study: Study, path: Path) -> None:
    """Each judge measures something or decides an outcome, and metrics of judges do not collide."""
    deciding = {judge for _, judge in study.experiment.outcome if judge is not None}
    measuring: dict[str, tuple[str, object]] = {}
    for id, judge in study.judges.items():
        measures = judge_of(judge).MEASURES
        if not measures and id not in deciding:
            raise InputError(
                f"{path}: key 'judges': '{id}' measures nothing and decides no outcome. Name it in 'outcome', or "
                "remove it."
            )
        for measure in measures:
            first, about = measuring.setdefault(measure.metric, (id, measure.about))
            if about != measure.about or (first != id and measure.metric in OF_ONE_JUDGE):
                raise InputError(
                    f"{path}: key 'judges': '{first}' and '{id}' both measure '{measure.metric}'; keep one of them."
                )
    if not study.measured:
        kinds = ", ".join(sorted(set().union(*study.kinds.values())))
        raise InputError(f"{path}: key 'judges': none of them measures anything of prompts of kind {kinds}.")


def _check_outcome(study: Study, path: Path) -> None:
    """The judges that decide the outcome are there, and can say what their role asks."""
    experiment = study.experiment
    claims = {id: set(judge_of(judge).CLAIMS.values()) for id, judge in study.judges.items()}
    for role, judge in experiment.outcome:
        if judge is None:
            continue
        if judge not in experiment.judges:
            raise InputError(
                f"{path}: key 'outcome.{role}': '{judge}' is not in 'judges' ({', '.join(experiment.judges)})."
            )
        if missing := [outcome for outcome in CLAIMED[role] if outcome not in claims[judge]]:
            able = [id for id in experiment.judges if claims[id] >= set(CLAIMED[role])]
            raise InputError(
                f"{path}: key 'outcome.{role}': '{judge}' has no label that means {missing[0]}; "
                f"of 'judges' these have: {', '.join(able) or 'none'}."
            )


def _not_there(what: str, name: str, there: Iterable[str], of: str = "") -> str:
    """The message for a name that is none of a few, with the closest."""
    there = list(dict.fromkeys(there))
    close = difflib.get_close_matches(name, there, n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    owner = f" of '{of}'" if of else ""
    return f"no {what} '{name}'{owner}; allowed: {', '.join(there)}.{hint}"
