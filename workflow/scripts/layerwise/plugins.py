"""Plug-ins: judges, builders, families, figures. Each is found by the name of its file; nothing is registered.

A *room* is a package below `layerwise` whose files are plug-ins. `find` imports one; `declared` reads the constants at
the top of its file without importing it, so that a plan need not import torch or matplotlib.
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
# What messages call the plug-ins of a room, if not by the room's name without its s.
WORDS = {"families": "family", "organisms": "recipe", "backbones": "format"}


def names(room: str) -> list[str]:
    """The names of all plug-ins in a room such as `judging.judges`, sorted."""
    return sorted(file.stem for file in LIBRARY.joinpath(*room.split(".")).glob("[a-z]*.py"))


def module(room: str, name: str) -> str:
    """The full name of a plug-in's module. Raises InputError, with the closest name, if the room has no such plug-in.

    Hyphens in a name become underscores in the file name.
    """
    stem, there = name.replace("-", "_"), names(room)
    if stem not in there:
        last = room.rpartition(".")[2]
        what = WORDS.get(last, last.removesuffix("s"))
        close = difflib.get_close_matches(stem, there, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise InputError(f"no {what} '{name}'; allowed: {', '.join(there) or 'none'}.{hint}")
    return f"layerwise.{room}.{stem}"


def find(room: str, name: str) -> Any:
    """A plug-in's module; its room's docstring says what it offers. Raises InputError as `module` does."""
    return importlib.import_module(module(room, name))


def planned(room: str, facts: Collection[str]) -> dict[str, dict[str, Any]]:
    """The declarations of those plug-ins in a room whose `WHEN` holds, by name, with hyphens.

    `WHEN` lists what must be among the facts; of several in parentheses, one is enough.
    """
    found = {}
    for name in names(room):
        said = declared(room, name)
        if all(any(one in facts for one in ([need] if isinstance(need, str) else need)) for need in said["WHEN"]):
            found[name.replace("_", "-")] = said
    return found


@functools.cache
def declared(room: str, name: str) -> dict[str, Any]:
    """The constants (names in capitals) of a plug-in's file that are plain values, by name. Nothing is imported."""
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
    """One constant that a plug-in's file declares. Raises InputError, naming the file, if it does not declare it."""
    found = declared(room, name)
    if constant not in found:
        path = LIBRARY.joinpath(*module(room, name).split(".")[1:]).with_suffix(".py")
        raise InputError(f"{path} does not declare {constant} as a plain value; see CONTRIBUTING.md.")
    return found[constant]
