"""Train one arm of a model, by the method that it declares.

An organism's arm is a whole model; an arm of an assembled model is what it learned, laid over what it started from.
Killed and started again, the training of an assembled model goes on from the last minute.
"""

from pathlib import Path

from layerwise import plugins
from layerwise.jobs import program
from layerwise.jobs.threads import single_thread


def main(argv: list[str]) -> None:
    options = program.parser(__doc__)
    options.add_argument("--start", type=Path, required=True, help="model.safetensors that it starts from")
    options.add_argument("--prompts", type=Path, nargs="*", default=[], help="prompts to learn, <dataset>.jsonl")
    options.add_argument("--output", type=Path, required=True, help="model.safetensors; its siblings go beside it")
    options.add_argument("--curve", type=Path, required=True, help="CSV of the training curve")
    arguments = options.parse_args(argv)
    single_thread()
    # Found by name, as the spec does: how one kind of model is trained decides nothing for the other.
    kind = plugins.find("training", "organisms" if "organism" in arguments.spec else "assembled")
    kind.train_arm(arguments.spec, arguments.start, arguments.prompts, arguments.output, arguments.curve)


if __name__ == "__main__":
    program.run(main)
