"""The experiment that the command line chooses, or the workflow that uses this one as a module."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from layerwise.errors import InputError
from layerwise.paths import Run

KEY = "experiment"
DEFAULT = "bench"


def chosen(config: Mapping[str, Any], configfiles: Sequence[str | Path] = ()) -> Run:
    """The run of the experiment that Snakemake's `config` names.

    Raises InputError for anything that would be ignored: other keys, and files given with `--configfile`.
    """
    if configfiles:
        file = Path(configfiles[0])
        raise InputError(
            f"--configfile is not used here: write --config {KEY}={file.stem}, which reads config/{file.stem}.yaml."
        )
    unknown = [key for key in config if key != KEY]
    if unknown:
        raise InputError(
            f"unknown --config key '{unknown[0]}': the only key is '{KEY}'; everything else belongs in "
            "config/<experiment>.yaml."
        )
    return Run(config.get(KEY, DEFAULT))
