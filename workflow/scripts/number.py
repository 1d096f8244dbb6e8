"""Gather every number that the paper prints, each with its source, and the findings on figures and tables."""

import json
from pathlib import Path

from layerwise.analysis import results
from layerwise.files import atomic
from layerwise.jobs import program
from layerwise.report.numbers.collect import collect, found_in_words


def main(argv: list[str]) -> None:
    options = program.parser(__doc__)
    options.add_argument("--inputs", type=Path, nargs="+", required=True, help="result files")
    options.add_argument("--findings", type=Path, nargs="*", default=[], help="<figure or table>.finding.txt")
    options.add_argument("--output", type=Path, required=True, help="numbers.json, one number per line")
    arguments = options.parse_args(argv)
    sources = {
        results.name(path): str(path if results.name(path) != "probes" else path.parent) for path in arguments.inputs
    }
    numbers = collect(results.read(arguments.inputs), arguments.spec, sources)
    numbers |= found_in_words(arguments.findings)
    with atomic(arguments.output) as stream:
        lines = (
            f"{json.dumps(key)}: {json.dumps(numbers[key], ensure_ascii=False, allow_nan=False)}"
            for key in sorted(numbers)
        )
        stream.write("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    program.run(main)
