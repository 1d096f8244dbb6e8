"""Safety-tune a base arm of an organism. Ends in a whole model of the same shape."""

from pathlib import Path

from layerwise import plugins
from layerwise.jobs import program
from layerwise.jobs.threads import single_thread
from layerwise.models import checkpoints
from layerwise.training import loop
from layerwise.training.language import align


def main(argv: list[str]) -> None:
    options = program.parser(__doc__)
    options.add_argument("--base", type=Path, required=True, help="model.safetensors of the base arm")
    options.add_argument("--output", type=Path, required=True, help="model.safetensors; its siblings go beside it")
    options.add_argument("--curve", type=Path, required=True, help="CSV of the training curve")
    arguments = options.parse_args(argv)
    single_thread()
    spec = arguments.spec
    recipe = plugins.find("models.organisms", spec["organism"]["recipe"])
    model = checkpoints.load(recipe.Model, arguments.base)
    curve = align(model, spec, arguments.output.parent.name)
    loop.write_curve(arguments.curve, curve)
    checkpoints.save(arguments.output, model, recipe.new_processor())


if __name__ == "__main__":
    program.run(main)
