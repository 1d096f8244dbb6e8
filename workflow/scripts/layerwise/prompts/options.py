"""What a builder is told by its YAML file: options and sources."""

from collections.abc import Iterable
from pathlib import Path

from layerwise.errors import InputError
from layerwise.prompts.archive import _yaml


def settings(spec: dict, **defaults: object) -> dict:
    """A data set's options laid over its builder's defaults; raises InputError for an option that it does not know."""
    for key in spec["options"]:
        if key not in defaults:
            allowed = ", ".join(sorted(defaults)) or "none"
            raise InputError(f"{_yaml(spec)}: unknown key 'options.{key}'; allowed: {allowed}.")
    return {**defaults, **spec["options"]}


def source(spec: dict, sources: dict[str, Path], name: str) -> Path:
    """The local file or folder of a named source; raises InputError where the YAML file gives none of that name."""
    if name not in sources:
        raise InputError(
            f"{_yaml(spec)}: key 'sources.{name}' is missing, and builder '{spec['builder']}' reads it. "
            f"Given: {', '.join(sorted(sources)) or 'none'}."
        )
    return sources[name]


def choice(spec: dict, options: dict, key: str, allowed: Iterable[str]) -> str:
    """The value of an option that is one of a few words; raises InputError for another."""
    if options[key] not in allowed:
        raise InputError(
            f"{_yaml(spec)}: key 'options.{key}': there is no {options[key]!r}; allowed: {', '.join(allowed)}."
        )
    return options[key]
