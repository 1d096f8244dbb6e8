"""Probe the features of every exit layer of one subject: what can be read there, and how far they drift."""

from pathlib import Path

from layerwise import assets
from layerwise.analysis import probing
from layerwise.files import atomic
from layerwise.jobs import gpus, program
from layerwise.jobs.threads import single_thread
from layerwise.models import checkpoints


def main(argv: list[str]) -> None:
    options = program.parser(__doc__)
    options.add_argument(
        "--weights", type=Path, required=True, help="model.safetensors, or a published model's receipt"
    )
    options.add_argument("--prompts", type=Path, nargs="*", default=[], help="prompts files; none for an organism")
    options.add_argument("--output", type=Path, required=True, help="the probes, CSV")
    options.add_argument("--gpus", type=int, default=0, help="how many GPUs to claim, if there are any")
    given = options.parse_args(argv)
    single_thread()
    folder = assets.resolve(given.weights) if given.weights.suffix == ".json" else given.weights.parent
    family = checkpoints.load_model(folder, given.spec["model"], gpus.claim(given.gpus))
    table = probing.probe(family, given.spec, given.prompts)
    with atomic(given.output) as stream:
        table.to_csv(stream, index=False, float_format="%.8g")


if __name__ == "__main__":
    program.run(main)
