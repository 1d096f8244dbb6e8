"""The fingerprint of a job's code, module by module, and the pins of its kind of work: what decides a rerun."""

import ast
import functools
import hashlib
import importlib.util
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from layerwise.errors import InputError
from layerwise.paths import ROOT, SCRIPTS

PROJECT = ROOT / "pyproject.toml"

# Progress lines, costs, errors and failures, paths and the choice of GPUs: no result passes through these modules, so
# none depends on them. Results do depend on downloads, but through the checksum in the receipt.
NEUTRAL = {
    "layerwise.paths",
    "layerwise.plugins",
    "layerwise.jobs.failures",
    "layerwise.jobs.program",
    "layerwise.jobs.gpus",
    "layerwise.assets",
    "layerwise.assets.cache",
}


@functools.cache
def pins(kind: str) -> tuple[str, ...]:
    """Python, and the exact pins of a kind of work, such as `training`, sorted."""
    return tuple(sorted([python(), *group(kind)]))


def python() -> str:
    """The version of Python that conda environments have: the oldest one that the project allows."""
    (oldest,) = re.findall(r"^>=([0-9.]+)", project()["project"]["requires-python"])
    return f"python ={oldest}"


def group(name: str) -> set[str]:
    """The pins of a dependency group and of the groups that it includes.

    Raises:
        InputError: there is no such group.
    """
    return _group(name, project()["dependency-groups"])


def project() -> dict[str, Any]:
    """The content of pyproject.toml.

    Raises:
        InputError: it is not TOML.
    """
    try:
        return tomllib.loads(PROJECT.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{PROJECT}: not TOML: {error}") from error


def _group(name: str, groups: dict[str, list]) -> set[str]:
    if name not in groups:
        raise InputError(f"{PROJECT}: key 'dependency-groups' has no group '{name}'; allowed: {', '.join(groups)}.")
    found = set()
    for part in groups[name]:
        found |= {part} if isinstance(part, str) else _group(part["include-group"], groups)
    return found


@functools.cache
def fingerprint(script: str, extra_modules: tuple[str, ...] = ()) -> Mapping[str, str]:
    """A digest of the code of a script and of every library module it imports, directly or not, by module.

    Each is the first 12 hexadecimal digits of a sha256, blind to comments, docstrings, what keys are said to mean,
    formatting, and what is imported for types alone. The script goes by its file's name, `judge.py`, and a module by
    its name in the library, `judging.rows`. `extra_modules` are those found by an id at run time: a family, a judge, a
    data set, a figure.
    """
    found: dict[str, str] = {}
    waiting = [(f"{script}.py", SCRIPTS / f"{script}.py"), *((name, _module_file(name)) for name in extra_modules)]
    while waiting:
        name, path = waiting.pop()
        shown = name.removeprefix("layerwise.")
        if path is None or shown in found or name in NEUTRAL:
            continue
        found[shown], imports = _module(name, path)
        waiting.extend((imported, _module_file(imported)) for imported in imports)
    return dict(sorted(found.items()))


@functools.cache
def _module(name: str, path: Path) -> tuple[str, frozenset[str]]:
    """A module's digest, and the names it imports from the library."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(
            node
        ):
            node.body = node.body[1:] or [ast.Pass()]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Field":
            # What a key means is said to readers, as in a docstring.
            node.keywords = [keyword for keyword in node.keywords if keyword.arg != "description"]
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = [ast.Pass()]  # never runs
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()[:12], frozenset(_imports(tree, package))


def _imports(tree: ast.Module, package: str) -> set[str]:
    """Names of our modules, and perhaps of things in them, that a tree imports anywhere, with their parent packages."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            names.update([origin, *(f"{origin}.{alias.name}" for alias in node.names)])
    ours = {name for name in names if name.split(".")[0] == "layerwise"}
    return ours | {name.rsplit(".", cut)[0] for name in ours for cut in range(1, name.count(".") + 1)}


def _module_file(name: str) -> Path | None:
    """The file of one of our modules; None for the name of something inside a module."""
    path = SCRIPTS.joinpath(*name.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.exists()), None)
