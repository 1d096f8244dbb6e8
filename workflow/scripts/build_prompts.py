"""Build the prompts of one data set, with their images, from its raw files."""

from pathlib import Path

from layerwise import assets, plugins, records
from layerwise.errors import InputError
from layerwise.jobs import program
from layerwise.prompts import draws, images


def main(argv: list[str]) -> None:
    options = program.parser(__doc__)
    options.add_argument("--sources", type=Path, nargs="*", default=[], help="receipts, <dataset>.<source>.json")
    options.add_argument("--output", type=Path, required=True, help="JSONL file of prompts; images go beside it")
    arguments = options.parse_args(argv)
    spec, folder = arguments.spec, arguments.output.parent
    sources = {
        receipt.stem.removeprefix(f"{spec['dataset']}."): assets.resolve(receipt) for receipt in arguments.sources
    }
    prompts = plugins.find("prompts.builders", spec["builder"]).build(spec, sources, folder)
    prompts = draws.first_clusters(prompts, spec["limit"])
    if not prompts:
        raise InputError(
            f"config/datasets/{spec['dataset']}.yaml: it yields no prompts. Check its 'size' and 'options'."
        )
    prompts = images.with_control(prompts, spec["image"], spec["seed"], folder)
    records.write(arguments.output, prompts)


if __name__ == "__main__":
    program.run(main)
