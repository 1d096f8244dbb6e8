"""Train one arm of a model with the method that it declares.

An organism's arm is saved as a whole model, an assembled model's arm as a delta on the checkpoint it started from. A
killed training of an assembled model resumes and repeats at most a minute.
"""

from pathlib import Path

from layerwise import plugins
from layerwise.jobs import program
from layerwise.jobs.threads import single_thread


def main(argv: list[str]) -> None:
    options = program.parser(__doc__)
    options.add_argument("--start", type=Path, required=True, help="model.safetensors to start from")
    options.add_argument("--prompts", type=Path, nargs="*", default=[], help="prompts to learn from, <dataset>.jsonl")
    options.add_argument("--output", type=Path, required=True, help="model.safetensors; its siblings go beside it")
    options.add_argument("--curve", type=Path, required=True, help="the training curve, CSV")
    arguments = options.parse_args(argv)
    single_thread()
    # Found by name, as the spec does: how one kind of model is trained decides nothing for the other.
    kind = plugins.find("training", "organisms" if "organism" in arguments.spec else "assembled")
    kind.train_arm(arguments.spec, arguments.start, arguments.prompts, arguments.output, arguments.curve)


if __name__ == "__main__":
    program.run(main)
