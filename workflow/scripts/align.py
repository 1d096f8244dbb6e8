"""Safety-tune a base arm of an organism. Ends in a whole model of the same shape."""

from pathlib import Path

from layerwise import jobs, organisms
from layerwise.threads import single_thread
from layerwise.training import checkpoints, loop
from layerwise.training.language import align


def main(argv: list[str]) -> None:
    options = jobs.parser(__doc__)
    options.add_argument("--base", type=Path, required=True, help="model.safetensors of the base arm")
    options.add_argument("--output", type=Path, required=True, help="model.safetensors; its siblings go beside it")
    options.add_argument("--curve", type=Path, required=True, help="CSV of the training curve")
    arguments = options.parse_args(argv)
    single_thread()
    spec = arguments.spec
    recipe = organisms.load(spec["organism"]["recipe"])
    model = checkpoints.load(recipe.Model, arguments.base)
    curve = align(model, spec, arguments.output.parent.name)
    loop.write_curve(arguments.curve, curve)
    checkpoints.save(arguments.output, model, recipe.new_processor())


if __name__ == "__main__":
    jobs.run(main)
