"""Small models of genuine transformers classes, built from configs and saved as checkpoint folders; for tests.

Random weights of the usual scale make an image a whisper: the same answer to every picture would pass any comparison.
So the weights are drawn wide enough that the answers depend on the image; the tests hold that they do.
"""

import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    GemmaConfig,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessorPil,
    Idefics3Processor,
    Idefics3VisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextImageProcessorPil,
    LlavaNextProcessor,
    LlavaProcessor,
    MllamaConfig,
    MllamaForConditionalGeneration,
    MllamaImageProcessorPil,
    MllamaProcessor,
    MllamaTextConfig,
    MllamaVisionConfig,
    PaliGemmaConfig,
    PaliGemmaForConditionalGeneration,
    PaliGemmaProcessor,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    ProcessorMixin,
    SiglipImageProcessorPil,
    SiglipVisionConfig,
)

from layerwise.engine import Answer, Task, generate
from layerwise.exits import Family
from layerwise.records import Prompt

SPECIAL = ("<pad>", "<bos>", "<eos>", "<image>")
WORDS = (*SPECIAL, "<unk>", "?", ":", *(f"w{number}" for number in range(89)))
CHAT = (
    "{% for message in messages %}{% if message['role'] == 'system' %}{{ message['content'][0]['text'] }} {% else %}"
    "{{ '<bos> ' }}{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ '<image> ' }}"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{{ ' :' }}{% endif %}{% endfor %}"
)
# As in Llama 3.2's template: without an image, the day is part of the prompt.
NO_IMAGE_DATE = "{% if messages[-1]['content'] | length == 1 and date_string is not defined %}{{ ' today' }}{% endif %}"


def tokenizer(*more_special: str) -> PreTrainedTokenizerFast:
    """One token a word."""
    vocabulary = {word: number for number, word in enumerate((*WORDS, *more_special))}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        extra_special_tokens=["<image>", *more_special],
        padding_side="left",
    )


def text_shapes(width: int = 48, blocks: int = 2) -> dict:
    """Settings that the configs of all language models share."""
    return {
        "vocab_size": len(WORDS),
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": blocks,
        "num_attention_heads": 4,
        "max_position_embeddings": 512,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }


def clip(width: int = 32, blocks: int = 4, size: int = 40) -> CLIPVisionConfig:
    return CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=blocks,
        num_attention_heads=4,
        image_size=size,
        patch_size=8,
        projection_dim=width,
    )


def save(
    kind: type[PreTrainedModel],
    config: PreTrainedConfig,
    processor: ProcessorMixin,
    folder: Path,
    seed: int,
    end: float = 1.0,
) -> Path:
    """A checkpoint folder of a model whose matrices are drawn wide, and whose gates are open."""
    torch.manual_seed(seed)
    model = kind(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "gate" in name.split(".")[-1]:
                parameter.fill_(0.7)
            elif parameter.ndim > 1:
                parameter.normal_(0, 2 / parameter[0].numel() ** 0.5)
        model.get_output_embeddings().weight[2] *= end  # how loud the end of sequence is
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def save_llava(folder: Path, seed: int = 0, vision_blocks: int = 4, end: float = 2.0, **shapes: int) -> Path:
    """A LLaVA checkpoint: 40 px images, 25 patches, the default layer one before the last."""
    config = LlavaConfig(
        vision_config=clip(shapes.get("vision_width", 32), vision_blocks),
        text_config=LlamaConfig(**text_shapes(shapes.get("text_width", 48), shapes.get("text_blocks", 2))),
        image_token_id=3,
        image_seq_length=25,
    )
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessorPil(size={"shortest_edge": 40}, crop_size={"height": 40, "width": 40}),
        tokenizer=tokenizer(),
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT,
    )
    return save(LlavaForConditionalGeneration, config, processor, folder, seed, end)


def save_llava_next(folder: Path, seed: int = 0) -> Path:
    """A LLaVA-NeXT checkpoint: tiles of 24 px and 9 patches, up to 2 x 2 of them, 4 blocks."""
    grids = [[24, 48], [48, 24], [48, 48], [24, 72]]
    config = LlavaNextConfig(
        vision_config=clip(size=24),
        text_config=LlamaConfig(**text_shapes()),
        image_token_id=3,
        image_grid_pinpoints=grids,
    )
    processor = LlavaNextProcessor(
        image_processor=LlavaNextImageProcessorPil(
            size={"shortest_edge": 24}, crop_size={"height": 24, "width": 24}, image_grid_pinpoints=grids
        ),
        tokenizer=tokenizer(),
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT,
    )
    return save(LlavaNextForConditionalGeneration, config, processor, folder, seed)


