"""A YAML file as a checked pydantic model, or one sentence that says what is wrong, where, and which values are valid.

A file may inherit from a neighbour with `inherits: <id>`; if both have a value, its own counts.
"""

import difflib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from layerwise.errors import InputError
from layerwise.paths import ID
from layerwise.study.settings import Mistake

# Parts of an error's location that name an alternative of a type, such as `literal['all']`, not a key of the file.
ALTERNATIVE = re.compile(r"\[|^constrained-")

Parsed = TypeVar("Parsed", bound=BaseModel)


def read(path: Path, kind: type[Parsed], refined: Callable[[Parsed], type[Parsed]] | None = None) -> Parsed:
    """The file as an instance of `kind`. Raises InputError naming file, key and a way out.

    `refined` returns a narrower kind to check the file with, for files in which one key decides which others are valid.
    """
    layers = _chain(path, ())
    values: dict = {}
    for _, own in reversed(layers):
        values = _overlay(values, own)
    try:
        parsed = kind.model_validate(values)
        if refined is None:
            return parsed
        kind = refined(parsed)
        return kind.model_validate(values)
    except ValidationError as error:
        raise InputError(_explain(layers, kind, error.errors())) from error


def unknown(kind: str, id: str, folder: Path) -> str:
    """The message for an id without a file, with the closest valid ids, or all of them."""
    there = sorted(file.stem for file in folder.glob("*.yaml"))
    close = difflib.get_close_matches(id, there, n=3)
    hint = f"Did you mean {' or '.join(close)}?" if close else f"Valid ids: {', '.join(there) or 'none'}."
    return f"no {kind} '{id}': {folder / (id + '.yaml')} does not exist. {hint}"


class _Loader(yaml.SafeLoader):
    """YAML without silent losses: a duplicate key is an error, where plain YAML keeps the last value."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"duplicate key '{key.value}'", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


# YAML 1.1 reads 2e-3, which has no dot, as a text.
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+[eE][-+][0-9]+"), list("-+0123456789"))


def _chain(path: Path, below: tuple[Path, ...]) -> list[tuple[Path, dict]]:
    """The file's own mapping, then the inherited ones, nearest first, each with its path."""
    if path in below:
        circle = " -> ".join(file.stem for file in (*below[below.index(path) :], path))
        raise InputError(
            f"{below[-1]}: key 'inherits': the files inherit in a circle ({circle}). Remove the key from one of them."
        )
    values = _mapping(path)
    parent = values.pop("inherits", None)
    if parent is None:
        return [(path, values)]
    if not isinstance(parent, str) or not ID.fullmatch(parent):
        raise InputError(f"{path}: key 'inherits': give the id of one file in the same folder (given: {parent!r}).")
    beside = path.parent / f"{parent}.yaml"
    if not beside.exists():
        raise InputError(f"{path}: key 'inherits': {unknown('file', parent, path.parent)}")
    return [(path, values), *_chain(beside, (*below, path))]


def _mapping(path: Path) -> dict:
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: not UTF-8 text ({error.reason}, byte {error.start}). Save the file as UTF-8."
        ) from error
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        raise InputError(
            f"{path}{line}: not valid YAML ({getattr(error, 'problem', error)}). Correct that line."
        ) from error
    except RecursionError as error:
        raise InputError(f"{path}: values are nested too deeply. Correct that.") from error
    if not isinstance(values, dict):
        given = "empty" if values is None else f"a {type(values).__name__}"
        raise InputError(f"{path}: the file is {given}; it must hold keys and values (config/README.md lists them).")
    try:
        json.dumps(values, ensure_ascii=False, default=str).encode()
    except (UnicodeEncodeError, ValueError) as error:
        raise InputError(
            f"{path}: a text holds half a character, or a value holds itself ({error}). Write the character itself, "
            "without an escape such as \\ud83d."
        ) from error
    return values


