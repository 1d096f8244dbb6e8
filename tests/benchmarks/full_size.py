"""make full-size: LLaVA-1.5-7B at its real size, with random weights: what an exit costs in time and memory.

Nothing is downloaded: the model is built from its configuration, and its memory is filled with repeated random numbers,
so it says nothing of worth, at the real price. One batch of images goes through the encoder to the last of the exits
asked for, then one prompt at each exit through the language model, and one more token. What does not fit the time is
computed from its arithmetic and the speed measured so far, and marked so. Needs 17 GB of memory; on a CPU one thread
(`LAYERWISE_THREADS`) and about four minutes.
"""

import argparse
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "workflow" / "scripts"), str(ROOT / "tests" / "support")]

import psutil  # noqa: E402
import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from transformers import LlavaForConditionalGeneration  # noqa: E402

from layerwise.jobs.threads import single_thread  # noqa: E402
from layerwise.models.families import TILES  # noqa: E402
from layerwise.models.families.llava import Family  # noqa: E402
from real_size import build, encoder_flops, language_flops, llava, projector_flops  # noqa: E402

GB = 1e9
NEEDED = 17 * GB


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--exits", type=int, nargs="+", default=[1, 12, 23], help="exit layers, 0 to 24")
    options.add_argument("--words", type=int, default=24, help="text tokens of the prompt, besides the image's 576")
    options.add_argument("--seconds", type=float, default=240, help="begin nothing that would end after this time")
    given = options.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    free = torch.cuda.mem_get_info()[0] if device == "cuda" else psutil.virtual_memory().available
    if free < NEEDED:
        sys.exit(f"error: {free / GB:.0f} GB of memory are free on the {device}, {NEEDED / GB:.0f} are needed.")
    single_thread()
    with torch.inference_mode():
        measure(device, sorted(given.exits), given.words, time.monotonic() + given.seconds)


def measure(device: str, exits: list[int], words: int, end: float) -> None:
    """Build the model, and print a line for all that is done with it."""
    config = llava()
    model, seconds = timed(lambda: build(LlavaForConditionalGeneration, config, device))
    family = Family(model, None)
    count = sum(parameter.numel() for parameter in model.parameters())
    where = torch.cuda.get_device_name() if device == "cuda" else f"CPU, {torch.get_num_threads()} thread"
    print(f"LLaVA-1.5-7B, {count / 1e9:.2f} billion random parameters in bf16; {where}")
    report("built", seconds, None)

    size = config.vision_config.image_size
    images = [{"pixel_values": torch.randn(1, 3, size, size, dtype=model.dtype)}] * TILES
    features, seconds = timed(lambda: family.features(images, exits))
    work = TILES * (encoder_flops(config, max(exits)) + len(exits) * projector_flops(config))
    report(f"encoder, {TILES} images, exits {', '.join(map(str, exits))}", seconds, work)
    assert len({features[layer].float().std().item() for layer in exits}) == len(exits), "two exits are the same"

    speed, patches = work / seconds, config.image_seq_length
    tokens = torch.tensor([[1] + [config.image_token_index] * patches + [1000] * words], device=device)
    prefill = language_flops(config.text_config, tokens.shape[1])
    for layer in exits:
        if time.monotonic() + prefill / speed > end:
            report(f"exit {layer}: prefill of {tokens.shape[1]} tokens", prefill / speed, prefill, "computed")
            continue
        inputs = family.generation_inputs(tokens, torch.ones_like(tokens), features[layer][:1])
        output, seconds = timed(lambda inputs=inputs: model(**inputs, use_cache=True, logits_to_keep=1))
        report(f"exit {layer}: prefill of {tokens.shape[1]} tokens", seconds, prefill)
        speed = prefill / seconds
        chosen = output.logits[:, -1:].argmax(-1)
        assert output.logits.isfinite().all(), "the weights are too wide for the language model"
        _, seconds = timed(lambda chosen=chosen, past=output.past_key_values: step(model, chosen, past))
        report(f"exit {layer}: one more token", seconds, language_flops(config.text_config, 1, tokens.shape[1]))


def step(model: nn.Module, token: Tensor, past: object) -> object:
    """One token more after a prefill."""
    return model(input_ids=token, past_key_values=past, use_cache=True, logits_to_keep=1)


def timed(work: Callable) -> tuple:
    """What the work gives, and the seconds that passed."""
    started = time.monotonic()
    result = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return result, time.monotonic() - started


def report(name: str, seconds: float, flops: float | None, how: str = "measured") -> None:
    """A line: what, its time, its arithmetic and speed, and the most memory that was in use up to here."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if torch.cuda.is_available():
        peak = torch.cuda.max_memory_allocated()
    work = f"{flops / 1e12:7.3f} TFLOP {flops / 1e9 / seconds:7.0f} GFLOP/s" if flops else ""
    print(f"  {name:<46} {seconds:8.2f} s  {work:<30} {peak / GB:5.1f} GB  {how}", flush=True)


if __name__ == "__main__":
    main()
