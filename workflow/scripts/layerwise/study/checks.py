"""What only shows when the files of an experiment are seen together: each mistake ends in one sentence."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

from layerwise.errors import InputError

if TYPE_CHECKING:
    from layerwise.study.loading import Study


def check(study: Study, path: Path) -> None:
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
        arms = list(model.arms)
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
    declared = list(dict.fromkeys(arm for model in study.models.values() for arm in model.arms))
    for arm in experiment.probes.arms if declared else ():
        if arm not in declared:
            raise InputError(f"{path}: key 'probes.arms': no arm '{arm}'; allowed: {', '.join(declared)}.")
    names = [subject.name for subject in study.subjects]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{path}: key 'models': '{name}' is listed twice; keep one.")
    for role, judge in experiment.outcome:
        if judge is not None and judge not in experiment.judges:
            raise InputError(
                f"{path}: key 'outcome.{role}': '{judge}' is not in 'judges' ({', '.join(experiment.judges)})."
            )
