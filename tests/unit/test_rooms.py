"""Who may import whom: the library's rooms, held by reading the sources.

A room is a module or a package directly below `layerwise`. Judges, data sets and families of models are found by their
file's name, so such a file never imports its neighbour: what they share lies in their package's `__init__` or in a room
of its own.
"""

import ast
import sys
from graphlib import TopologicalSorter

import pytest

from conftest import ROOT

SCRIPTS = ROOT / "workflow" / "scripts"
LIBRARY = SCRIPTS / "layerwise"

# What each room may import besides `records`, `jobs` and `threads`, which all others may. Modules of one package may
# import each other, but for the packages in FOUND_BY_NAME.
MAY_IMPORT = {
    "records": set(),
    "jobs": {"records"},
    "threads": set(),
    "gpus": set(),
    "yamlfile": set(),
    "sources": set(),
    "recipes": {"sources", "yamlfile"},
    "config": {"recipes", "sources", "yamlfile"},
    "spec": {"config"},
    "resume": set(),
    "rawdata": set(),
    "frames": set(),
    "outcomes": set(),
    "stats": set(),
    "metrics": {"outcomes", "stats"},
    "paired": {"metrics", "stats"},
    "evidence": {"frames"},
    "gates": {"evidence"},
    "predictions": {"evidence", "frames"},
    "assets": {"sources"},
    "plan": {"config"},
    "provenance": set(),
    "reference": set(),
    "checkpoints": {"assets"},
    "exits": set(),
    "parts": set(),
    "differences": set(),
    "engine": {"differences", "exits"},
    "organisms": {"exits"},
    "training": {"exits", "organisms", "checkpoints"},
    "judges": {"checkpoints"},
    "judging": {"judges", "resume"},
    "validity": {"judging", "outcomes", "stats"},
    "human_labels": {"stats"},
    "datasets": {"rawdata"},
    "probes": {"exits", "stats"},
    "figures": {"frames", "stats"},
    "tables": {"frames", "stats"},
    "numbers": {"frames", "tables"},
}
FOR_ALL = {"records", "jobs", "threads"}
MAY_IMPORT |= {room: others | FOR_ALL for room, others in MAY_IMPORT.items() if room not in FOR_ALL}
MODULE_MAY_IMPORT = {
    # The truth of the synthetic world is known to its own judge and its own data set.
    "judges.truth": {"organisms"},
    "datasets.world": {"organisms"},
    # LLaVA-NeXT is LLaVA over the tiles of an image.
    "exits.llava_next": {"exits.llava"},
    # The same with another encoder.
    "exits.llava_dinov2": {"exits.llava"},
    # Names and colours of what is plotted.
    "figures.style": {"config"},
    # A judge's trainer checks its settings as the judge does.
    "training.toxicity": {"judges"},
    "training.guard": {"judges"},
}
FOUND_BY_NAME = ("judges", "datasets", "exits")
# Modules that every command imports, also one that only plans: an import of torch costs seconds.
LIGHT = (
    "records",
    "jobs",
    "gpus",
    "yamlfile",
    "sources",
    "recipes",
    "config",
    "spec",
    "resume",
    "outcomes",
    "stats",
    "frames",
    "rawdata",
    "assets",
    "plan",
    "provenance",
)
HEAVY = {"torch", "transformers", "accelerate", "detoxify"}

FILES = {
    ".".join(file.relative_to(LIBRARY).with_suffix("").parts).removesuffix("__init__").rstrip("."): file
    for file in sorted(LIBRARY.rglob("*.py"))
    if file != LIBRARY / "__init__.py"
}


def imported(source: str, package: str = "") -> set[str]:
    """Full names that a source imports anywhere in it: of `from a import b`, `a.b`. `package` is its own, for dots."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            names.update(f"{base}.{alias.name}" for alias in node.names)
    return names


def modules(names: set[str]) -> set[str]:
    """The library's modules among imported names, without `layerwise.` before them."""
    found = set()
    for name in names:
        first, _, rest = name.partition(".")
        if first == "layerwise" and rest:
            found.add(rest if rest in FILES else rest.rpartition(".")[0] or rest)
    return found


