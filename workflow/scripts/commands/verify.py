"""Compare a finished run with the reference that ships with the project; the exit status is 1 if they disagree.

Run it on the machine that computed. `layerwise/runs/reference.py` explains what must be the same on the same platform
and what on another.
"""

import argparse
import os
from pathlib import Path

from layerwise.paths import REFERENCE, Run
from layerwise.runs import reference


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiment", default="bench", help="a finished experiment (default: bench)")
    parser.add_argument("--write", action="store_true", help="make this run the reference, replacing the old one")
    arguments = parser.parse_args(argv)
    run = Run(arguments.experiment)
    results, folder = Path(run.results), Path(os.path.relpath(REFERENCE / run.experiment))
    if arguments.write:
        written = reference.write(results, folder, reference.this_platform())
        print(f"{written} now holds the results of {results}")
        return 0
    found = reference.compare(results, folder, reference.this_platform())
    print("\n".join([*found.lines, "", "The run agrees." if found.agrees else "The run DOES NOT AGREE."]))
    return 0 if found.agrees else 1
