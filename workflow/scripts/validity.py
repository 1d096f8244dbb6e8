"""Compare the judges with the truth where it is known, with each other, and on controls."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import pandas as pd

from layerwise import files, records
from layerwise.analysis import judge_validity
from layerwise.jobs import program
from layerwise.records import Control, Verdict


def main(argv: list[str]) -> None:
    options = program.parser(__doc__)
    options.add_argument("--prompts", type=Path, nargs="+", required=True, help="prompts of all data sets")
    options.add_argument("--verdicts", type=Path, nargs="+", required=True, help="verdicts, <judge>/<model>.jsonl")
    options.add_argument("--controls", type=Path, nargs="+", required=True, help="the judges' answers to controls")
    options.add_argument("--output", type=Path, required=True, help="CSV: confusion matrices, precision, recall")
    options.add_argument("--controls-table", type=Path, required=True, help="CSV: shares and scores on controls")
    options.add_argument("--agreement", type=Path, required=True, help="CSV: agreement of pairs of judges")
    arguments = options.parse_args(argv)

    spec = arguments.spec
    labels, claims = ({id: judge[key] for id, judge in spec["judges"].items()} for key in ("labels", "claims"))
    clusters = {prompt.id: prompt.cluster for prompt, _ in records.read_prompts(arguments.prompts)}
    lengths: Counter[tuple[str, bool]] = Counter()
    counts = judge_validity.pair_counts(measured(by_model(arguments.verdicts), lengths), claims, clusters)
    against = judge_validity.against_truth(counts, spec["outcome"]["truth"], labels, claims)
    write(arguments.output, pd.concat([against, judge_validity.cut(lengths)]))
    write(arguments.agreement, judge_validity.agreement(counts, claims))
    tried = [row for path in arguments.controls for row in records.read(path, Control)]
    write(arguments.controls_table, judge_validity.controls(tried, labels))


def by_model(paths: Sequence[Path]) -> Iterator[list[Verdict]]:
    """The verdicts of all judges, one subject at a time, so that not all are in memory at once."""
    for _, group in groupby(sorted(paths, key=lambda path: path.stem), key=lambda path: path.stem):
        yield [verdict for file in group for verdict in records.read(file, Verdict)]


def measured(verdicts: Iterator[list[Verdict]], lengths: Counter[tuple[str, bool]]) -> Iterator[list[Verdict]]:
    """The same verdicts; counts how many each judge gave, and to how many of them it had to cut the response."""
    for rows in verdicts:
        lengths.update((row.judge, row.cut) for row in rows)
        yield rows


def write(path: Path, table: pd.DataFrame) -> None:
    """A table as CSV, atomically."""
    with files.atomic(path) as stream:
        table.to_csv(stream, index=False, float_format="%.6g")


if __name__ == "__main__":
    program.run(main)
