"""Lay out one table as CSV and as LaTeX (booktabs), with a note for readers (TXT) and a finding (TXT) beside it."""

from pathlib import Path

from layerwise import plugins
from layerwise.analysis import results
from layerwise.files import atomic
from layerwise.jobs import program
from layerwise.paths import ROOT, Run
from layerwise.report import findings, latex, names
from layerwise.study import loading


def main(argv: list[str]) -> None:
    options = program.parser(__doc__)
    options.add_argument("--experiment", required=True, help="the experiment whose YAML file gives display names")
    options.add_argument("--inputs", type=Path, nargs="+", required=True, help="result files to read")
    options.add_argument("--output", type=Path, required=True, help="the CSV; .tex and .txt go beside it")
    arguments = options.parse_args(argv)
    module = plugins.find("report.tables", arguments.spec["table"])
    shown = names.of(loading.load(Run(arguments.experiment).config))
    sources = [ROOT / name for name in arguments.spec.get("sources", ())]
    frames = results.read([*arguments.inputs, *sources])
    table = module.table(frames, arguments.spec, shown)
    with atomic(arguments.output) as stream:
        table.rows.to_csv(stream, index=False)
    with atomic(arguments.output.with_suffix(".tex")) as stream:
        stream.write(latex.render(table))
    with atomic(arguments.output.with_suffix(".txt")) as stream:
        stream.write(table.note + "\n")
    findings.write(arguments.output, module, frames, results.subjects(arguments.spec["subjects"]), shown)


if __name__ == "__main__":
    program.run(main)
