"""Judges as the scripts make them: the class of a file with an instance of its options."""

from collections.abc import Sequence
from pathlib import Path

from layerwise import plugins


def make(name: str, weights: Sequence[Path] = (), **options: object):
    """A judge with its defaults but for these options."""
    module = plugins.find("judging.judges", name)
    return module.Judge(module.Options(**options), weights)
