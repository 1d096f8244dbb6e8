"""Train the checkpoint of a judge on the language of the synthetic world."""

import importlib
from pathlib import Path

from layerwise import jobs


def main(argv: list[str]) -> None:
    options = jobs.parser(__doc__)
    options.add_argument("--output", type=Path, required=True, help="SHA256SUMS of the checkpoint, beside its files")
    arguments = options.parse_args(argv)
    trainer = importlib.import_module(f"layerwise.training.{arguments.spec['judge']}")
    trainer.train(arguments.spec["train"], arguments.output)


if __name__ == "__main__":
    jobs.run(main)
