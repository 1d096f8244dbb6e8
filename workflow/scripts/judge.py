"""Judge the responses of several subjects, and test the judge on its controls.

Verdicts of an earlier run are kept if their row key still holds; each distinct response is judged once.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from layerwise import plugins, records
from layerwise.errors import InputError
from layerwise.jobs import gpus, program
from layerwise.judging import controls, rows
from layerwise.judging.weights import find_checkpoint
from layerwise.records import Prompt, Response


def main(argv: list[str]) -> None:
    options = program.parser(__doc__)
    options.add_argument("--prompts", type=Path, nargs="+", required=True, help="prompts of all data sets")
    options.add_argument("--responses", type=Path, nargs="*", default=[], help="responses of all models and layers")
    options.add_argument("--output", type=Path, nargs="+", required=True, help="verdicts, a file <model>.jsonl each")
    options.add_argument("--controls", type=Path, required=True, help="the judge's answers to its controls")
    options.add_argument("--weights", type=Path, nargs="*", default=[], help="checkpoint of the judge, or receipts")
    options.add_argument("--gpus", type=int, default=0, help="how many GPUs to claim, if there are any")
    arguments = options.parse_args(argv)

    spec = arguments.spec
    gpus.claim(arguments.gpus)
    module = plugins.find("judging.judges", spec["judge"])
    judge = module.Judge(module.Options(**spec["options"]), arguments.weights)
    prompts = {prompt.id: records.placed(prompt, folder) for prompt, folder in records.read_prompts(arguments.prompts)}
    outputs = {path.stem: path for path in arguments.output}
    responses = responses_by_subject(arguments.responses, outputs)
    determinants = [spec, [find_checkpoint(weights).sha256 for weights in arguments.weights]]
    right = getattr(module, "CONTROLS", {})
    tried = controls.controls(judge, spec["id"], list(prompts.values()), spec["canned_refusal"], right)
    known: dict[str, rows.Answer] = {}
    for subject, path in outputs.items():
        pairs = {
            (response.prompt_id, response.layer): (prompts[response.prompt_id], response)
            for response in responses[subject]
            if _prompt(prompts, response).kind in judge.kinds
        }
        rows.judge_rows(judge, spec["id"], path, rows.row_keys(judge, determinants, pairs), pairs, known)
    records.write(arguments.controls, tried)


def responses_by_subject(paths: Sequence[Path], models: Iterable[str]) -> dict[str, list[Response]]:
    """All responses, by model. Raises InputError for a response of a model that has no output."""
    found: dict[str, list[Response]] = {model: [] for model in models}
    for path in paths:
        for response in records.read(path, Response):
            if response.subject not in found:
                raise InputError(f"{path}: response of subject '{response.subject}', for which --output names no file.")
            found[response.subject].append(response)
    return found


def _prompt(prompts: dict[str, Prompt], response: Response) -> Prompt:
    if response.prompt_id not in prompts:
        raise InputError(
            f"response of subject '{response.subject}', layer {response.layer}: no file in --prompts holds its prompt "
            f"'{response.prompt_id}'. Generate the responses again."
        )
    return prompts[response.prompt_id]


if __name__ == "__main__":
    program.run(main)
