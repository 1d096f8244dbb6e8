"""Train the vision encoder of an organism and save it as a plain folder of its own class (a CLIPVisionModel)."""

from pathlib import Path

from layerwise.jobs import program
from layerwise.jobs.threads import single_thread
from layerwise.models import checkpoints
from layerwise.training import loop
from layerwise.training.vision import train_vision


def main(argv: list[str]) -> None:
    options = program.parser(__doc__)
    options.add_argument("--output", type=Path, required=True, help="model.safetensors; its siblings go beside it")
    options.add_argument("--curve", type=Path, required=True, help="the training curve, CSV")
    arguments = options.parse_args(argv)
    single_thread()
    spec = arguments.spec
    encoder, curve = train_vision(spec["organism"], spec["default_layer"], spec["seed"], arguments.output.parent.name)
    loop.write_curve(arguments.curve, curve)
    checkpoints.save(arguments.output, encoder)


if __name__ == "__main__":
    program.run(main)
