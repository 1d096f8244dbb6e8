"""Small models of genuine transformers classes, built from configs and saved as checkpoint folders; for tests.

Random weights of the usual scale make an image a whisper: the same answer to every picture would pass any comparison.
So the weights are drawn wide enough that the answers depend on the image; `test_engine.py` holds that they do.
"""

import hashlib
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    ProcessorMixin,
)

from layerwise.engine import Task
from layerwise.records import Prompt

SPECIAL = ("<pad>", "<bos>", "<eos>", "<image>")
WORDS = (*SPECIAL, "<unk>", "?", ":", *(f"w{number}" for number in range(89)))
CHAT = (
    "{% for message in messages %}{% if message['role'] == 'system' %}{{ message['content'][0]['text'] }} {% else %}"
    "{{ '<bos> ' }}{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ '<image> ' }}"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{{ ' :' }}{% endif %}{% endfor %}"
)


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


def llama(width: int = 48, blocks: int = 2, **more: object) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=blocks,
        num_attention_heads=4,
        max_position_embeddings=512,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        **more,
    )


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


def widen(model: torch.nn.Module, seed: int, scale: float = 4.0) -> None:
    """Draw all matrices anew, wide enough that small differences in the image change the answer."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                fan_in = parameter[0].numel()
                parameter.normal_(0, scale**0.5 / fan_in**0.5, generator=generator)


def save_llava(folder: Path, seed: int = 0, vision_blocks: int = 4, **shapes: int) -> Path:
    """A LLaVA checkpoint: 40 px images, 25 patches, the default layer one before the last."""
    torch.manual_seed(seed)
    vision = clip(shapes.get("vision_width", 32), vision_blocks)
    text = llama(shapes.get("text_width", 48), shapes.get("text_blocks", 2))
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_id=3, image_seq_length=25)
    model = LlavaForConditionalGeneration(config)
    widen(model, seed)
    model.lm_head.weight.data[2] *= 2  # a louder end of sequence, so that some answers end
    model.save_pretrained(folder)
    LlavaProcessor(
        image_processor=CLIPImageProcessorPil(size={"shortest_edge": 40}, crop_size={"height": 40, "width": 40}),
        tokenizer=tokenizer(),
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT,
    ).save_pretrained(folder)
    return folder


def picture(seed: int, size: tuple[int, int] = (40, 40), mode: str = "RGB") -> Image.Image:
    """An image of coloured noise, in blocks."""
    generator = torch.Generator().manual_seed(seed)
    blocks = torch.randint(0, 256, (6, 6, 3), generator=generator, dtype=torch.uint8).numpy()
    return Image.fromarray(blocks, "RGB").resize(size, Image.Resampling.NEAREST).convert(mode)


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


def tasks(folder: Path, count: int, layers: Iterable[int], words: Sequence[int] = (3, 5, 8)) -> list[Task]:
    """Prompts of several lengths, each with an image of its own, in files below `folder`."""
    found = []
    for number in range(count):
        image = folder / "images" / f"{number}.png"
        sha256 = save_picture(image, picture(number))
        text = " ".join(f"w{(number * 7 + place) % 89}" for place in range(words[number % len(words)]))
        prompt = Prompt(f"p{number:04}", "pictures", text, f"images/{number}.png", sha256, "vqa", f"c{number}", ["w0"])
        found.append(Task(prompt, tuple(layers), image))
    return found


def stock_answers(
    model: torch.nn.Module, processor: ProcessorMixin, asked: Sequence[Task], layers: Iterable[int], new_tokens: int
) -> dict[tuple[str, int], str]:
    """Answers of untouched transformers, one prompt at a time; exit layers from 1 on, since it cannot name layer 0."""
    answers = {}
    for task in asked:
        chat = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": task.prompt.text}]}]
        text = processor.apply_chat_template(chat, add_generation_prompt=True)
        inputs = processor(images=Image.open(task.image), text=text, add_special_tokens=False, return_tensors="pt")
        for layer in layers:
            output = model.generate(**inputs, vision_feature_layer=[layer], max_new_tokens=new_tokens, do_sample=False)[
                0, inputs.input_ids.shape[1] :
            ]
            answers[task.prompt.id, layer] = processor.decode(output, skip_special_tokens=True).strip()
    return answers
