"""Cells that failed: which they are, and how the next run tries them again."""

import json
from pathlib import Path

from layerwise.jobs.rows import set_aside


def failed_cells(results: Path) -> dict[Path, dict]:
    """Response files of an experiment whose making failed, each with what its status file says."""
    found = sorted(results.glob("responses/*/*.status.json"))
    return {path.with_name(path.name.replace(".status.json", ".jsonl")): json.loads(path.read_text()) for path in found}


def try_again(results: Path) -> None:
    """Set the failed cells of an experiment aside, so that the next run makes what they lack."""
    for cell in failed_cells(results):
        set_aside(cell)
        cell.with_name(f"{cell.stem}.status.json").unlink()
