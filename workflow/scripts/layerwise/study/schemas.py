"""JSON schemas of the YAML files, made from the pydantic models, so that editors complete and check them.

A schema knows more than its model: the names of the plug-ins, and the options of the judge or builder that the file
names. A file that `inherits` may leave out what its neighbour provides.
"""

import copy
from collections.abc import Iterator
from typing import Any

from layerwise import plugins
from layerwise.study.config import Dataset, Judge, Model
from layerwise.study.experiment import Experiment
from layerwise.study.settings import Settings

KINDS: dict[str, type[Settings]] = {"experiment": Experiment, "model": Model, "dataset": Dataset, "judge": Judge}
# Keys whose value names a file in a room.
NAMED = {
    "family": "models.families",
    "recipe": "models.organisms",
    "format": "models.backbones",
    "method": "training.methods",
    "builder": "prompts.builders",
    "judge": "judging.judges",
}
# For each kind of file: the key that names a plug-in, and the sections that belong to the plug-in.
SECTIONS = {
    "judge": ("judge", {"options": "Options", "train": "Training"}),
    "dataset": ("builder", {"options": "Options"}),
}


def schema(kind: str) -> dict[str, Any]:
    """The schema of one kind of file."""
    whole = KINDS[kind].model_json_schema()
    for properties in _properties(whole):
        for key, room in NAMED.items():
            if properties.get(key, {}).get("type") == "string":
                properties[key] = {"enum": plugins.names(room), "description": properties[key].get("description", "")}
    definitions = whole.pop("$defs", {})
    if kind == "experiment":  # a bare id is short for an entry with nothing but an id
        for key in ("models", "datasets"):
            entries = whole["properties"][key]
            entries["items"] = {"anyOf": [{"type": "string"}, entries["items"]]}
    if kind == "model":  # a bare name is short for a change without settings
        whole["properties"]["features"]["anyOf"].append({"enum": plugins.constant("models", "variants", "CHANGES")})
    if kind in SECTIONS:
        key, sections = SECTIONS[kind]
        for name in plugins.names(NAMED[key]):
            own = {}
            for section, model in sections.items():
                settings = getattr(plugins.find(NAMED[key], name), model, None)
                if settings is not None:
                    own[section] = settings.model_json_schema()
                    definitions |= own[section].pop("$defs", {})
            if own:
                named = {"properties": {key: {"const": name}}, "required": [key]}
                whole.setdefault("allOf", []).append({"if": named, "then": {"properties": own}})
    whole["properties"]["inherits"] = {"type": "string", "description": "A neighbouring file to inherit values from."}
    partial = _without_required({**whole, "$defs": definitions})
    lax = {f"partial.{name}": one for name, one in _renamed(partial.pop("$defs")).items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": whole.pop("title"),
        "description": whole.pop("description", ""),
        "type": "object",
        "if": {"required": ["inherits"]},
        "then": _renamed(partial),
        "else": whole,
        "$defs": definitions | lax,
    }


def _properties(node: Any) -> Iterator[dict[str, Any]]:
    """Every mapping of keys to their schemas inside a schema."""
    if isinstance(node, dict):
        if isinstance(node.get("properties"), dict):
            yield node["properties"]
        for value in node.values():
            yield from _properties(value)
    elif isinstance(node, list):
        for value in node:
            yield from _properties(value)


def _without_required(node: dict[str, Any]) -> dict[str, Any]:
    """A copy in which no key is required, except by a condition."""
    found = copy.deepcopy(node)

    def strip(part: Any) -> None:
        if isinstance(part, dict):
            if "properties" in part:
                part.pop("required", None)
            for key, value in part.items():
                if key != "if":
                    strip(value)
        elif isinstance(part, list):
            for value in part:
                strip(value)

    strip(found)
    return found


def _renamed(node: Any) -> Any:
    """A copy whose references point to the definitions in which no key is required."""
    if isinstance(node, dict):
        return {
            key: value.replace("#/$defs/", "#/$defs/partial.") if key == "$ref" else _renamed(value)
            for key, value in node.items()
        }
    return [_renamed(value) for value in node] if isinstance(node, list) else node
