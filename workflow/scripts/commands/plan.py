"""Say what an experiment will compute, download and need, and what of it is done, before anything is run or fetched."""

import argparse
from pathlib import Path

from layerwise.runs import plan
from layerwise.study import loading


def main(argv: list[str]) -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--config", type=Path, default=Path("config/bench.yaml"), help="an experiment file")
    path = options.parse_args(argv).config
    print(plan.render(plan.plan(loading.load(path), path.resolve().parents[1])))
