"""Report what a run made and what each rule cost; end with an error if a cell failed.

A failed cell leaves `layer-LL.status.json` beside its responses, and the figures are drawn without it. This script
lists those cells, each with its log and the command that repeats it, and sets their rows aside, so that the next run
computes only what is missing.
"""

import json
import sys
from pathlib import Path

import pandas as pd

from layerwise.files import atomic
from layerwise.jobs import failures, program


def main(argv: list[str]) -> None:
    parser = program.parser(__doc__)
    parser.add_argument(
        "--log", type=Path, required=True, help="this job's log; the files beside it hold each job's cost"
    )
    parser.add_argument(
        "--made", type=Path, nargs="+", required=True, help="the paper, explorer and figures of the run"
    )
    parser.add_argument("--output", type=Path, required=True, help="text file for the same report, among the results")
    arguments = parser.parse_args(argv)

    results = arguments.output.parent
    costs = cost_table(arguments.log.parent)
    with atomic(results / "costs.csv") as stream:
        costs.to_csv(stream, index=False)
    text = "\n".join(
        [
            *(f"{path}" for path in arguments.made if path.suffix in (".pdf", ".html")),
            f"{results}/metrics.csv, paired.csv, numbers.json, tables/",
            "",
            costs.to_string(index=False),
        ]
    )
    print(text)
    failed = failures.failed_cells(results)
    for cell, status in failed.items():
        print(
            f"FAILED {cell}: {status['error']}\n  log:    {status['log']}\n  repeat: {failures.repeat(cell)}",
            file=sys.stderr,
        )
    if failed:
        failures.try_again(results)
        sys.exit(
            f"error: {len(failed)} cells failed; figures, tables and paper are PARTIAL. Run the same command to retry."
        )
    with atomic(arguments.output) as stream:
        stream.write(text + "\n")


def cost_table(logs: Path) -> pd.DataFrame:
    """CPU seconds, peak memory and number of jobs by rule, as recorded by the scripts."""
    rows = []
    for path in sorted(logs.rglob("*.log.json")):
        name = path.relative_to(logs).parts[0].removesuffix(".log.json")
        rows.append({"rule": name, **json.loads(path.read_text())})
    costs = pd.DataFrame(rows, columns=["rule", "cpu_seconds", "wall_seconds", "peak_memory_mb"])
    table = costs.groupby("rule", sort=False).agg(
        jobs=("rule", "size"), cpu_seconds=("cpu_seconds", "sum"), peak_memory_mb=("peak_memory_mb", "max")
    )
    table = table.sort_values("cpu_seconds", ascending=False)
    total = pd.DataFrame(
        {
            "jobs": table.jobs.sum(),
            "cpu_seconds": table.cpu_seconds.sum(),
            "peak_memory_mb": table.peak_memory_mb.max(),
        },
        index=["all"],
    )
    table = pd.concat([table, total]).round(1)
    table["percent"] = (100 * table.cpu_seconds / max(total.cpu_seconds.item(), 1e-9)).round(1)
    return table.rename_axis("rule").reset_index()


if __name__ == "__main__":
    program.run(main)
