"""Records of jobs that were never run, written as Snakemake writes those of real ones."""

import base64
import json
from pathlib import Path

from layerwise.runs import provenance


def record(
    root: Path,
    rule: str,
    inputs: list[str],
    outputs: list[str],
    spec: dict | None = None,
    version: int = provenance.FORMAT,
) -> None:
    """Write the records of one job as Snakemake does: one file an output, named after it."""
    for output in outputs:
        code = base64.urlsafe_b64encode(output.encode()).decode()
        pieces = [code[start : start + 254] for start in range(0, len(code), 254)]
        path = root.joinpath(provenance.FOLDER, *(f"@{piece}" for piece in pieces[:-1]), pieces[-1])
        path.parent.mkdir(parents=True, exist_ok=True)
        values = {
            "rule": rule,
            "input": inputs,
            "shellcmd": f'python "$LAYERWISE_SCRIPTS"/{rule}.py > {" ".join(outputs)}',
            "params": [repr(json.dumps(spec or {}))],
            "record_format_version": version,
            "starttime": 1.0,
            "endtime": 2.0,
            "input_checksums": {path: f"sha256:{path}" for path in inputs},
        }
        path.write_text(json.dumps(values))
