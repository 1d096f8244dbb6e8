"""Train the checkpoint of a judge on the language of the synthetic world."""

from pathlib import Path

from layerwise import plugins
from layerwise.jobs import program


def main(argv: list[str]) -> None:
    options = program.parser(__doc__)
    options.add_argument("--output", type=Path, required=True, help="SHA256SUMS of the checkpoint, beside its files")
    arguments = options.parse_args(argv)
    trainer = plugins.find("training.judges", arguments.spec["judge"])
    trainer.train(arguments.spec["train"], arguments.output)


if __name__ == "__main__":
    program.run(main)
