"""make benchmark: responses a second of the engine, beside what people use today, on the same models and prompts.

Small LLaVAs of genuine classes, one thread of a CPU, CPU seconds; each is measured three times, in turns, and the
median counts. No answer ends early, so all do the same work. The others are called as their users call them: `generate`
one prompt at a time, transformers' pipeline, and, with `--lmms-eval PYTHON`, lmms-eval's LLaVA (its own environment
must have it). They run the whole encoder; only `generate` can be told an exit. Prints a table, which `--document`
writes to docs/benchmarks.md. Takes two minutes of CPU.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "workflow" / "scripts"), str(ROOT / "tests" / "support")]

import torch  # noqa: E402
import transformers  # noqa: E402
from transformers import AutoModelForImageTextToText, AutoProcessor, pipeline  # noqa: E402

import models  # noqa: E402
import smallmodels  # noqa: E402
from layerwise.models import checkpoints, engine  # noqa: E402
from layerwise.models.families import Family  # noqa: E402

DOCUMENT = ROOT / "docs" / "benchmarks.md"
LMMS_EVAL = ROOT / "tests" / "benchmarks" / "lmms_eval_llava.py"
ROUNDS = 3
# Blocks and widths, new tokens; prompts, of three lengths, and rows a batch for the engine; prompts for the others.
MODELS = {
    "organism": ({"vision_blocks": 8, "vision_width": 64, "text_width": 96, "text_blocks": 3}, 4, 384, 128, 48),
    "larger model": ({"vision_blocks": 8, "vision_width": 256, "text_width": 512, "text_blocks": 6}, 32, 24, 72, 2),
}
# Texts by prompt and exit, and the CPU seconds that they took.
Measured = tuple[dict[tuple[str, int], str], float]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--lmms-eval", metavar="PYTHON", help="a Python that has lmms-eval, to measure it as well")
    options.add_argument("--document", action="store_true", help=f"write {DOCUMENT.relative_to(ROOT)} as well")
    given = options.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    lines = []
    for name in MODELS:
        with tempfile.TemporaryDirectory() as folder:
            lines += [*compare(name, Path(folder), given.lmms_eval), ""]
    if given.document:
        DOCUMENT.write_text("\n".join([*head(given.lmms_eval), *lines]))


def compare(name: str, folder: Path, lmms_eval: str | None) -> list[str]:
    """Everybody on one model: the lines of a table, printed as well."""
    shapes, new_tokens, many, rows, few = MODELS[name]
    smallmodels.save_llava(folder, **shapes, end=0.0)
    blocks = shapes["vision_blocks"]
    everything = models.tasks(folder, many, range(blocks + 1))
    default = [replace(task, layers=(blocks - 1,)) for task in everything]
    family = checkpoints.load_model(folder, models.settings(blocks))
    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    processor = AutoProcessor.from_pretrained(folder, backend="pil")
    asked = default[:few]
    contestants: dict[str, Callable[[], Measured]] = {
        "the engine, every exit": lambda: engine_says(family, everything, new_tokens, rows),
        "the engine, every exit, static cache": lambda: engine_says(family, everything, new_tokens, rows, "static"),
        "the engine, the default exit": lambda: engine_says(family, default, new_tokens, many // 3),
        "`generate`, one prompt at a time, every exit": lambda: generate_says(
            model, processor, everything[: max(1, few // blocks)], range(1, blocks + 1), new_tokens
        ),
        "`generate`, one prompt at a time": lambda: generate_says(model, processor, asked, [blocks - 1], new_tokens),
        "pipeline, one prompt at a time": lambda: pipeline_says(model, processor, asked, new_tokens, 1),
        "pipeline, batches of 16": lambda: pipeline_says(model, processor, default[: 4 * few], new_tokens, 16),
    }
    if lmms_eval:
        contestants["lmms-eval, `llava_hf`"] = lambda: lmms_eval_says(lmms_eval, folder, asked, new_tokens)
    rates: dict[str, list[float]] = {who: [] for who in contestants}
    texts: dict[str, dict] = {}
    for _ in range(ROUNDS):
        for who, answer in contestants.items():
            texts[who], seconds = answer()
            rates[who].append(len(texts[who]) / seconds)
    medians = {who: statistics.median(found) for who, found in rates.items()}
    reference, script = texts["the engine, every exit"], medians["`generate`, one prompt at a time"]
    parameters = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    lines = [
        f"{name.capitalize()}: {parameters:.1f} million parameters, {new_tokens} new tokens.",
        "",
        "| who | responses a CPU second (lowest to highest) | times a script | texts equal to the engine's |",
        "| --- | --- | --- | --- |",
    ]
    for who, found in rates.items():
        same = sum(reference[row] == text for row, text in texts[who].items())
        digits = 0 if medians[who] > 100 else 1
        spread = f"{medians[who]:,.{digits}f} ({min(found):,.{digits}f} to {max(found):,.{digits}f})"
        lines.append(f"| {who} | {spread} | {medians[who] / script:.2g} | {same} of {len(texts[who])} |")
    print("\n".join(lines), flush=True)
    return lines


def timed(work: Callable[[], dict]) -> Measured:
    """Texts, and the CPU seconds that they took: those of a busy neighbour do not count."""
    started = time.process_time()
    result = work()
    return result, time.process_time() - started


def engine_says(
    family: Family, tasks: Sequence[engine.Task], new_tokens: int, batch_size: int, cache: str = "dynamic"
) -> Measured:
    found, seconds = timed(lambda: models.engine_answers(family, tasks, new_tokens, batch_size, cache))
    return {row: answer.text for row, answer in found.items()}, seconds


def generate_says(model, processor, tasks: Sequence[engine.Task], layers: Sequence[int], new_tokens: int) -> Measured:
    """What a first script does."""

    def say(task: engine.Task, layer: int) -> str:
        return models.stock_answer(model, processor, task, new_tokens, vision_feature_layer=[layer])

    return timed(lambda: {(task.prompt.id, layer): say(task, layer) for task in tasks for layer in layers})


def pipeline_says(model, processor, tasks: Sequence[engine.Task], new_tokens: int, batch_size: int) -> Measured:
    """As transformers documents its pipeline for chats."""
    pipe = pipeline("image-text-to-text", model=model, processor=processor, device="cpu")
    chats = []
    for task in tasks:
        content = [{"type": "image", "path": str(task.image)}, {"type": "text", "text": task.prompt.text}]
        chats.append([{"role": "user", "content": content}])

    def say() -> dict:
        more = {"generate_kwargs": {"max_new_tokens": new_tokens, "do_sample": False}, "return_full_text": False}
        if batch_size > 1:
            more |= {"batch_size": batch_size, "processor_kwargs": {"padding": True}}
        said = [one[0]["generated_text"] for one in pipe(text=chats, **more)]
        return {(task.prompt.id, task.layers[0]): text.strip() for task, text in zip(tasks, said, strict=True)}

    return timed(say)


def lmms_eval_says(python: str, folder: Path, tasks: Sequence[engine.Task], new_tokens: int) -> Measured:
    """lmms-eval in its own environment; the CPU seconds are its own, without its imports and its loading."""
    prompts = [{"text": task.prompt.text, "image": str(task.image)} for task in tasks]
    (folder / "asked.json").write_text(json.dumps({"prompts": prompts, "new_tokens": new_tokens}))
    command = [python, str(LMMS_EVAL), str(folder), str(folder / "asked.json"), str(folder / "said.json")]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    if done.returncode:
        sys.exit(f"error: lmms-eval failed in {python}:\n{done.stderr[-2000:]}")
    said = json.loads((folder / "said.json").read_text())
    rows = [(task.prompt.id, task.layers[0]) for task in tasks]
    return dict(zip(rows, said["texts"], strict=True)), said["seconds"]


def head(lmms_eval: str | None) -> list[str]:
    """What docs/benchmarks.md says before its tables."""
    version = ""
    if lmms_eval:
        code = "import importlib.metadata as m; print(m.version('lmms-eval'), m.version('transformers'))"
        found = subprocess.run([lmms_eval, "-c", code], capture_output=True, text=True, check=True).stdout.split()
        version = f", lmms-eval {found[0]} (with transformers {found[1]}, in an environment of its own)"
    return [
        "# The engine beside what people use",
        "",
        f"torch {torch.__version__}, transformers {transformers.__version__}{version}; Python "
        f"{platform.python_version()}, one thread of a shared machine, CPU seconds, median of {ROUNDS} rounds. Genuine "
        "LLaVA classes with random weights in fp32; greedy answers, none of which ends early. The others are called as "
        "their users call them; they run the whole encoder, and only `generate` can be told an exit. A script is "
        "`generate`, one prompt at a time.",
        "",
        "`make benchmark` prints these tables, without lmms-eval; this page is `.venv/bin/python "
        "tests/benchmarks/bench_engine.py --document --lmms-eval <Python>`.",
        "",
    ]


if __name__ == "__main__":
    main()
