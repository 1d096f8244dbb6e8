"""Lay out one table of an experiment as CSV; beside it the same as LaTeX (booktabs), and a note for readers (TXT)."""

from pathlib import Path

from layerwise import config, frames, jobs, tables
from layerwise.records import atomic
from layerwise.tables import latex


def main(argv: list[str]) -> None:
    options = jobs.parser(__doc__)
    options.add_argument("--config", type=Path, required=True, help="the experiment's YAML file: names for readers")
    options.add_argument("--inputs", type=Path, nargs="+", required=True, help="result files that it is made from")
    options.add_argument("--output", type=Path, required=True, help="the CSV; .tex and .txt go beside it")
    arguments = options.parse_args(argv)
    study = config.load(arguments.config)
    shown = ({id: one.display for id, one in kind.items()} for kind in (study.models, study.datasets, study.judges))
    make = getattr(tables, arguments.spec["table"].replace("-", "_"))
    table = make(frames.read(arguments.inputs), arguments.spec, tables.Names(*shown))
    with atomic(arguments.output) as stream:
        table.rows.to_csv(stream, index=False)
    with atomic(arguments.output.with_suffix(".tex")) as stream:
        stream.write(latex.render(table))
    with atomic(arguments.output.with_suffix(".txt")) as stream:
        stream.write(table.note + "\n")


if __name__ == "__main__":
    jobs.run(main)
