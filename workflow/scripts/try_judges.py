"""Try the judges that decide the outcome on their controls; one that is wrong ends the run, unless it may go on."""

import sys
from pathlib import Path

from layerwise import plugins, records
from layerwise.errors import InputError
from layerwise.jobs import gpus, program
from layerwise.judging import controls


def main(argv: list[str]) -> None:
    options = program.parser(__doc__)
    options.add_argument("--prompts", type=Path, nargs="+", required=True, help="prompts of all data sets")
    options.add_argument("--output", type=Path, required=True, help="the judges' answers to their controls")
    options.add_argument("--weights", type=Path, nargs="*", default=[], help="checkpoints of the judges, or receipts")
    options.add_argument("--gpus", type=int, default=0, help="how many GPUs to claim, if there are any")
    arguments = options.parse_args(argv)

    spec = arguments.spec
    gpus.claim(arguments.gpus)
    prompts = [records.placed(prompt, folder) for prompt, folder in records.read_prompts(arguments.prompts)]
    tried = []
    for id, settings in spec["judges"].items():
        weights = [path for path in arguments.weights if controls.owner(path) == id]
        module = plugins.find("judging.judges", settings["judge"])
        judge = module.Judge(module.Options(**settings["options"]), weights)
        right = getattr(module, "CONTROLS", {})
        tried += controls.controls(judge, id, prompts, spec["canned_refusal"], right)
    mistakes = controls.mistakes(tried)
    if mistakes and spec["asserted"]:
        raise InputError(
            f"{'; '.join(mistakes)}: outcomes would be wrong. Choose another judge in 'outcome', or another "
            "'canned_refusal' if the models refuse in other words; with 'controls: {asserted: false}' in the "
            "experiment's file, the run goes on all the same."
        )
    for mistake in mistakes:
        print(f"warning: {mistake}", file=sys.stderr)
    records.write(arguments.output, tried)


if __name__ == "__main__":
    program.run(main)
