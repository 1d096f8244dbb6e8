"""Generate a model's responses to prompts at exit layers: one JSONL file a layer, rows already there are kept.

A layer at which something fails gets its file all the same, with the rows there are, and a `<stem>.status.json` beside
it that says what failed; the process then ends well, so that the other layers' results are used.
"""

import re
import sys
import traceback
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from layerwise import assets, paths
from layerwise.errors import InputError
from layerwise.files import digest
from layerwise.jobs import failures, gpus, program
from layerwise.jobs.rows import Rows
from layerwise.jobs.threads import single_thread
from layerwise.models import checkpoints, engine
from layerwise.records import Prompt, Response, read_prompts


def main(argv: list[str]) -> None:
    options = program.parser(__doc__)
    options.add_argument(
        "--weights", type=Path, required=True, help="model.safetensors, or the receipt of a published model"
    )
    options.add_argument("--prompts", type=Path, nargs="+", required=True, help="JSONL files of prompts")
    options.add_argument("--output", type=Path, nargs="+", required=True, help="one file a layer, named layer-LL.jsonl")
    options.add_argument("--gpus", type=int, default=0, help="how many GPUs to claim, where there are any")
    options.add_argument("--log", help="the log of this job, to be named where a layer fails")
    given = options.parse_args(argv)
    outputs = by_layer(given.output, given.spec["model"]["blocks"])
    single_thread()

    prompts = [
        (prompt, folder / prompt.image if prompt.image is not None else None)
        for prompt, folder in read_prompts(given.prompts)
    ]
    folder, weights = checkpoint(given.weights)
    with ExitStack() as stack:
        files = {}
        for layer, path in sorted(outputs.items()):
            keys = {(prompt.id, layer): key(given.spec, weights, prompt, layer) for prompt, _ in prompts}
            files[layer] = stack.enter_context(Rows(path, Response, keys))
        errors = compute(given.spec, folder, prompts, files, given.gpus)
        for layer, rows in files.items():
            rows.finish()
            report(rows, errors[layer], given.log)


def by_layer(outputs: list[Path], blocks: int) -> dict[int, Path]:
    """Output files by the exit layer in their name. Raises InputError for another name, or a layer there is not."""
    found = {}
    for path in outputs:
        named = re.fullmatch(r"layer-(\d+)\.jsonl", path.name)
        if named is None or int(named[1]) > blocks:
            raise InputError(f"--output {path}: name it layer-LL.jsonl, LL an exit layer of this model, 0 to {blocks}.")
        found[int(named[1])] = path
    return found


def checkpoint(weights: Path) -> tuple[Path, str]:
    """The folder of a checkpoint, and the sha256 that names its content."""
    if weights.suffix == ".json":
        files = assets.read(weights).files
        return assets.resolve(weights), digest({file.name: file.sha256 for file in files})
    if not weights.is_file():
        raise InputError(f"the checkpoint {weights.parent} lacks {weights.name}. Run the rule that trains it.")
    return weights.parent, checkpoints.checkpoint_digest(weights.parent)


def key(spec: dict, weights: str, prompt: Prompt, layer: int) -> str:
    """What determines one response. Where the rows of two runs have equal keys, their text is equal."""
    return digest({"spec": spec, "weights": weights, "text": prompt.text, "image": prompt.image_sha256, "layer": layer})


def compute(
    spec: dict, folder: Path, prompts: list[tuple[Prompt, Path | None]], files: dict[int, Rows], gpu_count: int
) -> dict[int, list[str]]:
    """Generate the rows that are missing, each batch at once to disk; returns the errors of the layers that failed."""
    missing = defaultdict(list)
    for layer, rows in files.items():
        for prompt_id, _ in rows.missing:
            missing[prompt_id].append(layer)
    tasks = [engine.Task(prompt, tuple(missing[prompt.id]), image) for prompt, image in prompts if prompt.id in missing]
    errors: dict[int, list[str]] = defaultdict(list)

    def answers() -> Iterator[engine.Answer | engine.Failure]:
        family = checkpoints.load_model(folder, spec["model"], gpus.claim(gpu_count))
        decoding = spec["decoding"]
        for batch in engine.generate(
            family, tasks, decoding["max_new_tokens"], decoding["batch_size"], spec["model"]["system_prompt"]
        ):
            keep(batch, spec["subject"], files, errors)
            yield from batch

    if tasks:
        total = sum(len(task.layers) for task in tasks)
        try:
            deque(program.progress(answers(), total, f"{spec['subject']}: responses"), maxlen=0)
        except InputError:
            raise
        except Exception as error:
            traceback.print_exc()
            for layer, rows in files.items():
                if rows.missing:
                    errors[layer].append(f"{type(error).__name__}: {error}")
    return errors


def keep(
    batch: Sequence[engine.Answer | engine.Failure], subject: str, files: dict[int, Rows], errors: dict[int, list[str]]
) -> None:
    """Put the answers of a batch on disk, each into the file of its layer, and note the failures."""
    found = defaultdict(list)
    for answer in batch:
        layer, prompt_id = answer.layer, answer.prompt_id
        if isinstance(answer, engine.Failure):
            errors[layer].append(f"prompt {prompt_id}: {answer.error}")
            continue
        key = files[layer].keys[prompt_id, layer]
        response = Response(key, prompt_id, subject, layer, answer.text, answer.num_tokens, answer.finish_reason)
        found[layer].append(response)
    for layer, responses in found.items():
        files[layer].append(responses)


def report(rows: Rows, errors: list[str], log: str | None) -> None:
    """Leave a status file beside the output of a layer that failed, and none beside one that did not."""
    if not errors:
        paths.status(rows.path).unlink(missing_ok=True)
        return
    error = f"{len(rows.missing)} of {len(rows.keys)} responses are missing. First error: {errors[0]}"
    failures.note(rows.path, error, log)
    print(f"failed: {rows.path}: {error}", file=sys.stderr)


if __name__ == "__main__":
    program.run(main)
