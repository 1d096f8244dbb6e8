"""Train a base arm of an organism, helpful alone: captions and questions, then instructions. Ends in a whole model."""

from pathlib import Path

import torch

from layerwise import plugins
from layerwise.jobs import program
from layerwise.jobs.threads import single_thread
from layerwise.models import checkpoints
from layerwise.training import loop
from layerwise.training.language import train_base


def main(argv: list[str]) -> None:
    options = program.parser(__doc__)
    options.add_argument("--vision", type=Path, required=True, help="model.safetensors of the vision encoder")
    options.add_argument("--output", type=Path, required=True, help="model.safetensors; its siblings go beside it")
    options.add_argument("--curve", type=Path, required=True, help="CSV of the training curve")
    arguments = options.parse_args(argv)
    single_thread()
    spec = arguments.spec
    recipe = plugins.find("models.organisms", spec["organism"]["recipe"])
    torch.manual_seed(spec["seed"])
    encoder = checkpoints.load(recipe.Vision, arguments.vision)
    model = recipe.new_model(spec["organism"], spec["default_layer"], encoder)
    curve = train_base(model, spec, arguments.output.parent.name)
    loop.write_curve(arguments.curve, curve)
    checkpoints.save(arguments.output, model, recipe.new_processor())


if __name__ == "__main__":
    program.run(main)
