"""make gpu: LLaVA-1.5-7B, LLaVA-NeXT-7B and Llama Guard 3 8B at their real size on a GPU, with random weights.

Any Python with torch, transformers, numpy and pillow will do: PYTHON=…. Nothing is downloaded, and nothing else is
needed. Each row is printed once it is measured, those of most worth first, and written to a JSON file; a part that
would end after `--seconds` is left out, and said to be. Answers have 128 tokens and none ends early, so the work is
known, and with it the roofline: reading prompts and images at the speed of one large matrix product, then reading
weights and cache for each token at the speed of one large copy, both measured first. `--document` makes docs/gpu.md of
the file. With `--small`, which is for tests, everything is tiny and on the CPU.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "workflow" / "scripts"), str(ROOT / "tests" / "support")]

import torch  # noqa: E402
import transformers  # noqa: E402
from PIL import Image  # noqa: E402
from torch.nn.attention import SDPBackend, sdpa_kernel  # noqa: E402
from transformers import (  # noqa: E402
    GenerationConfig,
    LlamaForCausalLM,
    LlavaForConditionalGeneration,
    LlavaNextForConditionalGeneration,
)

import measured  # noqa: E402
import models  # noqa: E402
import real_size  # noqa: E402
from layerwise.models import decoding, engine, reading, slots  # noqa: E402
from layerwise.models.families import llava, llava_next  # noqa: E402
from measured import Row  # noqa: E402

GB = 1e9
OUTPUT, DOCUMENT = ROOT / "results" / "gpu.json", ROOT / "docs" / "gpu.md"
LLAVA, NEXT, GUARD = "llava-1.5-7b", "llava-next-vicuna-7b", "llama-guard-3-8b"


class Bench:
    """What is measured, a method each, on one device; the card's own speed comes first."""

    def __init__(self, size: real_size.Size, device: str, folder: Path) -> None:
        self.size, self.device, self.folder = size, device, folder
        self.flops = self.bandwidth = float("nan")
        self.built: llava.Family | None = None

    def parts(self) -> list[tuple[str, float, Callable[[], list[Row]]]]:
        """Name, seconds on an H100 by estimate, and method: those of most worth first."""
        exits = self.size.exits
        return [
            ("the card's own speed", 2, self.ceilings),
            (LLAVA, 15, lambda: self.build(LLAVA)),
            ("the engine", 25, lambda: self.responses(LLAVA)),
            ("a script", 12, lambda: self.script(1, exits)),
            ("generate in batches", 15, lambda: self.script(16, exits)),
            ("neighbours", 8, self.neighbours),
            ("kernels of attention", 12, self.steps),
            ("a guard", 12, self.guard),
            (NEXT, 5, lambda: self.build(NEXT)),
            ("the engine with long prompts", 18, lambda: self.responses(NEXT)),
            (f"{LLAVA} again", 4, lambda: self.build(LLAVA)),
            ("generate with its own static cache", 90, lambda: self.script(16, exits[-1:], cache="static")),
        ]

    @property
    def family(self) -> llava.Family:
        if self.built is None:
            raise RuntimeError("its model is not there, see above")
        return self.built

    def timed(self, work: Callable[[], Any]) -> tuple[Any, float]:
        """A result, and the seconds until the device had it."""
        if self.device == "cuda":
            torch.cuda.synchronize()
        started = time.monotonic()
        result = work()
        if self.device == "cuda":
            torch.cuda.synchronize()
        return result, time.monotonic() - started

    def ceilings(self) -> list[Row]:
        """One large matrix product, one large copy (bytes read plus bytes written)."""
        side = self.size.matrix
        left, right = (torch.randn(side, side, device=self.device, dtype=torch.bfloat16) for _ in range(2))
        source = torch.randint(256, (side**2 * 32,), dtype=torch.uint8, device=self.device)
        target = torch.empty_like(source)
        product, copy = (
            min(self.timed(work)[1] for _ in range(8)) for work in (lambda: left @ right, lambda: target.copy_(source))
        )
        work, moved = 2 * side**3, 2 * len(source)
        self.flops, self.bandwidth = work / product, moved / copy
        return [
            Row("product", f"product of two {side} x {side} matrices", "TFLOP", work / 1e12, product),
            Row("copy", f"copy of {len(source) / GB:.1f} GB within the memory", "TB", moved / 1e12, copy),
        ]

    def roofline(self, rows: int, batch: int, layers: Sequence[int]) -> float:
        """Seconds for answers to rows in batches; every image is encoded once, to the last of these exits."""
        config, text = self.family.model.config, self.size.text
        images = rows // len(layers) * self.tiles
        work = images * real_size.encoder_flops(config, max(layers))
        work += images * len(layers) * real_size.projector_flops(config)
        work += rows * real_size.language_flops(text, self.prompt)
        steps = range(1, self.size.tokens)
        moved = -(-rows // batch) * len(steps) * real_size.weight_bytes(text)
        moved += rows * sum(real_size.cache_bytes(text, self.prompt + step) for step in steps)
        return work / self.flops + moved / self.bandwidth

    def build(self, id: str) -> list[Row]:
        """A model, its prompts, an image for each; and a first short answer, for which libraries set themselves up."""
        tiled = id == NEXT
        self.built = None
        self.empty()
        config = (real_size.llava_next if tiled else real_size.llava)(self.size.vision, self.size.text)
        kind = LlavaNextForConditionalGeneration if tiled else LlavaForConditionalGeneration
        model, seconds = self.timed(lambda: real_size.build(kind, config, self.device))
        model.generation_config = GenerationConfig(eos_token_id=None, pad_token_id=0)  # no token ends an answer
        self.built = (llava_next if tiled else llava).Family(model, real_size.processor(config))
        side = self.size.vision.image_size * (2 if tiled else 1)
        many = self.size.batch // 4 if tiled else self.size.batch
        self.tasks = models.tasks(
            self.folder / id, many, self.size.exits, words=(self.size.words,), sizes=((side, side),)
        )
        inputs = self.family.preprocess(Image.open(self.tasks[0].image))
        self.tiles = inputs["pixel_values"].shape[1] if tiled else 1
        self.prompt = len(self.family.encode(self.tasks[0].prompt.text, inputs))
        models.engine_answers(self.family, self.tasks[:1], 3, 2, cache="static")
        count = sum(parameter.numel() for parameter in model.parameters()) / 1e9
        return [Row(f"build: {id}", f"{id} built: {count:.2f} billion random numbers in bf16", seconds=seconds)]

    def responses(self, id: str) -> list[Row]:
        """The engine, at the largest batch that the memory allows."""
        self.batch = self.size.batch
        while True:
            try:
                self.answers, seconds = self.timed(lambda: self.answered(self.tasks))
                break
            except AssertionError as error:
                if "OutOfMemoryError" not in str(error) or self.batch == 1:
                    raise
                print(f"out of memory at a batch of {self.batch}, now {self.batch // 2}", flush=True)
                self.batch //= 2
        assert all(answer.num_tokens == self.size.tokens for answer in self.answers.values())
        rows = slots.many(self.batch, slots.room(self.prompt, self.size.tokens))
        layers = ", ".join(map(str, self.size.exits))
        return [
            Row(
                f"engine: {id}",
                f"{id}, engine, batch {self.batch}, {rows} rows of {self.prompt} tokens, exits {layers}",
                "responses",
                len(self.answers),
                seconds,
                roofline_seconds=self.roofline(len(self.answers), rows, self.size.exits),
                note=f"{len({answer.text for answer in self.answers.values()})} different texts",
            )
        ]

    def answered(self, tasks: Sequence[engine.Task]) -> dict:
        return models.engine_answers(self.family, tasks, self.size.tokens, self.batch, cache="static")

    def script(self, batch: int, layers: Sequence[int], cache: str = "dynamic") -> list[Row]:
        """What a first script does: `generate`, one batch after the other, every block of the encoder each time."""
        asked, more = self.tasks[:batch], {"cache_implementation": cache} if cache != "dynamic" else {}
        rows = []
        for layer in layers:
            _, seconds = self.timed(lambda layer=layer: scripted(self.family, asked, layer, self.size.tokens, more))
            least = self.roofline(len(asked), len(asked), [layer])
            what = f"transformers' generate, batch {len(asked)}, {cache} cache, exit {layer}"
            id = f"generate: batch {batch}, {cache}, exit {layer}"
            rows.append(Row(id, what, "responses", len(asked), seconds, roofline_seconds=least))
        return rows

    def neighbours(self) -> list[Row]:
        """Some of the rows again, in another order and so beside others: every token must be the same."""
        draw = random.Random(0)
        chosen = draw.sample(self.tasks, max(2, len(self.tasks) // 3))
        some = [replace(task, layers=(draw.choice(self.size.exits),)) for task in chosen]
        found, seconds = self.timed(lambda: self.answered(some))
        same = sum(self.answers[row] == answer for row, answer in found.items())
        note = f"{same} of {len(found)} texts are equal"
        return [Row("neighbours", "the engine, other neighbours, another order", seconds=seconds, note=note)]

    def steps(self) -> list[Row]:
        """One token more for a full batch: recorded as a CUDA graph or not, and with each kernel of attention."""
        model, layer, task = self.family.model, self.size.exits[0], self.tasks[0]
        inputs = self.family.preprocess(Image.open(task.image))
        tokens = self.family.encode(task.prompt.text, inputs)
        kernels = {
            "as it is": ("sdpa", None),
            "not recorded": ("sdpa", None),
            "memory-efficient attention": ("sdpa", SDPBackend.EFFICIENT_ATTENTION),
            "cuDNN's attention": ("sdpa", SDPBackend.CUDNN_ATTENTION),
            "attention as two products": ("eager", None),
        }
        rows = []
        with torch.inference_mode():
            row = reading.Row(0, tokens, self.family.features([inputs], [layer])[layer][0])
            length = slots.room(len(tokens), self.size.tokens)
            start = reading.read(self.family, [row], decoding.READ)
            full = slots.Slots(model, (length, False), self.batch, start)
            moved = real_size.weight_bytes(self.size.text) + self.batch * real_size.cache_bytes(self.size.text, length)
            for name, (attention, kernel) in (
                kernels.items() if self.device == "cuda" else [("as it is", ("sdpa", None))]
            ):
                model.set_attn_implementation(attention)
                what = f"a step of {self.batch} rows: {name}"
                try:
                    with sdpa_kernel(kernel) if kernel else nullcontext():
                        record = self.device == "cuda" and name != "not recorded"
                        step = slots.recorded(full.advance) if record else full.advance
                        step()
                        _, seconds = self.timed(lambda step=step: [step() for _ in range(10)])
                except RuntimeError as error:
                    rows.append(Row(f"step: {name}", what, status=f"not possible: {str(error).splitlines()[0]}"))
                    continue
                least = 10 * moved / self.bandwidth
                rows.append(Row(f"step: {name}", what, "steps", 10, seconds, roofline_seconds=least))
            model.set_attn_implementation("sdpa")
        return rows

    def guard(self) -> list[Row]:
        """Verdicts of a guard: one reading of each dialogue, nothing generated. It lies beside LLaVA."""
        model, rows = real_size.build(LlamaForCausalLM, self.size.guard, self.device), []
        for batch in (8, 32):
            tokens = torch.randint(0, self.size.guard.vocab_size, (batch, self.size.dialogue), device=self.device)

            @torch.inference_mode()
            def read(tokens: torch.Tensor = tokens) -> torch.Tensor:
                return model(tokens, attention_mask=torch.ones_like(tokens), logits_to_keep=1).logits

            read()
            _, seconds = self.timed(lambda read=read: [read() for _ in range(8)])
            least = 8 * batch * real_size.language_flops(self.size.guard, self.size.dialogue) / self.flops
            what = f"{GUARD}, batch {batch}, dialogues of {self.size.dialogue} tokens"
            rows.append(Row(f"guard: batch {batch}", what, "verdicts", 8 * batch, seconds, roofline_seconds=least))
        return rows

    def empty(self) -> None:
        if self.device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()


def scripted(family: llava.Family, tasks: Sequence[engine.Task], layer: int, new_tokens: int, more: dict) -> None:
    """Stock transformers on one batch."""
    model, words = family.model, family.processor
    chats = [[{"role": "user", "content": [{"type": "text", "text": task.prompt.text}]}] for task in tasks]
    texts = [words.apply_chat_template(chat, add_generation_prompt=True) for chat in chats]
    images = [Image.open(task.image) for task in tasks]
    inputs = words(images=images, text=texts, return_tensors="pt").to(model.device, model.dtype)
    output = model.generate(
        **inputs, vision_feature_layer=[layer], max_new_tokens=new_tokens, do_sample=False, use_cache=True, **more
    )
    words.tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :])


def measure(bench: Bench, limit: float, output: Path) -> None:
    """Measure part after part, as long as each is likely to end in time; print and write each row at once."""
    started, slower, rows = time.monotonic(), 1.0, []
    head = measured.about(bench.device)
    print(", ".join(f"{key}: {value}" for key, value in head.items()), flush=True)
    for name, estimate, work in bench.parts():
        spent = time.monotonic() - started
        if spent + estimate * slower > limit:
            found = [Row(name, name, status=f"left out: {spent:.0f} of {limit:.0f} s are spent")]
        else:
            bench.empty()
            try:
                found = work()
            except (RuntimeError, AssertionError, AttributeError, ImportError, TypeError) as error:
                said = (str(error).strip() or "no reason given").splitlines()[0]
                found = [Row(name, name, status=f"failed: {type(error).__name__}: {said}")]
            if name == "the engine":
                slower = max(1.0, (time.monotonic() - started - spent) / estimate)
        peak = torch.cuda.max_memory_allocated() / GB if bench.device == "cuda" else 0.0
        for row in found:
            row.memory_gb = round(peak, 1)
            print(row.line(), flush=True)
        rows += map(vars, found)
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(head | {"rows": rows}, indent=1) + "\n")
    print(f"{output}: {time.monotonic() - started:.0f} s in all")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=225, help="begin nothing that would end after this time")
    options.add_argument("--output", type=Path, default=OUTPUT, help="the JSON file to write")
    options.add_argument("--small", action="store_true", help="tiny models on the CPU, for tests")
    options.add_argument("--document", action="store_true", help="measure nothing; write docs/gpu.md from that file")
    given = options.parse_args()
    transformers.utils.logging.set_verbosity_error()
    if given.document:
        found = json.loads(given.output.read_text())
        if found["memory"] == "?":
            sys.exit(f"error: {given.output} was not measured on a GPU. Run `make gpu` where there is one.")
        DOCUMENT.with_suffix(".json").write_text(given.output.read_text())
        DOCUMENT.write_text(measured.page(found))
    elif given.small:
        with tempfile.TemporaryDirectory() as folder:
            measure(Bench(real_size.small(), "cpu", Path(folder)), given.seconds, given.output)
    elif torch.cuda.is_available():
        with tempfile.TemporaryDirectory() as folder:
            size = real_size.Size(real_size.clip(), real_size.vicuna(), real_size.guard())
            measure(Bench(size, "cuda", Path(folder)), given.seconds, given.output)
    else:
        sys.exit("error: CUDA sees no GPU here. Name a Python whose torch sees one (PYTHON=…), or try --small.")


if __name__ == "__main__":
    main()
