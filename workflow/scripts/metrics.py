"""Compute every metric from the verdicts, with its interval, and compare each exit layer with the default layer.

Reads the prompts, the verdicts of all judges, and the responses that have a refusal margin; writes `metrics.csv`,
`paired.csv` and `margins.csv`.
"""

import sys
from pathlib import Path

from layerwise.analysis import margins, metrics
from layerwise.analysis.paired import paired
from layerwise.errors import InputError
from layerwise.files import atomic
from layerwise.jobs import program


def main(argv: list[str]) -> None:
    options = program.parser(__doc__)
    options.add_argument("--prompts", type=Path, nargs="+", required=True, help="prompts files of all data sets")
    options.add_argument("--verdicts", type=Path, nargs="+", required=True, help="verdicts files of all judges, models")
    options.add_argument("--responses", type=Path, nargs="*", default=[], help="responses files with refusal margins")
    options.add_argument("--output", type=Path, required=True, help="the tidy table of metrics, CSV")
    options.add_argument("--paired", type=Path, required=True, help="the comparisons with the default layer, CSV")
    options.add_argument("--margins", type=Path, required=True, help="how well margins tell what is refused, CSV")
    given = options.parse_args(argv)
    spec = given.spec
    subjects = spec["subjects"]

    prompts = metrics.read_prompts(given.prompts)
    verdicts = metrics.read_verdicts(given.verdicts)
    named = verdicts["subject"].isin([subject["name"] for subject in subjects])
    verdicts = verdicts[named & verdicts["prompt_id"].isin(prompts.index)]
    if verdicts.empty:
        raise InputError("--verdicts: none belongs to a subject and a prompt of this experiment. Run its judge rules.")
    roles, judges = spec["outcome"], spec["judges"]
    claims = {id: judge["claims"] for id, judge in judges.items()}
    outcomes = metrics.responses(verdicts, prompts, roles, claims)
    with_margin = margins.read(given.responses, prompts)
    found = [*metrics.measures(outcomes, verdicts, prompts, roles, judges), *margins.measures(with_margin)]
    for path, table in (
        (given.output, metrics.metrics(found, subjects, spec["twins"])),
        (given.paired, paired(found, subjects)),
        (given.margins, margins.fitness(with_margin, outcomes, subjects)),
    ):
        with atomic(path) as stream:
            table.to_csv(stream, index=False, float_format="%.8g")
        print(f"{path}: {len(table)} rows", file=sys.stderr)


if __name__ == "__main__":
    program.run(main)
