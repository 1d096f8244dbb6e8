"""Train one arm of a model with the method that it declares.

An organism's arm is saved as a whole model; an assembled or published model's as a delta on the checkpoint that it
started from. A killed training resumes and repeats at most a minute; the supervised training of an organism starts
over.
"""

from pathlib import Path

from layerwise import plugins
from layerwise.jobs import gpus, program
from layerwise.jobs.threads import single_thread

# The module that trains a kind of model, by the key of the spec that tells it.
KINDS = {"organism": "organisms", "stage": "assembled", "adapter": "adapted"}


def main(argv: list[str]) -> None:
    options = program.parser(__doc__)
    options.add_argument("--start", type=Path, required=True, help="model.safetensors to start from, or a receipt")
    options.add_argument("--prompts", type=Path, nargs="*", default=[], help="prompts to learn from, <dataset>.jsonl")
    options.add_argument(
        "--answers", type=Path, nargs="*", default=[], help="what a language model says by itself, <dataset>.jsonl"
    )
    options.add_argument("--reward", type=Path, nargs="*", default=[], help="checkpoint of the reward's judge, if any")
    options.add_argument("--gpus", type=int, default=0, help="how many GPUs to claim, if there are any")
    options.add_argument("--output", type=Path, required=True, help="model.safetensors; its siblings go beside it")
    options.add_argument("--curve", type=Path, required=True, help="the training curve, CSV")
    given = options.parse_args(argv)
    spec = given.spec
    single_thread()
    gpus.claim(given.gpus)
    # Found by name, as the spec does: how one kind of model is trained decides nothing for the other.
    kind = plugins.find("training", next(module for key, module in KINDS.items() if key in spec))
    reward = None
    if "reward" in spec:
        reward = plugins.find("training.rewards", spec["reward"]["name"]).new(spec["reward"], given.reward)
    own = {"answers": given.answers} if given.answers else {}
    kind.train_arm(spec, given.start, given.prompts, given.output, given.curve, reward, **own)


if __name__ == "__main__":
    program.run(main)
