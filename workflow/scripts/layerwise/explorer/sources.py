"""Where the page comes from: the jobs behind its numbers, the files it was made of, and the state of the code.

Nothing here has a date, so the same results and code always give the same page.
"""

import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from layerwise.files import digest, file_digest
from layerwise.paths import ROOT
from layerwise.runs import provenance


def jobs(last: str, made: Mapping[str, provenance.Job]) -> dict[str, Any]:
    """The jobs that lead to a file: step, inputs and outputs as numbers of `files`, which has each path and checksum.

    The last job comes first. Without a record of the run there are none.
    """
    if last not in made:
        return {"files": [], "jobs": []}
    chain = provenance.chain(made, [made[last]])
    whole = [made[job.outputs[0]] for job in chain]
    paths = sorted({path for job in whole for path in (*job.inputs, *job.outputs)})
    number = {path: place for place, path in enumerate(paths)}
    return {
        "files": [[path, file_digest(Path(path)) if Path(path).exists() else ""] for path in paths],
        "jobs": [
            {
                "step": job.script.removesuffix(".py"),
                "spec": digest(job.spec),
                "inputs": [number[path] for path in job.inputs],
                "outputs": [number[path] for path in job.outputs],
            }
            for job in whole
        ],
    }


def checksums(paths: Iterable[Path]) -> list[list[str]]:
    """Each file with its sha256."""
    return [[str(path), file_digest(path)] for path in sorted(paths)]


def commit() -> str:
    """The commit of the project's folder, with `-dirty` behind it where files differ from it; empty outside git."""
    asked = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12", "--exclude", "*"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    inside = (ROOT / ".git").exists()
    return done.stdout.strip() if inside and done.returncode == 0 else ""
