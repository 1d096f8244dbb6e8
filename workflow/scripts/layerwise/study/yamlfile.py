"""One YAML file as a checked pydantic model, or one sentence that says what is wrong with it, where, and what would do.

A file may lay itself over a neighbour with `inherits: <id>`; where both have a value, its own counts.
"""

import difflib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from layerwise.errors import InputError
from layerwise.paths import ID
from layerwise.study.settings import Mistake

# The parts of an error's place that name an alternative of a type, such as `literal['all']`, and not a key of the file.
ALTERNATIVE = re.compile(r"\[|^constrained-")

Parsed = TypeVar("Parsed", bound=BaseModel)


def read(path: Path, kind: type[Parsed], refined: Callable[[Parsed], type[Parsed]] | None = None) -> Parsed:
    """The file as an instance of `kind`; raises InputError naming file, key and way out.

    `refined` gives, where what the file says decides what it may say besides, a narrower kind to check it with.
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
    """The message for an id that has no file: the closest valid ids, or all there are."""
    there = sorted(file.stem for file in folder.glob("*.yaml"))
    close = difflib.get_close_matches(id, there, n=3)
    hint = f"Did you mean {' or '.join(close)}?" if close else f"There are: {', '.join(there) or 'none'}."
    return f"no {kind} '{id}': {folder / (id + '.yaml')} does not exist. {hint}"


class _Loader(yaml.SafeLoader):
    """YAML without silent losses: a key given twice is an error, where plain YAML keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"key '{key.value}' stands there twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


# Plain YAML 1.1 reads 2e-3, without a dot, as a text.
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+[eE][-+][0-9]+"), list("-+0123456789"))


def _chain(path: Path, below: tuple[Path, ...]) -> list[tuple[Path, dict]]:
    """The file's own mapping, then those that it inherits, nearest first, each with its path."""
    if path in below:
        circle = " -> ".join(file.stem for file in (*below[below.index(path) :], path))
        raise InputError(
            f"{below[-1]}: key 'inherits': the files inherit in a circle ({circle}). Break it in one of them."
        )
    values = _mapping(path)
    parent = values.pop("inherits", None)
    if parent is None:
        return [(path, values)]
    if not isinstance(parent, str) or not ID.fullmatch(parent):
        raise InputError(f"{path}: key 'inherits': give the id of one file beside this one (given: {parent!r}).")
    beside = path.parent / f"{parent}.yaml"
    if not beside.exists():
        raise InputError(f"{path}: key 'inherits': {unknown('file', parent, path.parent)}")
    return [(path, values), *_chain(beside, (*below, path))]


def _mapping(path: Path) -> dict:
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: not a text in UTF-8 ({error.reason}, byte {error.start}). Save it as UTF-8."
        ) from error
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        raise InputError(
            f"{path}{line}: not valid YAML ({getattr(error, 'problem', error)}). Mend that line."
        ) from error
    if not isinstance(values, dict):
        given = "empty" if values is None else f"a {type(values).__name__}"
        raise InputError(f"{path}: the file is {given}; it must hold keys and values (config/README.md lists them).")
    return values


def _overlay(below: dict, above: dict) -> dict:
    """Two nested mappings as one; where both have a value the upper one counts."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(below.get(key), dict)
        merged[key] = _overlay(below[key], value) if both else value
    return merged


def _explain(layers: list[tuple[Path, dict]], kind: type[BaseModel], errors: list) -> str:
    """The first error of a file as one sentence: key, what was given, what is allowed, the closest valid name."""
    # An unknown key comes first: it is often the misspelt form of one that is then also reported as missing.
    errors = sorted(errors, key=lambda e: e["type"] != "extra_forbidden")
    place = _place(errors[0])
    # A type with alternatives reports an error for each; the deepest belongs to the alternative that was meant.
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
        said = f" It is: {meaning}" if meaning else ""
        return f"{path}: key '{key}' is missing.{said} config/README.md has an example."
    text = " or ".join(dict.fromkeys(map(_reason, same)))
    given = same[0]["input"]
    # What a check of ours says is a sentence already, and names what was given where that helps.
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
    """What is wrong, in words of the file and not of Python."""
    context = error.get("ctx", {})
    match error["type"]:
        case "string_pattern_mismatch" if context["pattern"] == f"^{ID.pattern}$":
            return "an id has small letters, digits, dots and hyphens, and starts with a letter or digit"
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
            return "has no value; a text that begins with # needs quotes"
        case "string_type":
            return "must be a text; put it in quotes" if _is_scalar(error["input"]) else "must be a text"
        case "string_too_short":
            return "must not be empty"
        case "string_pattern_mismatch":
            return f"must look like the pattern {context['pattern']}"
        case "too_short":
            return f"needs at least {context['min_length']} entry"
    return error["msg"].removeprefix("Value error, ").replace("Input should be", "must be")


def _is_scalar(value: object) -> bool:
    """Whether YAML reads a value as a number, a date or a truth value that quotes would make a text."""
    return not isinstance(value, dict | list)


def _place(error: Any) -> tuple:
    """Where in the file a mistake is: of one that a check of ours found, where that says."""
    found = error.get("ctx", {}).get("error")
    return _keys(error["loc"]) + (found.place if isinstance(found, Mistake) else ())


def _keys(location: tuple) -> tuple:
    """The keys and positions in the file that an error's place names."""
    return tuple(part for part in location if isinstance(part, int) or not ALTERNATIVE.search(part))


def _holder(layers: list[tuple[Path, dict]], place: tuple) -> Path:
    """The file that gives the value at this place: the nearest of those that inherit from each other."""
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
    """The model that describes a place in a file, found by walking down the fields."""
    for part in place:
        names = {field.alias or name: field for name, field in kind.model_fields.items()}
        if part in names:
            kind = next(_models_in(names[part].annotation), kind)
    return kind


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that a field's type is made of: of `dict[str, Arm] | None`, Arm."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from _models_in(part)
