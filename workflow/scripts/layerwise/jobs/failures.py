"""Failed cells: how a failure is noted, and how the next run tries again."""

import json
import shlex
import sys
from pathlib import Path

from layerwise import paths
from layerwise.files import atomic
from layerwise.jobs.rows import set_aside


def note(cell: Path, error: str, log: str | None) -> None:
    """Write beside a response file that making it failed, and why."""
    with atomic(paths.status(cell)) as stream:
        json.dump({"state": "failed", "error": error, "log": log}, stream, indent=2)


def failed_cells(results: Path) -> dict[Path, dict]:
    """An experiment's failed response files, each with the content of its status file."""
    found = sorted(results.glob("responses/*/*.status.json"))
    return {path.with_name(path.name.replace(".status.json", ".jsonl")): json.loads(path.read_text()) for path in found}


def try_again(results: Path) -> None:
    """Set an experiment's failed cells aside, so that the next run makes what they lack."""
    for cell in failed_cells(results):
        set_aside(cell)
        paths.status(cell).unlink()


def repeat(cell: Path) -> str:
    """The command that repeats results/<experiment>/responses/<subject>/layer-LL.jsonl, in the same folder."""
    beside = Path(sys.executable).with_name("snakemake")
    program = str(beside) if beside.exists() else "snakemake"
    where = [] if Path.cwd() == paths.ROOT else ["--snakefile", str(paths.SNAKEFILE)]
    choice = ["--config", f"experiment={cell.parts[-4]}"]
    return shlex.join([program, *where, "--cores", "1", *choice, "--forcerun", str(cell), "--", str(cell)])
