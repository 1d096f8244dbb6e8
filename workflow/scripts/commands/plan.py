"""Say what an experiment will compute, download and need, and how much of it is done. Nothing is run or fetched."""

import argparse
from pathlib import Path

from layerwise.paths import Run
from layerwise.runs import plan
from layerwise.study import loading


def main(argv: list[str]) -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument(
        "--experiment", default="bench", help="name of a file in config/, without .yaml (default: bench)"
    )
    run = Run(options.parse_args(argv).experiment)
    print(plan.render(plan.plan(loading.load(run.config), Path())))
