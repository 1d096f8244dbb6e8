"""make benchmark: responses a second of the engine, against stock transformers called naively.

Naive is what a first script does: `model.generate(pixel_values=…, vision_feature_layer=[l])`, one prompt at a time,
every block of the encoder each time. One thread, CPU seconds. Both get the same prompts at the same exit layers and
must answer the same. Prints one line a model; takes about a minute.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from layerwise.models import checkpoints

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "workflow" / "scripts"), str(ROOT / "tests" / "support")]

import torch  # noqa: E402
from transformers import AutoModelForImageTextToText, AutoProcessor, logging  # noqa: E402

import models  # noqa: E402
import smallmodels  # noqa: E402
from layerwise.models import engine  # noqa: E402

Result = TypeVar("Result")
ORGANISM = {"vision_blocks": 8, "vision_width": 64, "text_width": 96, "text_blocks": 3}
LARGER = {"vision_blocks": 8, "vision_width": 384, "text_width": 768, "text_blocks": 8}


def main() -> None:
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        compare("organism", 12, Path(folder), ORGANISM, new_tokens=4, many=512, few=12)
    with tempfile.TemporaryDirectory() as folder:
        compare("larger model", 4, Path(folder), LARGER, new_tokens=32, many=32, few=2)


def compare(name: str, goal: float, folder: Path, shapes: dict, new_tokens: int, many: int, few: int) -> None:
    """Time `many` prompts at every exit layer on the engine, the first `few` of them naively."""
    smallmodels.save_llava(folder, **shapes, end=0.0)  # no answer ends early: both sides do the same work
    blocks = shapes["vision_blocks"]
    tasks = models.tasks(folder, many, range(blocks + 1), words=(5,))
    settings = models.settings(blocks)
    batch_size = min(128, many)

    family = checkpoints.load_model(folder, settings)
    answers, seconds = timed(
        lambda: [a for batch in engine.generate(family, tasks, new_tokens, batch_size) for a in batch]
    )
    rate = len(answers) / seconds
    texts = {(answer.prompt_id, answer.layer): answer.text for answer in answers}

    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    processor = AutoProcessor.from_pretrained(folder, backend="pil")
    asked = tasks[:few]
    naive, naive_seconds = timed(lambda: naively(model, processor, asked, range(1, blocks + 1), new_tokens))
    naive_rate = len(naive) / naive_seconds
    same = sum(texts[row] == text for row, text in naive.items())
    parameters = sum(p.numel() for p in model.parameters()) / 1e6
    print(
        f"{name}, {parameters:.1f}M parameters, {new_tokens} new tokens: {rate:.1f} responses/s, "
        f"naive {naive_rate:.1f}: {rate / naive_rate:.1f} x (goal {goal} x); {same} of {len(naive)} answers equal",
        flush=True,
    )


def naively(model, processor, asked: list[engine.Task], layers: range, new_tokens: int) -> dict:
    """Answers by (prompt id, exit layer) of stock transformers, one at a time."""
    return {
        (task.prompt.id, layer): models.stock_answer(model, processor, task, new_tokens, vision_feature_layer=[layer])
        for task in asked
        for layer in layers
    }


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """What the work gives, and the CPU seconds it took: those of a busy neighbour do not count."""
    started = time.process_time()
    result = work()
    return result, time.process_time() - started


if __name__ == "__main__":
    main()
