"""Train one arm of a model that was joined from published parts.

A base arm learns the projector, on captions and visual questions; an aligned arm learns to refuse, in the last blocks
of its language model. Ends in a checkpoint of what was learned, laid over the one below it. Killed and started again,
it goes on from the last minute.
"""

from pathlib import Path

from layerwise import files
from layerwise.jobs import program
from layerwise.jobs.threads import single_thread
from layerwise.models import checkpoints
from layerwise.models.deltas import Difference
from layerwise.training import assembled, loop


def main(argv: list[str]) -> None:
    options = program.parser(__doc__)
    options.add_argument("--below", type=Path, required=True, help="model.safetensors of the parts, or of the base arm")
    options.add_argument("--prompts", type=Path, nargs="+", required=True, help="prompts to learn, <dataset>.jsonl")
    options.add_argument("--output", type=Path, required=True, help="model.safetensors; its siblings go beside it")
    options.add_argument("--curve", type=Path, required=True, help="CSV of the training curve")
    arguments = options.parse_args(argv)
    single_thread()
    spec, folder = arguments.spec, arguments.output.parent
    below = arguments.below.parent
    family = checkpoints.load_model(below, spec["model"])
    learned = assembled.learnable(family.model, spec["stage"]["learns"])
    saved = loop.Saved(folder / "training.partial", files.digest([spec, checkpoints.checkpoint_digest(below)]))
    curve = assembled.train(family, spec, assembled.read(arguments.prompts, spec), learned, folder.name, saved)
    loop.write_curve(arguments.curve, curve)
    checkpoints.save(arguments.output, Difference(learned, below))
    saved.remove()


if __name__ == "__main__":
    program.run(main)
