"""Responses of one subject at several exit layers: missing rows are generated, and each batch goes to disk at once.

If something fails at a layer, its file is still written, with the rows there are, and a status file beside it says what
failed, so that the results of other layers are used.
"""

import sys
import traceback
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from layerwise import paths
from layerwise.errors import InputError
from layerwise.files import digest
from layerwise.jobs import failures, gpus, program
from layerwise.jobs.rows import Rows
from layerwise.models import checkpoints, engine, variants
from layerwise.records import Prompt, Response

# A prompt and its image file.
Asked = tuple[Prompt, Path | None]


def respond(
    spec: dict, weights: Path, prompts: Sequence[Asked], outputs: dict[int, Path], gpu_count: int, log: str | None
) -> None:
    """Update the response files of one subject, one per exit layer; `log` is named if a layer fails.

    A data set in `spec["only"]` is asked at the exit layers given there, all others at every layer.
    """
    folder, sha256 = checkpoints.locate(weights)
    variant = variants.variant(spec["model"]["features"], spec["model"]["default_layer"])
    donors = variants.donors(variant, prompts)
    lent = {id: digest([image for image, _ in shown]) for id, shown in donors.items() if shown}
    with ExitStack() as stack:
        files = {}
        for layer, path in sorted(outputs.items()):
            asked = [prompt for prompt, _ in prompts if layer in spec["only"].get(prompt.dataset, outputs)]
            keys = {(prompt.id, layer): key(spec, sha256, prompt, layer, lent.get(prompt.id)) for prompt in asked}
            files[layer] = stack.enter_context(Rows(path, Response, keys))
        missing = defaultdict(list)
        for layer, rows in files.items():
            for prompt_id, _ in rows.missing:
                missing[prompt_id].append(layer)
        tasks = [
            engine.Task(prompt, tuple(missing[prompt.id]), image, donors.get(prompt.id, ()))
            for prompt, image in prompts
            if prompt.id in missing
        ]
        errors = compute(spec, folder, tasks, files, gpu_count, variant)
        for layer, rows in files.items():
            rows.finish()
            report(rows, errors[layer], log)


def key(spec: dict, weights: str, prompt: Prompt, layer: int, lent: str | None = None) -> str:
    """The hash of everything that determines one response: rows with equal keys have equal text.

    `lent` is the hash of the other images whose features take part, if any do.
    """
    spec = {name: setting for name, setting in spec.items() if name != "only"}
    shown = {"text": prompt.text, "image": prompt.image_sha256} | ({"lent": lent} if lent else {})
    return digest({"spec": spec, "weights": weights, "layer": layer, **shown})


def compute(
    spec: dict,
    folder: Path,
    tasks: Sequence[engine.Task],
    files: dict[int, Rows],
    gpu_count: int,
    variant: variants.Variant | None,
) -> dict[int, list[str]]:
    """Generate the missing rows, each batch at once to disk; returns the errors of the layers that failed."""
    errors: dict[int, list[str]] = defaultdict(list)

    def answers() -> Iterator[engine.Answer | engine.Failure]:
        family = checkpoints.load_model(folder, spec["model"], gpus.claim(gpu_count))
        if variant is not None:
            variants.attempt(variant, family)
        of_model = {key: spec["model"][key] for key in ("system_prompt", "refusal_tokens")}
        for batch in engine.generate(family, tasks, **spec["decoding"], **of_model, variant=variant):
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
    """Write the answers of a batch, each into the file of its layer, and note the failures."""
    found = defaultdict(list)
    for answer in batch:
        layer, prompt_id = answer.layer, answer.prompt_id
        if isinstance(answer, engine.Failure):
            errors[layer].append(f"prompt {prompt_id}: {answer.error}")
            continue
        key = files[layer].keys[prompt_id, layer]
        said = (answer.text, answer.num_tokens, answer.finish_reason, answer.margin)
        response = Response(key, prompt_id, subject, layer, *said)
        found[layer].append(response)
    for layer, responses in found.items():
        files[layer].append(responses)


def report(rows: Rows, errors: list[str], log: str | None) -> None:
    """Leave a status file beside the output of a layer if the layer failed."""
    if not errors:
        paths.status(rows.path).unlink(missing_ok=True)
        return
    error = f"{len(rows.missing)} of {len(rows.keys)} responses are missing. First error: {errors[0]}"
    failures.note(rows.path, error, log)
    print(f"failed: {rows.path}: {error}", file=sys.stderr)
