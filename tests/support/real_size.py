"""Models at their real size with random weights, and the arithmetic and bytes of running them. No downloads."""

from dataclasses import dataclass

import torch
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import WordLevel
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaNextConfig,
    LlavaNextImageProcessorPil,
    LlavaNextProcessor,
    LlavaProcessor,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    ProcessorMixin,
)
from transformers.initialization import no_init_weights

# Bytes of a number in bf16.
WIDTH = 2
CHAT = "USER: <image> {% for part in messages[0]['content'] %}{{ part['text'] }}{% endfor %} ASSISTANT:"


def clip() -> CLIPVisionConfig:
    """That of openai/clip-vit-large-patch14-336."""
    return CLIPVisionConfig(
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=24,
        num_attention_heads=16,
        image_size=336,
        patch_size=14,
        projection_dim=768,
    )


def vicuna() -> LlamaConfig:
    """That of Vicuna-7B in both LLaVAs."""
    return LlamaConfig(
        vocab_size=32064,
        hidden_size=4096,
        intermediate_size=11008,
        num_hidden_layers=32,
        num_attention_heads=32,
        max_position_embeddings=4096,
        rms_norm_eps=1e-5,
    )


def llava(vision: CLIPVisionConfig | None = None, text: LlamaConfig | None = None) -> LlavaConfig:
    """That of llava-hf/llava-1.5-7b-hf, or of a smaller one."""
    vision, text = vision or clip(), text or vicuna()
    return LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=text.vocab_size - 64,
        image_seq_length=(vision.image_size // vision.patch_size) ** 2,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
    )


def llava_next(vision: CLIPVisionConfig | None = None, text: LlamaConfig | None = None) -> LlavaNextConfig:
    """That of llava-hf/llava-v1.6-vicuna-7b-hf, or of a smaller one."""
    vision, text = vision or clip(), text or vicuna()
    side = vision.image_size
    return LlavaNextConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=text.vocab_size - 64,
        image_grid_pinpoints=[[side, 2 * side], [2 * side, side], [2 * side, 2 * side], [3 * side, side]],
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
    )


def guard() -> LlamaConfig:
    """That of meta-llama/Llama-Guard-3-8B."""
    return LlamaConfig(
        vocab_size=128256,
        hidden_size=4096,
        intermediate_size=14336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
        max_position_embeddings=131072,
        rms_norm_eps=1e-5,
    )


@dataclass(frozen=True)
class Size:
    """How large everything is: the models, and what is asked of them."""

    vision: CLIPVisionConfig
    text: LlamaConfig
    guard: LlamaConfig
    exits: tuple[int, ...] = (1, 12, 23)
    words: int = 32
    tokens: int = 128
    batch: int = 128
    dialogue: int = 480
    matrix: int = 8192


def small() -> Size:
    """The same of everything, tiny."""
    text = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4}
    return Size(
        CLIPVisionConfig(**vision, image_size=28, patch_size=14),
        LlamaConfig(**text, vocab_size=256),
        LlamaConfig(**text, vocab_size=256, num_key_value_heads=2),
        exits=(1, 2, 3),
        words=6,
        tokens=8,
        batch=8,
        dialogue=24,
        matrix=64,
    )


def build(kind: type[PreTrainedModel], config: PreTrainedConfig, device: str) -> PreTrainedModel:
    """A model in bf16, made on its device, its matrices filled with one block of small random numbers over and over."""
    with torch.device(device), no_init_weights():
        model = kind._from_config(config, dtype=torch.bfloat16, attn_implementation="sdpa")
    block = torch.randn(1_000_003, generator=torch.Generator().manual_seed(0)).to(device, torch.bfloat16)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:
            parameter.data.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
            continue
        flat = parameter.data.view(-1)
        scaled = block * (2 / parameter[0].numel() ** 0.5)
        for start in range(0, len(flat), len(block)):
            part = flat[start : start + len(block)]
            part.copy_(scaled[: len(part)])
    return model.eval()


def processor(config: LlavaConfig | LlavaNextConfig) -> ProcessorMixin:
    """One token a word; images as the model wants them."""
    words = [f"w{number}" for number in range(config.text_config.vocab_size)]
    words[:3], words[config.image_token_id] = ["<unk>", "<s>", "</s>"], "<image>"
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    side = config.vision_config.image_size
    sizes = {"size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side}}
    tiled = isinstance(config, LlavaNextConfig)
    images = (
        LlavaNextImageProcessorPil(**sizes, image_grid_pinpoints=config.image_grid_pinpoints)
        if tiled
        else CLIPImageProcessorPil(**sizes)
    )
    return (LlavaNextProcessor if tiled else LlavaProcessor)(
        image_processor=images,
        tokenizer=PreTrainedTokenizerFast(
            tokenizer_object=tokenizer,
            bos_token="<s>",
            eos_token="</s>",
            unk_token="<unk>",
            pad_token="<unk>",
            extra_special_tokens=["<image>"],
            padding_side="left",
        ),
        patch_size=config.vision_config.patch_size,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT,
    )


def encoder_flops(config: LlavaConfig | LlavaNextConfig, blocks: int) -> float:
    """Of one tile of an image through that many blocks: two for each weight and token, and attention's products."""
    vision = config.vision_config
    tokens = (vision.image_size // vision.patch_size) ** 2 + 1
    weights = 4 * vision.hidden_size**2 + 2 * vision.hidden_size * vision.intermediate_size
    return blocks * (2 * weights * tokens + 4 * tokens**2 * vision.hidden_size)


def projector_flops(config: LlavaConfig | LlavaNextConfig) -> float:
    """Of the patches of one tile from one exit."""
    vision, text = config.vision_config, config.text_config.hidden_size
    return 2 * (vision.image_size // vision.patch_size) ** 2 * text * (vision.hidden_size + text)


def block_weights(text: LlamaConfig) -> int:
    """Numbers in the matrices of one block of a Llama."""
    groups = text.num_attention_heads // text.num_key_value_heads
    return 2 * text.hidden_size**2 * (1 + groups) // groups + 3 * text.hidden_size * text.intermediate_size


def language_flops(text: LlamaConfig, tokens: int, before: int = 0) -> float:
    """Of tokens through the language model, after others; of the vocabulary for the last one alone."""
    attention = 4 * tokens * (before + tokens) * text.hidden_size
    work = text.num_hidden_layers * (2 * block_weights(text) * tokens + attention)
    return work + 2 * text.vocab_size * text.hidden_size


def weight_bytes(text: LlamaConfig) -> float:
    """Read for every token of a batch: all matrices, but of the embedding only a row."""
    return WIDTH * (text.num_hidden_layers * block_weights(text) + text.vocab_size * text.hidden_size)


def cache_bytes(text: LlamaConfig, tokens: int) -> float:
    """The keys and values of that many tokens."""
    head = text.hidden_size // text.num_attention_heads
    return WIDTH * 2 * text.num_hidden_layers * text.num_key_value_heads * head * tokens
