"""Checks across the files of an experiment: each mistake becomes one message."""

import difflib
from collections.abc import Iterable
from pathlib import Path

from layerwise.errors import InputError
from layerwise.study.arms import lineage
from layerwise.study.declarations import builder_of, kinds_of, says, worth
from layerwise.study.experiment import ModelUse
from layerwise.study.study import Study
from layerwise.vocabulary import CLAIMED

# Metrics that one judge alone may measure: gates and comparisons between exit layers name no judge.
OF_ONE_JUDGE = ("vqa_accuracy",)


def check(study: Study, path: Path) -> None:
    """Raise InputError, naming file, key and allowed values, if the files contradict each other."""
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
                    f"{path}: key 'layers': '{use.id}' has no exit layer {layer}; "
                    f"its exit layers are 0 to {model.blocks}."
                )
    if model.trained and not use.arms:
        raise InputError(f"{path}: key 'models': '{use.id}' needs 'arms': one or more of {', '.join(model.arms)}.")
    if not model.arms:
        for key in ("arms", "alignment_seeds", "seeds"):
            if key in use.model_fields_set and getattr(use, key) is not None:
                raise InputError(
                    f"{path}: key 'models': '{use.id}' has published weights, so it takes no '{key}'. Remove the key."
                )
    for arm in use.arms or ():
        if arm not in model.arms:
            raise InputError(f"{path}: key 'models': {_not_there('arm', arm, model.arms, of=use.id)}")
        for each in lineage(model.arms, arm):
            judge = model.arms[each].judge
            if judge and worth(study.rewards[judge].judge, study.rewards[judge].options) is None:
                raise InputError(
                    f"{study.folder / 'models' / use.id}.yaml: key 'arms.{each}.reward': judge '{judge}' gives no "
                    "score that says how good an answer is. Name another judge."
                )


def _check_weights_of(study: Study, id: str) -> None:
    """Check that a model with another's weights differs from it in its variant or its features alone."""
    model = study.models[id]
    assert model.weights_of is not None
    other, place = study.models[model.weights_of], f"{study.folder / 'models' / id}.yaml: key 'weights_of'"
    if model.weights_of == id or other.weights_of is not None:
        raise InputError(f"{place}: '{model.weights_of}' has no weights of its own. Name a model that does.")
    if (model.variant, model.features) == (other.variant, other.features):
        raise InputError(
            f"{place}: this model and '{model.weights_of}' have the same 'variant' and the same 'features'. Change one "
            "of them."
        )
    for key in ("family", "blocks", "default_layer", "source", "organism", "assembled", "arms"):
        if getattr(model, key) != getattr(other, key):
            raise InputError(
                f"{place}: '{key}' differs from that of '{model.weights_of}', whose weights this model takes. "
                f"Write 'inherits: {model.weights_of}' and give only what may differ."
            )


def _check_datasets(study: Study, path: Path) -> None:
    """`datasets` must hold prompts, `human_labels` labelled responses; every subject must be asked something."""
    folder = study.folder / "datasets"
    used = list(dict.fromkeys(use.id for use in study.experiment.models))
    arms = list(dict.fromkeys(arm for use in study.experiment.models for arm in use.arms or ()))
    for use in study.experiment.datasets:
        for key, given, there in (("models", use.models, used), ("arms", use.arms, arms)):
            for name in given or ():
                if name not in there:
                    raise InputError(f"{path}: key 'datasets': '{use.id}': {_not_there(key[:-1], name, there)}")
        for layer in use.layers if isinstance(use.layers, list) else ():
            for id in used:
                if layer > study.models[id].blocks:
                    raise InputError(
                        f"{path}: key 'datasets': '{use.id}' is asked at exit layer {layer}, which '{id}' does not "
                        f"have; its exit layers are 0 to {study.models[id].blocks}."
                    )
    for subject in study.subjects:
        if not subject.layers:
            raise InputError(
                f"{path}: key 'datasets': no data set is asked of '{subject.name}'. Widen 'models' or 'arms' of "
                "one, or remove the model."
            )
    for id, dataset in (study.datasets | study.training_data).items():
        if not kinds_of(dataset):
            raise InputError(
                f"{path}: key 'datasets': {folder / id}.yaml holds labelled responses, not prompts. Name it under "
                "'human_labels' instead."
            )
    for id, dataset in study.human_labels.items():
        if not hasattr(builder_of(dataset), "labelled"):
            raise InputError(
                f"{path}: key 'human_labels': data set '{id}' holds prompts, not labelled responses. "
                "Name another, such as refusal-labels."
            )


def _check_judges(study: Study, path: Path) -> None:
    """Each judge must measure something or decide an outcome, and their metrics must not collide."""
    deciding = {judge for _, judge in study.experiment.outcome if judge is not None}
    measuring: dict[str, tuple[str, object]] = {}
    for id, judge in study.judges.items():
        measures = says(judge.judge, judge.options).measures
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
    """The judges that decide the outcome must be listed and able to fill their roles."""
    experiment = study.experiment
    claims = {id: set(says(judge.judge, judge.options).claims.values()) for id, judge in study.judges.items()}
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
                f"judges listed in 'judges' that do: {', '.join(able) or 'none'}."
            )


def _not_there(what: str, name: str, there: Iterable[str], of: str = "") -> str:
    """The message for an unknown name, with the closest allowed one."""
    there = list(dict.fromkeys(there))
    close = difflib.get_close_matches(name, there, n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    owner = f" of '{of}'" if of else ""
    return f"no {what} '{name}'{owner}; allowed: {', '.join(there)}.{hint}"
