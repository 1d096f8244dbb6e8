"""Let the language model of an assembled model answer prompts by itself, without their images; existing rows are kept.

A projector learns to leave these answers as they are, refusals included, so that whatever changes beside an image is
not the training's doing.
"""

from dataclasses import replace
from pathlib import Path

from layerwise import records
from layerwise.errors import InputError
from layerwise.jobs import program
from layerwise.jobs.threads import single_thread
from layerwise.models import generation
from layerwise.paths import status
from layerwise.records import Prompt


def main(argv: list[str]) -> None:
    options = program.parser(__doc__)
    options.add_argument("--weights", type=Path, required=True, help="model.safetensors of the assembled backbones")
    options.add_argument("--prompts", type=Path, required=True, help="prompts of one data set")
    options.add_argument("--output", type=Path, required=True, help="the answers, JSONL")
    given = options.parse_args(argv)
    single_thread()
    asked = [(replace(one, image=None, image_sha256=None), None) for one in records.read(given.prompts, Prompt)]
    outputs = {given.spec["model"]["default_layer"]: given.output}
    generation.respond(given.spec, given.weights, asked, outputs, gpu_count=0, log=None)
    if status(given.output).exists():
        raise InputError(f"{given.output} lacks answers, which no training can do without; see {status(given.output)}.")


if __name__ == "__main__":
    program.run(main)
