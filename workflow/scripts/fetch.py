"""Fetch one asset (weights, a data set, a checkpoint) into the cache and write its receipt.

The spec holds `id` and `source`, as a YAML file of `config/` gives them. Run again, it finds the cache full, compares
the checksums and writes the same receipt. Where a token is needed, huggingface_hub reads it from HF_TOKEN itself.
"""

from pathlib import Path

from layerwise import assets, jobs
from layerwise.records import atomic
from layerwise.sources import Source


def main(argv: list[str]) -> None:
    options = jobs.parser(__doc__)
    options.add_argument("--output", type=Path, required=True, help="the receipt, a JSON file")
    arguments = options.parse_args(argv)
    receipt = assets.fetch(arguments.spec["id"], Source.model_validate(arguments.spec["source"]))
    with atomic(arguments.output) as stream:
        stream.write(assets.dumps(receipt))


if __name__ == "__main__":
    jobs.run(main)
