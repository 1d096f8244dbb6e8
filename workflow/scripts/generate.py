"""Generate a subject's responses to prompts at exit layers: one JSONL file per layer; existing rows are kept.

If something fails at a layer, its file is still written, with the rows there are, and a `<stem>.status.json` beside it
says what failed. The process then ends without an error, so that the results of other layers are used.
"""

import re
from pathlib import Path

from layerwise.errors import InputError
from layerwise.jobs import program
from layerwise.jobs.threads import single_thread
from layerwise.models import generation
from layerwise.records import read_prompts


def main(argv: list[str]) -> None:
    options = program.parser(__doc__)
    options.add_argument(
        "--weights", type=Path, required=True, help="model.safetensors, or the receipt of a published model"
    )
    options.add_argument("--prompts", type=Path, nargs="+", required=True, help="JSONL files of prompts")
    options.add_argument(
        "--output", type=Path, nargs="+", required=True, help="one file per layer, named layer-LL.jsonl"
    )
    options.add_argument("--gpus", type=int, default=0, help="how many GPUs to claim, if there are any")
    options.add_argument("--log", help="the log of this job, to name if a layer fails")
    given = options.parse_args(argv)
    outputs = by_layer(given.output, given.spec["model"]["blocks"])
    single_thread()
    prompts = [
        (prompt, folder / prompt.image if prompt.image is not None else None)
        for prompt, folder in read_prompts(given.prompts)
    ]
    generation.respond(given.spec, given.weights, prompts, outputs, given.gpus, given.log)


def by_layer(outputs: list[Path], blocks: int) -> dict[int, Path]:
    """Output files by the exit layer in their name. Raises InputError for another name or a nonexistent layer."""
    found = {}
    for path in outputs:
        named = re.fullmatch(r"layer-(\d+)\.jsonl", path.name)
        if named is None or int(named[1]) > blocks:
            raise InputError(f"--output {path}: name it layer-LL.jsonl, LL an exit layer of this model, 0 to {blocks}.")
        found[int(named[1])] = path
    return found


if __name__ == "__main__":
    program.run(main)