def forbidden(module: str, source: str) -> set[str]:
    """What a module of the library imports of the library and may not."""
    room = module.split(".")[0]
    is_package = module in FILES and FILES[module].name == "__init__.py"
    package = f"layerwise.{module}" if is_package else f"layerwise.{module}".rpartition(".")[0]
    allowed = MAY_IMPORT[room] | MODULE_MAY_IMPORT.get(module, set())
    others = modules(imported(source, package)) - {module, room}
    foreign = {other for other in others if other.split(".")[0] != room}
    neighbours = others - foreign - allowed if room in FOUND_BY_NAME else set()
    return {other for other in foreign if other.split(".")[0] not in allowed} | neighbours


@pytest.mark.parametrize("module", FILES)
def test_a_room_imports_only_what_it_may(module):
    assert module.split(".")[0] in MAY_IMPORT, f"{module} is a new room: say in MAY_IMPORT what it may import"
    wrong = forbidden(module, FILES[module].read_text(encoding="utf-8"))
    assert not wrong, f"layerwise.{module} imports {', '.join(sorted(wrong))}, which its room may not"


def test_the_rooms_stand_in_one_order():
    edges = dict(MAY_IMPORT)
    for module, others in MODULE_MAY_IMPORT.items():
        room = module.split(".")[0]
        edges[room] = edges[room] | {other for other in others if other in MAY_IMPORT}
    tuple(TopologicalSorter(edges).static_order())


@pytest.mark.parametrize("module", [name for name in FILES if name.split(".")[0] in LIGHT])
def test_a_light_room_imports_nothing_heavy_when_it_is_loaded(module):
    tree = ast.parse(FILES[module].read_text(encoding="utf-8"))
    top = ast.Module([node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)], [])
    assert not {name.split(".")[0] for name in imported(ast.unparse(top))} & HEAVY


def test_no_script_is_imported():
    scripts = {file.stem for file in SCRIPTS.glob("*.py")}
    for file in [*FILES.values(), *SCRIPTS.glob("*.py")]:
        names = {name.split(".")[0] for name in imported(file.read_text(encoding="utf-8"), "layerwise")}
        assert not names & scripts, f"{file} imports a script: move what both need into the library"


def test_no_script_hides_a_module_of_the_standard_library():
    # A script's folder stands first on the path: a script `numbers.py` would be numpy's `import numbers`.
    assert not {file.stem for file in SCRIPTS.glob("*.py")} & set(sys.stdlib_module_names)


@pytest.mark.parametrize(
    ("module", "source", "wrong"),
    [
        ("judges.vqa", "from layerwise.judges.refusal import PHRASES", {"judges.refusal"}),
        ("judges.vqa", "from layerwise.judges import refusal", {"judges.refusal"}),
        ("judges.vqa", "from . import refusal", {"judges.refusal"}),
        ("judges.vqa", "from .refusal import PHRASES", {"judges.refusal"}),
        ("judges.vqa", "import layerwise.judges.refusal as other", {"judges.refusal"}),
        ("judges.vqa", "def late():\n    from layerwise import engine", {"engine"}),
        ("judges.vqa", "from layerwise.organisms.world import ITEMS", {"organisms.world"}),
        ("judges.truth", "from layerwise.organisms.world import ITEMS", set()),
        ("judges.vqa", "from layerwise.judges import settings\nfrom layerwise import jobs, records", set()),
        ("records", "from layerwise.jobs import progress", {"jobs"}),
        ("figures", "from layerwise import engine", {"engine"}),
        ("stats", "import numpy\nfrom pathlib import Path", set()),
    ],
)
def test_every_form_of_import_is_seen(module, source, wrong):
    assert forbidden(module, source) == wrong
