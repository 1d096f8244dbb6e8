"""Say what an experiment will compute, download and need, and how much of it is done. Nothing is run or fetched.

--check also asks every source whether it is there, how large it is and whether it can be opened. The exit status is 1
if one of them cannot be fetched.
"""

import argparse
from pathlib import Path

from layerwise.errors import InputError
from layerwise.paths import Run
from layerwise.runs import plan, sources
from layerwise.study import loading


def main(argv: list[str]) -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument(
        "--experiment", default="bench", help="name of a file in config/, without .yaml (default: bench)"
    )
    options.add_argument("--check", action="store_true", help="ask every source as well, without downloading")
    arguments = options.parse_args(argv)
    planned = plan.plan(loading.load(Run(arguments.experiment).config), Path())
    print(plan.render(planned))
    if arguments.check:
        print(f"sources    {len(planned.downloads)} to ask", flush=True)
        answers = []
        for answer in sources.ask(planned.downloads):
            print(answer.line(), flush=True)
            answers.append(answer)
        if failed := sources.unavailable(answers):
            raise InputError(f"{len(failed)} of {len(planned.downloads)} cannot be fetched: {', '.join(failed)}.")
