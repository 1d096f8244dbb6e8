"""Fetch one asset (weights, a data set, a checkpoint) into the cache and write its receipt.

The spec holds `id` and `source`, as a YAML file in `config/` gives them; its mirrors come apart, since they change no
result. A second run finds the files in the cache,
compares checksums and writes the same receipt. If a token is needed, huggingface_hub reads it from HF_TOKEN itself.
"""

import json
from pathlib import Path

from layerwise import assets
from layerwise.files import atomic
from layerwise.jobs import program
from layerwise.study.sources import Source


def main(argv: list[str]) -> None:
    options = program.parser(__doc__)
    options.add_argument("--output", type=Path, required=True, help="the receipt, a JSON file")
    options.add_argument("--mirrors", type=json.loads, default=[], help="JSON list of other places of the same file")
    arguments = options.parse_args(argv)
    source = Source.model_validate({**arguments.spec["source"], "mirrors": arguments.mirrors})
    receipt = assets.fetch(arguments.spec["id"], source)
    with atomic(arguments.output) as stream:
        stream.write(assets.dumps(receipt))


if __name__ == "__main__":
    program.run(main)
