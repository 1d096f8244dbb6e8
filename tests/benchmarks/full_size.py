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
sys.path[:0] = [str(ROOT / "workflow" / "scripts")]

import psutil  # noqa: E402
import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration  # noqa: E402
from transformers.initialization import no_init_weights  # noqa: E402

from layerwise.jobs.threads import single_thread  # noqa: E402
from layerwise.models.families import TILES  # noqa: E402
from layerwise.models.families.llava import Family  # noqa: E402

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
    config = configuration()
    model, seconds = timed(lambda: build(config, device))
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
    prefill = language_flops(config, tokens.shape[1])
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
        report(f"exit {layer}: one more token", seconds, language_flops(config, 1, tokens.shape[1]))


def configuration() -> LlavaConfig:
    """That of llava-hf/llava-1.5-7b-hf."""
    return LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=1024,
            intermediate_size=4096,
            num_hidden_layers=24,
            num_attention_heads=16,
            image_size=336,
            patch_size=14,
            projection_dim=768,
        ),
        text_config=LlamaConfig(
            vocab_size=32064,
            hidden_size=4096,
            intermediate_size=11008,
            num_hidden_layers=32,
            num_attention_heads=32,
            max_position_embeddings=4096,
            rms_norm_eps=1e-5,
        ),
        image_token_index=32000,
        image_seq_length=576,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
    )


def build(config: LlavaConfig, device: str) -> LlavaForConditionalGeneration:
    """The model, its matrices filled with one block of small random numbers over and over."""
    with torch.device(device), no_init_weights():
        model = LlavaForConditionalGeneration._from_config(config, dtype=torch.bfloat16, attn_implementation="sdpa")
    block = torch.randn(1_000_003, generator=torch.Generator().manual_seed(0)).mul_(0.02).to(device, torch.bfloat16)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:
            parameter.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
            continue
        flat = parameter.view(-1)
        for start in range(0, len(flat), len(block)):
            part = flat[start : start + len(block)]
            part.copy_(block[: len(part)])
    return model.eval()


def step(model: nn.Module, token: Tensor, past: object) -> object:
    """One token more after a prefill."""
    return model(input_ids=token, past_key_values=past, use_cache=True, logits_to_keep=1)


def encoder_flops(config: LlavaConfig, blocks: int) -> float:
    """Of one image through that many blocks: two for each weight and token, and the attention's two products."""
    vision = config.vision_config
    tokens = (vision.image_size // vision.patch_size) ** 2 + 1
    weights = 4 * vision.hidden_size**2 + 2 * vision.hidden_size * vision.intermediate_size
    return blocks * (2 * weights * tokens + 4 * tokens**2 * vision.hidden_size)


def projector_flops(config: LlavaConfig) -> float:
    """Of one image's patches from one exit."""
    wide, text = config.vision_config.hidden_size, config.text_config.hidden_size
    return 2 * config.image_seq_length * text * (wide + text)


def language_flops(config: LlavaConfig, tokens: int, before: int = 0) -> float:
    """Of tokens through the language model, after others; of the vocabulary for the last one alone."""
    text = config.text_config
    weights = 4 * text.hidden_size**2 + 3 * text.hidden_size * text.intermediate_size
    attention = 4 * tokens * (before + tokens) * text.hidden_size
    return text.num_hidden_layers * (2 * weights * tokens + attention) + 2 * text.vocab_size * text.hidden_size


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
