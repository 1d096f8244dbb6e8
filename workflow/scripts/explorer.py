"""Build the explorer: one page with all prompts, images, responses and verdicts of an experiment, to be opened offline.

Equal results and code give equal bytes. If the page would be larger than its limit, margins of all but three seeds go
first, then the words and images of some clusters, the last by the hash of their names; the page says what is left out.
"""

import sys
from pathlib import Path

from layerwise import records
from layerwise.explorer import answers
from layerwise.explorer.answers import Answers
from layerwise.explorer.contents import MEGABYTE, Files, page
from layerwise.files import atomic
from layerwise.jobs import program


def main(argv: list[str]) -> None:
    options = program.parser(__doc__)
    options.add_argument("--experiment", required=True, help="the experiment whose YAML file gives names and colours")
    for name, what in (
        ("prompts", "prompts files of all data sets"),
        ("responses", "response files of all subjects and exit layers"),
        ("verdicts", "verdicts files of all judges and subjects"),
        ("results", "tables of results: metrics, paired, probes, …"),
    ):
        options.add_argument(f"--{name}", type=Path, nargs="*", default=[], help=what)
    options.add_argument("--numbers", type=Path, required=True, help="numbers.json")
    options.add_argument("--output", type=Path, required=True, help="the page, HTML")
    given = options.parse_args(argv)
    spec = given.spec
    prompts = list(records.read_prompts(given.prompts))
    said = Answers([prompt for prompt, _ in prompts], spec["judges"], spec["outcome"])
    parts = answers.of_subjects(spec["subjects"], given.responses, given.verdicts)
    for subject, responses, verdicts in program.progress(parts, len(spec["subjects"]), "subjects"):
        said.add(subject["layers"], responses, verdicts)
    files = Files(given.prompts, given.results, given.numbers)
    made = page(given.experiment, spec, files, prompts, said)  # whatever it cannot read is no error of writing
    with atomic(given.output, binary=True) as stream:
        size = stream.write(made)
    print(f"{given.output}: {size / MEGABYTE:.1f} MB", file=sys.stderr)


if __name__ == "__main__":
    program.run(main)
