"""Lay out one table of an experiment as CSV; beside it the same as LaTeX (booktabs), and a note for readers (TXT)."""

from pathlib import Path

from layerwise.analysis import results
from layerwise.files import atomic
from layerwise.jobs import program
from layerwise.report import latex, tables
from layerwise.study import loading


def main(argv: list[str]) -> None:
    options = program.parser(__doc__)
    options.add_argument("--config", type=Path, required=True, help="the experiment's YAML file: names for readers")
    options.add_argument("--inputs", type=Path, nargs="+", required=True, help="result files that it is made from")
    options.add_argument("--output", type=Path, required=True, help="the CSV; .tex and .txt go beside it")
    arguments = options.parse_args(argv)
    study = loading.load(arguments.config)
    shown = ({id: one.display for id, one in kind.items()} for kind in (study.models, study.datasets, study.judges))
    make = getattr(tables, arguments.spec["table"].replace("-", "_"))
    table = make(results.read(arguments.inputs), arguments.spec, tables.Names(*shown))
    with atomic(arguments.output) as stream:
        table.rows.to_csv(stream, index=False)
    with atomic(arguments.output.with_suffix(".tex")) as stream:
        stream.write(latex.render(table))
    with atomic(arguments.output.with_suffix(".txt")) as stream:
        stream.write(table.note + "\n")


if __name__ == "__main__":
    program.run(main)
