"""Fetch one asset (weights, a data set, a checkpoint) into the cache and write its receipt.

The spec holds `id` and `source`, as a YAML file in `config/` gives them. A second run finds the files in the cache,
compares checksums and writes the same receipt. If a token is needed, huggingface_hub reads it from HF_TOKEN itself.
"""

from pathlib import Path

from layerwise import assets
from layerwise.files import atomic
from layerwise.jobs import program
from layerwise.study.sources import Source


def main(argv: list[str]) -> None:
    options = program.parser(__doc__)
    options.add_argument("--output", type=Path, required=True, help="the receipt, a JSON file")
    arguments = options.parse_args(argv)
    receipt = assets.fetch(arguments.spec["id"], Source.model_validate(arguments.spec["source"]))
    with atomic(arguments.output) as stream:
        stream.write(assets.dumps(receipt))


if __name__ == "__main__":
    program.run(main)
