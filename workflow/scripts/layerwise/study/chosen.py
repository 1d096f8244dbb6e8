"""Which experiment a run is of, as the command line says it, or the workflow that this one is a module of."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from layerwise.errors import InputError
from layerwise.paths import Run

KEY = "experiment"
DEFAULT = "bench"


def chosen(config: Mapping[str, Any], configfiles: Sequence[str | Path] = ()) -> Run:
    """The run of the one experiment that Snakemake's `config` names.

    Raises InputError for what would be ignored: any other key, and files of `--configfile`.
    """
    if configfiles:
        file = Path(configfiles[0])
        raise InputError(
            f"--configfile is not used here: write --config {KEY}={file.stem}, which reads config/{file.stem}.yaml."
        )
    unknown = [key for key in config if key != KEY]
    if unknown:
        raise InputError(
            f"unknown --config key '{unknown[0]}': the one key is '{KEY}'; what an experiment is made of stands in "
            "config/<experiment>.yaml."
        )
    return Run(config.get(KEY, DEFAULT))
