"""The fingerprint of a job's code, and the pins of its kind of work: what of them decides a rerun."""

import ast
import functools
import hashlib
import re
import tomllib
from pathlib import Path
from typing import Any

from layerwise.errors import InputError
from layerwise.files import canonical
from layerwise.paths import ROOT, SCRIPTS

PROJECT = ROOT / "pyproject.toml"

# Progress lines, costs, errors and failures, where files lie, and which GPU it is: no result passes through these
# modules, so none depends on them. What is fetched does, but by its checksum, which stands in the receipt.
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
    return f"python ={re.match(r'>=([0-9.]+)', project()['project']['requires-python'])[1]}"


def group(name: str) -> set[str]:
    """The pins of a dependency group and of those that it includes.

    Raises:
        InputError: there is no such group.
    """
    return _group(name, project()["dependency-groups"])


def project() -> dict[str, Any]:
    """What pyproject.toml says.

    Raises:
        InputError: it is not TOML.
    """
    try:
        return tomllib.loads(PROJECT.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{PROJECT}: not TOML: {error}") from error


def _group(name: str, groups: dict[str, list]) -> set[str]:
    if name not in groups:
        raise InputError(f"{PROJECT}: key 'dependency-groups' has no group '{name}'. There are: {', '.join(groups)}.")
    found = set()
    for part in groups[name]:
        found |= {part} if isinstance(part, str) else _group(part["include-group"], groups)
    return found


@functools.cache
def fingerprint(script: str, extra_modules: tuple[str, ...] = ()) -> str:
    """sha256 over a script and every library module it imports, directly or not, each without comments, docstrings
    and formatting. `extra_modules` are those found by an id at run time: a family, a judge, a data set, a figure."""
    found: dict[str, str] = {}
    waiting = [(script, SCRIPTS / f"{script}.py"), *((name, _module_file(name)) for name in extra_modules)]
    while waiting:
        name, path = waiting.pop()
        if path is None or name in found or name in NEUTRAL:
            continue
        tree = _tree(path)
        found[name] = ast.unparse(tree)
        waiting.extend((imported, _module_file(imported)) for imported in _imports(tree))
    return hashlib.sha256(canonical(sorted(found.items())).encode()).hexdigest()


@functools.cache
def _tree(path: Path) -> ast.Module:
    """A file's syntax tree without docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(
            node
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return tree


def _imports(tree: ast.Module) -> set[str]:
    """Names of our modules (and perhaps of things in them) that a tree imports anywhere, with the packages above."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update([node.module, *(f"{node.module}.{alias.name}" for alias in node.names)])
    ours = {name for name in names if name.split(".")[0] == "layerwise"}
    return ours | {name.rsplit(".", cut)[0] for name in ours for cut in range(1, name.count(".") + 1)}


def _module_file(name: str) -> Path | None:
    """The file of one of our modules; None for a name that is something inside a module."""
    path = SCRIPTS.joinpath(*name.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.exists()), None)