def save_mllama(folder: Path, seed: int = 0) -> Path:
    """A Llama 3.2 Vision checkpoint: tiles of 16 px, 5 tokens; 6 local blocks tapped at 1, 3, 5; 2 global ones."""
    vision = MllamaVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=6,
        num_global_layers=2,
        attention_heads=4,
        image_size=16,
        patch_size=8,
        intermediate_layers_indices=[1, 3, 5],
        vision_output_dim=32 * 4,
    )
    # The image's placeholder lies behind the vocabulary, in the eight rows that only the embedding has.
    more_special = ("<|python_tag|>", "<|image|>")
    shapes = {**text_shapes(blocks=4), "vocab_size": len(WORDS) + 1}
    text = MllamaTextConfig(**shapes, num_key_value_heads=2, cross_attention_layers=[1, 3])
    config = MllamaConfig(vision_config=vision, text_config=text, image_token_index=len(WORDS) + 1)
    processor = MllamaProcessor(
        image_processor=MllamaImageProcessorPil(size={"height": 16, "width": 16}, max_image_tiles=4),
        tokenizer=tokenizer(*more_special),
        chat_template=CHAT.replace("<image>", "<|image|>") + NO_IMAGE_DATE,
    )
    return save(MllamaForConditionalGeneration, config, processor, folder, seed)


def save_idefics3(folder: Path, seed: int = 0) -> Path:
    """An Idefics3 checkpoint, as SmolVLM is one: tiles of 16 px and 4 tokens, up to 3 x 3 and the whole, 4 blocks."""
    tiles = tuple(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7))
    more_special = ("<fake_token_around_image>", "<end_of_utterance>", "<global-img>", *tiles)
    shapes = {**text_shapes(), "vocab_size": len(WORDS) + len(more_special)}
    vision = Idefics3VisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        image_size=16,
        patch_size=4,
    )
    config = Idefics3Config(
        vision_config=vision, text_config=LlamaConfig(**shapes), image_token_id=3, scale_factor=2, pad_token_id=0
    )
    processor = Idefics3Processor(
        image_processor=Idefics3ImageProcessorPil(size={"longest_edge": 48}, max_image_size={"longest_edge": 16}),
        tokenizer=tokenizer(*more_special),
        image_seq_len=4,
        chat_template=CHAT,
    )
    return save(Idefics3ForConditionalGeneration, config, processor, folder, seed)


def save_paligemma(folder: Path, seed: int = 0) -> Path:
    """A PaliGemma checkpoint: 16 px images, 16 patches, 4 blocks."""
    vision = SiglipVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        image_size=16,
        patch_size=4,
        projection_dim=48,
        vision_use_head=False,
    )
    text = GemmaConfig(**text_shapes(), num_key_value_heads=1, head_dim=12)
    config = PaliGemmaConfig(
        vision_config=vision, text_config=text, image_token_id=3, projection_dim=48, hidden_size=48
    )
    processor = PaliGemmaProcessor(
        image_processor=SiglipImageProcessorPil(size={"height": 16, "width": 16}, image_seq_length=16),
        tokenizer=tokenizer(),
    )
    return save(PaliGemmaForConditionalGeneration, config, processor, folder, seed)


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
    found["I;16"] = picture(0, (60, 30), "L").convert("I").point(lambda value: value * 256).convert("I;16")
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


def engine_answers(family: Family, asked: Sequence[Task], new_tokens: int, batch_size: int = 8) -> dict:
    """The engine's answers by (prompt id, exit layer); none may fail."""
    found = [item for batch in generate(family, asked, new_tokens, batch_size) for item in batch]
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
    plain = picture(0, (60, 30)) if name == "turned" else image.convert("RGB")
    inputs, expected = family.preprocess(image), family.preprocess(plain)
    assert all(torch.equal(inputs[key], expected[key]) for key in expected)
    tokens = torch.tensor([family.encode("w1 w2", inputs)])
    with torch.inference_mode():
        for features in family.features([inputs], [0, family.blocks]).values():
            given = family.generation_inputs(tokens, torch.ones_like(tokens), [features[0]])
            family.model.generate(**given, max_new_tokens=1, do_sample=False)


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
