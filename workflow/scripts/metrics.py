"""Compute every metric from the verdicts, with its interval, and compare each exit layer with the default layer.

Reads the prompts and the verdicts of all judges; writes `metrics.csv` and `paired.csv`.
"""

import sys
from pathlib import Path

from layerwise.analysis import metrics
from layerwise.analysis.paired import paired
from layerwise.errors import InputError
from layerwise.files import atomic
from layerwise.jobs import program


def main(argv: list[str]) -> None:
    options = program.parser(__doc__)
    options.add_argument("--prompts", type=Path, nargs="+", required=True, help="prompts files of all data sets")
    options.add_argument("--verdicts", type=Path, nargs="+", required=True, help="verdicts files of all judges, models")
    options.add_argument("--output", type=Path, required=True, help="the tidy table of metrics, CSV")
    options.add_argument("--paired", type=Path, required=True, help="the comparisons with the default layer, CSV")
    given = options.parse_args(argv)
    spec = given.spec
    subjects = spec["subjects"]

    prompts = metrics.read_prompts(given.prompts)
    verdicts = metrics.read_verdicts(given.verdicts)
    named = verdicts["subject"].isin([subject["name"] for subject in subjects])
    verdicts = verdicts[named & verdicts["prompt_id"].isin(prompts.index)]
    if verdicts.empty:
        raise InputError("--verdicts: none belongs to a subject and a prompt of this experiment. Run its judge rules.")
    found = list(metrics.measures(verdicts, prompts, spec["outcome"], spec["judges"]))
    for path, table in (
        (given.output, metrics.metrics(found, subjects, spec["twins"])),
        (given.paired, paired(found, subjects)),
    ):
        with atomic(path) as stream:
            table.to_csv(stream, index=False, float_format="%.8g")
        print(f"{path}: {len(table)} rows", file=sys.stderr)


if __name__ == "__main__":
    program.run(main)