def _overlay(below: dict, above: dict) -> dict:
    """Two nested mappings merged; if both have a value, the upper one counts."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(below.get(key), dict)
        merged[key] = _overlay(below[key], value) if both else value
    return merged


def _explain(layers: list[tuple[Path, dict]], kind: type[BaseModel], errors: list) -> str:
    """The first error in a file as one sentence: key, given value, allowed values, closest valid name."""
    # An unknown key comes first: it is often a misspelling of a key that is then also reported as missing.
    errors = sorted(errors, key=lambda e: e["type"] != "extra_forbidden")
    place = _place(errors[0])
    # A type with alternatives reports an error for each; the deepest belongs to the intended alternative.
    place = max((_place(e) for e in errors if _place(e)[: len(place)] == place), key=len)
    same = [e for e in errors if _place(e) == place]
    path, key = _holder(layers, place), ".".join(map(str, place))
    fields = {field.alias or name: field for name, field in _model(kind, place[:-1]).model_fields.items()}
    if same[0]["type"] == "extra_forbidden":
        close = difflib.get_close_matches(str(place[-1]), fields, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        return f"{path}: unknown key '{key}'; allowed: {', '.join(sorted(fields)) or 'none'}.{hint}"
    if same[0]["type"] == "missing":
        meaning = fields[place[-1]].description if place[-1] in fields else None
        said = f" Meaning: {meaning}" if meaning else ""
        return f"{path}: key '{key}' is missing.{said} config/README.md has an example."
    text = " or ".join(dict.fromkeys(map(_reason, same)))
    given = same[0]["input"]
    # Our own checks already return a sentence, which includes the given value if that helps.
    own = same[0]["type"] == "value_error"
    shown = "" if own or isinstance(given, dict | BaseModel) else f" (given: {given!r})"
    return (
        f"{path}: "
        + (f"key '{key}': " if key else "")
        + text.removesuffix(".")
        + shown
        + ("" if text[-1] == "?" else ".")
    )


def _reason(error: Any) -> str:
    """What is wrong, in terms of the file rather than of Python."""
    context = error.get("ctx", {})
    match error["type"]:
        case "string_pattern_mismatch" if context["pattern"] == f"^{ID.pattern}$":
            return "an id consists of lower-case letters, digits, dots and hyphens, and starts with a letter or digit"
        case "list_type":
            return "must be a list, such as [a, b]"
        case "dict_type" | "model_type":
            return "must hold keys and values"
        case "int_type":
            return "must be a whole number"
        case "float_type":
            return "must be a number" + (", without quotes" if isinstance(error["input"], str) else "")
        case "bool_type":
            return "must be true or false"
        case "string_type" if error["input"] is None:
            return "has no value; a text that starts with # needs quotes"
        case "string_type":
            return "must be a text; put it in quotes" if _is_scalar(error["input"]) else "must be a text"
        case "string_too_short":
            return "must not be empty"
        case "string_pattern_mismatch":
            return f"must match the pattern {context['pattern']}"
        case "too_short":
            return f"needs at least {context['min_length']} entry"
    return error["msg"].removeprefix("Value error, ").replace("Input should be", "must be")


def _is_scalar(value: object) -> bool:
    """Whether YAML reads a value as a number, a date or a truth value, which quotes would turn into text."""
    return not isinstance(value, dict | list)


def _place(error: Any) -> tuple:
    """The location of a mistake in the file; a mistake found by our own checks names it itself."""
    found = error.get("ctx", {}).get("error")
    return _keys(error["loc"]) + (found.place if isinstance(found, Mistake) else ())


def _keys(location: tuple) -> tuple:
    """The keys and positions in the file from an error's location."""
    return tuple(part for part in location if isinstance(part, int) or not ALTERNATIVE.search(part))


def _holder(layers: list[tuple[Path, dict]], place: tuple) -> Path:
    """The file that provides the value at this place: the nearest in the chain of inheritance."""
    for path, values in layers:
        found: Any = values
        for part in place:
            known = isinstance(found, dict) and part in found or isinstance(found, list) and part in range(len(found))
            if not known:
                break
            found = found[part]
        else:
            return path
    return layers[0][0]


def _model(kind: Any, place: tuple) -> type[BaseModel]:
    """The model of a place in a file, found by walking down the fields."""
    for part in place:
        names = {field.alias or name: field for name, field in kind.model_fields.items()}
        if part in names:
            kind = next(_models_in(names[part].annotation), kind)
    return kind


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that occur in a field's type; for `dict[str, Arm] | None`, Arm."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from _models_in(part)
