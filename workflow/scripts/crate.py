"""Describe a run as RO-Crate: every file with its sha256, every job with its rule, spec, times, inputs and outputs."""

import json
import sys
from pathlib import Path

import yaml

from layerwise.files import atomic
from layerwise.jobs import program
from layerwise.paths import ROOT
from layerwise.runs import provenance
from layerwise.runs.crate import Crate


def main(argv: list[str]) -> None:
    options = program.parser(__doc__)
    options.add_argument("--made", nargs="+", required=True, help="the final files of the run: paper, figures, tables")
    options.add_argument("--output", type=Path, required=True, help="ro-crate-metadata.json")
    arguments = options.parse_args(argv)
    crate = Crate(arguments.output.parent)
    (citation,) = arguments.spec["sources"]
    crate.describe(yaml.safe_load((ROOT / citation).read_text(encoding="utf-8")), arguments.spec)
    crate.record(provenance.jobs(Path()), arguments.made)
    with atomic(arguments.output) as stream:
        json.dump(crate.graph(), stream, indent=1, sort_keys=True, ensure_ascii=False)
        stream.write("\n")
    if crate.unknown:
        print(f"no record of how {len(crate.unknown)} files were made: {', '.join(crate.unknown)}", file=sys.stderr)


if __name__ == "__main__":
    program.run(main)
