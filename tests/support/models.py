"""Pictures and prompts for small models, what stock transformers answers, and what holds for every family."""

import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image
from transformers import PreTrainedModel, ProcessorMixin

from layerwise.models.engine import Answer, Task, generate
from layerwise.models.families import Family
from layerwise.records import Prompt


def picture(seed: int, size: tuple[int, int] = (40, 40), mode: str = "RGB") -> Image.Image:
    """An image of coloured noise, in blocks."""
    generator = torch.Generator().manual_seed(seed)
    blocks = torch.randint(0, 256, (6, 6, 3), generator=generator, dtype=torch.uint8).numpy()
    return Image.fromarray(blocks, "RGB").resize(size, Image.Resampling.NEAREST).convert(mode)


def odd_pictures() -> dict[str, Image.Image]:
    """Images as they come from the web: of every mode, of a few pixels, of a strip, turned by their EXIF."""
    turned = picture(0, (60, 30)).transpose(Image.Transpose.ROTATE_90)
    turned.getexif()[274] = 6
    found = {mode: picture(0, (60, 30), mode) for mode in ("L", "LA", "RGBA", "CMYK", "P", "1", "YCbCr")}
    found["I;16"] = picture(0, (60, 30), "L").convert("I").point(lambda value: value * 257).convert("I;16")
    for width, height in ((1, 1), (3, 3), (1, 90), (3, 200), (900, 2)):
        found[f"{width}x{height}"] = picture(0, (width, height))
    return {**found, "turned": turned}


def save_picture(path: Path, image: Image.Image) -> str:
    """Write an image as PNG; returns the sha256 of the file."""
    stream = io.BytesIO()
    image.save(stream, "PNG")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(stream.getvalue())
    return hashlib.sha256(stream.getvalue()).hexdigest()


def settings(blocks: int, family: str = "llava", **more: object) -> dict:
    """The settings of a model's YAML that the engine reads."""
    return {
        "family": family,
        "blocks": blocks,
        "default_layer": blocks - 1,
        "dtype": "float32",
        "attention": "sdpa",
        "variant": None,
        "system_prompt": None,
        "refusal_tokens": [],
        "features": None,
        **more,
    }


def tasks(
    folder: Path,
    count: int,
    layers: Iterable[int],
    words: Sequence[int] = (3, 5, 8),
    sizes: Sequence[tuple[int, int]] = ((40, 40),),
) -> list[Task]:
    """Prompts of several lengths, each with an image of its own, in files below `folder`."""
    found = []
    for number in range(count):
        image = folder / "images" / f"{number}.png"
        sha256 = save_picture(image, picture(number, sizes[number % len(sizes)]))
        text = " ".join(f"w{(number * 7 + place) % 89}" for place in range(words[number % len(words)]))
        prompt = Prompt(f"p{number:04}", "pictures", text, f"images/{number}.png", sha256, "vqa", f"c{number}", ["w0"])
        found.append(Task(prompt, tuple(layers), image))
    return found


def stock_answer(model: PreTrainedModel, processor: ProcessorMixin, task: Task, new_tokens: int, **more: object) -> str:
    """The answer of untouched transformers to one prompt."""
    text = task.prompt.text
    if processor.chat_template is not None:
        chat = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]}]
        text = processor.apply_chat_template(chat, add_generation_prompt=True)
    inputs = processor(images=Image.open(task.image), text=text, add_special_tokens=False, return_tensors="pt")
    output = model.generate(**inputs, **more, max_new_tokens=new_tokens, do_sample=False)
    return processor.tokenizer.decode(output[0, inputs.input_ids.shape[1] :], skip_special_tokens=True).strip()


@contextmanager
def identity_from(blocks: Iterable[torch.nn.Module], layer: int) -> Iterator[None]:
    """Blocks after the exit layer do nothing: the slow and simple way to leave an encoder early."""

    def undo(_: torch.nn.Module, positional: tuple, named: dict, __: torch.Tensor) -> torch.Tensor:
        return positional[0] if positional else named["hidden_states"]

    hooks = [block.register_forward_hook(undo, with_kwargs=True) for block in list(blocks)[layer:]]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def engine_answers(
    family: Family, asked: Sequence[Task], new_tokens: int, batch_size: int = 8, cache: str = "dynamic"
) -> dict:
    """The engine's answers by (prompt id, exit layer); none may fail."""
    found = [item for batch in generate(family, asked, new_tokens, batch_size, cache=cache) for item in batch]
    failed = [item for item in found if not isinstance(item, Answer)]
    assert not failed, failed[0]
    return {(item.prompt_id, item.layer): item for item in found}


def check_layers_matter(answers: dict[tuple[str, int], Answer]) -> None:
    """Another exit layer mostly gives another answer: features that reached nobody would not."""
    assert len({(prompt, answer.text) for (prompt, _), answer in answers.items()}) > len(answers) / 2


def check_images_matter(family: Family, folder: Path, layers: Iterable[int]) -> None:
    """The same words about another image mostly get another answer, at every exit layer."""
    asked = [replace(task, prompt=replace(task.prompt, text="w1 w2")) for task in tasks(folder, 6, layers)]
    answers = engine_answers(family, asked, 6)
    for layer in layers:
        assert len({answers[task.prompt.id, layer].text for task in asked}) > 3, layer


def check_odd_picture(family: Family, name: str) -> None:
    """An odd picture is preprocessed as the picture in RGB, upright, that it shows, and reaches the language model."""
    image = odd_pictures()[name]
    plain = {"turned": picture(0, (60, 30)), "I;16": picture(0, (60, 30), "L")}.get(name, image).convert("RGB")
    inputs, expected = family.preprocess(image), family.preprocess(plain)
    assert all(torch.equal(inputs[key], expected[key]) for key in expected)
    tokens = torch.tensor([family.encode("w1 w2", inputs)])
    with torch.inference_mode():
        for features in family.features([inputs], [0, family.blocks]).values():
            given = family.generation_inputs(tokens, torch.ones_like(tokens), [features[0]])
            family.model.generate(**given, max_new_tokens=1, do_sample=False)


def check_tokens(family: Family, image: Image.Image) -> None:
    """A prompt with an image has the tokens that the processor of transformers gives it."""
    chat = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "w1 w2 ?"}]}]
    rendered = family.processor.apply_chat_template(chat, add_generation_prompt=True)
    stock = family.processor(images=image, text=rendered, add_special_tokens=False).input_ids[0]
    assert family.encode("w1 w2 ?", family.preprocess(image)) == stock


def runs_of_blocks(family: Family, blocks: Iterable[torch.nn.Module], images: Sequence[dict], layers: list) -> list:
    """Which of the blocks run, in order and by number, when these features are asked for."""
    runs = []
    hooks = [
        block.register_forward_hook(lambda *_, number=number: runs.append(number))
        for number, block in enumerate(blocks, 1)
    ]
    family.features(images, layers)
    for hook in hooks:
        hook.remove()
    return runs
