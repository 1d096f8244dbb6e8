"""What is found by the name of its file: a judge, a builder, a family, a figure. Nothing is registered anywhere.

A *room* is a package below `layerwise` whose files are such things. `find` imports one; `declared` reads the constants
at the top of its file without importing it, so that a plan costs no import of torch or matplotlib.
"""

import ast
import difflib
import functools
import importlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from layerwise.errors import InputError

LIBRARY = Path(__file__).parent
# What the things in a room are called in a message, where it is not the room's name without its s.
WORDS = {"families": "family", "organisms": "recipe", "backbones": "format"}


def names(room: str) -> list[str]:
    """The names of all things in a room such as `judging.judges`, sorted."""
    return sorted(file.stem for file in LIBRARY.joinpath(*room.split(".")).glob("[a-z]*.py"))


def module(room: str, name: str) -> str:
    """The full name of a thing's module. Raises InputError, naming the closest, where the room has no such thing.

    Hyphens in a name stand for underscores in the file's.
    """
    stem, there = name.replace("-", "_"), names(room)
    if stem not in there:
        last = room.rpartition(".")[2]
        what = WORDS.get(last, last.removesuffix("s"))
        close = difflib.get_close_matches(stem, there, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise InputError(f"no {what} '{name}'; there are: {', '.join(there) or 'none'}.{hint}")
    return f"layerwise.{room}.{stem}"


def find(room: str, name: str) -> Any:
    """The module of a thing; what it offers is said in its room. Raises InputError as `module` does."""
    return importlib.import_module(module(room, name))


def planned(room: str, facts: Collection[str]) -> dict[str, dict[str, Any]]:
    """What the things in a room declare, of those whose `WHEN` holds; by name, with hyphens.

    `WHEN` lists what must be among the facts; of several in parentheses one will do.
    """
    found = {}
    for name in names(room):
        said = declared(room, name)
        if all(any(one in facts for one in ([need] if isinstance(need, str) else need)) for need in said["WHEN"]):
            found[name.replace("_", "-")] = said
    return found


@functools.cache
def declared(room: str, name: str) -> dict[str, Any]:
    """The constants of a thing's file that are plain values, by name: those in capitals. Nothing is imported."""
    path = LIBRARY.joinpath(*module(room, name).split(".")[1:]).with_suffix(".py")
    found = {}
    for node in ast.parse(path.read_text(encoding="utf-8"), filename=str(path)).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id.isupper():
            try:
                found[node.targets[0].id] = ast.literal_eval(node.value)
            except ValueError:
                continue
    return found


def constant(room: str, name: str, constant: str) -> Any:
    """One of the constants that a thing's file declares. Raises InputError, naming the file, where it does not."""
    found = declared(room, name)
    if constant not in found:
        path = LIBRARY.joinpath(*module(room, name).split(".")[1:]).with_suffix(".py")
        raise InputError(f"{path}: it does not declare {constant} as a plain value; see CONTRIBUTING.md.")
    return found[constant]
