"""Say what an experiment will compute, download and need, and what of it is done, before anything is run or fetched."""

import argparse
from pathlib import Path

from layerwise.paths import Run
from layerwise.runs import plan
from layerwise.study import loading


def main(argv: list[str]) -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--experiment", default="bench", help="an experiment file's name in config/ (default: bench)")
    run = Run(options.parse_args(argv).experiment)
    print(plan.render(plan.plan(loading.load(run.config), Path())))
