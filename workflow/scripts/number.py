"""Gather every number that the paper prints, each with its source, and a sentence on what each figure shows."""

import json
from pathlib import Path

from layerwise.analysis import results
from layerwise.files import atomic
from layerwise.jobs import program
from layerwise.report.numbers.collect import collect
from layerwise.report.numbers.seen import seen
from layerwise.report.tables import Names
from layerwise.study import loading


def main(argv: list[str]) -> None:
    options = program.parser(__doc__)
    options.add_argument("--config", type=Path, required=True, help="the experiment's YAML file: names for readers")
    options.add_argument("--inputs", type=Path, nargs="+", required=True, help="result files")
    options.add_argument("--output", type=Path, required=True, help="numbers.json, one number a line")
    arguments = options.parse_args(argv)
    study = loading.load(arguments.config)
    names = Names(
        *({id: one.display for id, one in kind.items()} for kind in (study.models, study.datasets, study.judges))
    )
    found = results.read(arguments.inputs)
    sources = {
        results.name(path): str(path if results.name(path) != "probes" else path.parent) for path in arguments.inputs
    }
    numbers = collect(found, arguments.spec, sources)
    deep = [id for id, dataset in study.datasets.items() if dataset.options.get("cue") == "deep"]
    aligned = [name for model in study.models.values() for name, arm in model.arms.items() if arm.start is not None]
    numbers |= seen(found, results.subjects(arguments.spec["subjects"]), names, deep, aligned)
    with atomic(arguments.output) as stream:
        lines = (
            f"{json.dumps(key)}: {json.dumps(numbers[key], ensure_ascii=False, allow_nan=False)}"
            for key in sorted(numbers)
        )
        stream.write("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    program.run(main)
