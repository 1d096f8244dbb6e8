"""Draw one figure as PDF, SVG and PNG, with the plotted data (CSV), a caption (TXT) and a finding (TXT) beside it."""

from pathlib import Path

from layerwise import plugins
from layerwise.analysis import results
from layerwise.files import atomic
from layerwise.jobs import program
from layerwise.paths import Run
from layerwise.report import findings, names, style
from layerwise.study import loading


def main(argv: list[str]) -> None:
    options = program.parser(__doc__)
    options.add_argument("--experiment", required=True, help="the experiment whose YAML file gives names and colours")
    options.add_argument("--inputs", type=Path, nargs="+", required=True, help="result files to read")
    options.add_argument("--output", type=Path, required=True, help="the PDF; SVG, PNG, CSV and TXT go beside it")
    arguments = options.parse_args(argv)
    figure = plugins.find("report.figures", arguments.spec["figure"])
    study = loading.load(Run(arguments.experiment).config)
    frames, subjects = results.read(arguments.inputs), results.subjects(arguments.spec["subjects"])
    look, data = style.Style(study), figure.data(frames, subjects)
    with style.theme():
        style.save(figure.draw(data, look), data, arguments.output)
    with atomic(arguments.output.with_suffix(".txt")) as stream:
        stream.write(figure.caption(data, look) + "\n")
    findings.write(arguments.output, figure, frames, subjects, names.of(study))


if __name__ == "__main__":
    program.run(main)
