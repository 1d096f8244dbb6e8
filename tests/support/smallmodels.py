"""Small models of genuine transformers classes, built from configs and saved as checkpoint folders.

Random weights of the usual scale make an image a whisper: the same answer to every picture would pass any comparison.
So the weights are drawn wide enough that the answers depend on the image; the tests hold that they do.
"""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    Dinov2Config,
    GemmaConfig,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessorPil,
    Idefics3Processor,
    Idefics3VisionConfig,
    LlamaConfig,
    LlamaForSequenceClassification,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextImageProcessorPil,
    LlavaNextProcessor,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionImageProcessorPil,
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
    Qwen2Config,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
    RobertaConfig,
    RobertaForSequenceClassification,
    SiglipImageProcessorPil,
    SiglipVisionConfig,
)

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
    processor: "ProcessorMixin | Parts",
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


def save_llava_dinov2(folder: Path, seed: int = 0) -> Path:
    """A LLaVA checkpoint with a DINOv2 encoder: 40 px images, 25 patches, 4 blocks."""
    vision = Dinov2Config(
        hidden_size=32, num_hidden_layers=4, num_attention_heads=4, mlp_ratio=2, image_size=40, patch_size=8
    )
    config = LlavaConfig(
        vision_config=vision, text_config=LlamaConfig(**text_shapes()), image_token_id=3, image_seq_length=25
    )
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessorPil(size={"shortest_edge": 40}, crop_size={"height": 40, "width": 40}),
        tokenizer=tokenizer(),
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT,
    )
    return save(LlavaForConditionalGeneration, config, processor, folder, seed)


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


class Parts:
    """A processor with a part for videos, as the hub has them: a file for each part, and none of that part."""

    def __init__(
        self, image_processor: ProcessorMixin, tokenizer: PreTrainedTokenizerFast, template: str, **settings: object
    ) -> None:
        self.image_processor, self.tokenizer, self.template = image_processor, tokenizer, template
        self.settings = settings

    def save_pretrained(self, folder: Path) -> None:
        self.image_processor.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        (folder / "processor_config.json").write_text(json.dumps(self.settings))
        (folder / "chat_template.json").write_text(json.dumps({"chat_template": self.template}))


def save_llava_onevision(folder: Path, seed: int = 0) -> Path:
    """A LLaVA-OneVision checkpoint: tiles of 24 px and 36 patches, up to 4 x 4 of them, at most 9 kept, 4 blocks."""
    grids = [[24 * height, 24 * width] for height in range(1, 5) for width in range(1, 5)]
    vision = SiglipVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        image_size=24,
        patch_size=4,
        vision_use_head=False,
    )
    config = LlavaOnevisionConfig(
        vision_config=vision,
        text_config=Qwen2Config(**text_shapes(), num_key_value_heads=2),
        image_token_index=3,
        image_grid_pinpoints=grids,
    )
    processor = Parts(
        LlavaOnevisionImageProcessorPil(size={"height": 24, "width": 24}, image_grid_pinpoints=grids),
        tokenizer(),
        CHAT,
        processor_class="LlavaOnevisionProcessor",
        num_image_tokens=36,
        vision_feature_select_strategy="full",
    )
    return save(LlavaOnevisionForConditionalGeneration, config, processor, folder, seed)


def save_qwen2_vl(folder: Path, seed: int = 0) -> Path:
    """A Qwen2-VL checkpoint: patches of 4 px, merged 2 x 2, of images of any size, 4 blocks."""
    vision = {
        "depth": 4,
        "embed_dim": 32,
        "hidden_size": 48,
        "num_heads": 4,
        "mlp_ratio": 2,
        "patch_size": 4,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
    }
    more_special = ("<|vision_start|>", "<|image_pad|>", "<|vision_end|>", "<|video_pad|>")
    start, image, end, video = range(len(WORDS), len(WORDS) + len(more_special))
    text = {
        **text_shapes(),
        "vocab_size": len(WORDS) + len(more_special),
        "num_key_value_heads": 2,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [1, 2, 3]},
    }
    config = Qwen2VLConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=image,
        video_token_id=video,
        vision_start_token_id=start,
        vision_end_token_id=end,
    )
    processor = Parts(
        Qwen2VLImageProcessorPil(
            patch_size=4, merge_size=2, temporal_patch_size=2, size={"shortest_edge": 256, "longest_edge": 2048}
        ),
        tokenizer(*more_special),
        CHAT.replace("<image>", "<|vision_start|><|image_pad|><|vision_end|>"),
        processor_class="Qwen2VLProcessor",
    )
    return save(Qwen2VLForConditionalGeneration, config, processor, folder, seed)


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


def save_classifier(folder: Path, kind: str, classes: list[str], seed: int = 0) -> Path:
    """A sequence classifier of one kind: `bert`, `roberta`, `llama`, or `headless`, a BERT that classifies nothing.

    The tokenizer of those that read both ways marks the ends of a text.
    """
    shapes = {"vocab_size": len(WORDS), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
    shapes |= {"num_attention_heads": 4, "pad_token_id": 0, "id2label": dict(enumerate(classes))}
    make = {
        "bert": (BertForSequenceClassification, BertConfig(**shapes)),
        "headless": (BertForMaskedLM, BertConfig(**shapes)),
        "roberta": (RobertaForSequenceClassification, RobertaConfig(**shapes, max_position_embeddings=513)),
        "llama": (LlamaForSequenceClassification, LlamaConfig(**shapes)),
    }[kind]
    torch.manual_seed(seed)
    model = make[0](make[1])
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 2 / parameter[0].numel() ** 0.5)
    model.save_pretrained(folder)
    words = tokenizer()
    if kind != "llama":
        words.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single="<bos> $A <eos>",
            pair="<bos> $A <eos> $B <eos>",
            special_tokens=[("<bos>", 1), ("<eos>", 2)],
        )
        words.model_max_length = 512
    words.save_pretrained(folder)
    return folder


# Of every family a builder, its blocks and its default layer.
FAMILIES = {
    "idefics3": (save_idefics3, 4, 4),
    "llava": (save_llava, 4, 3),
    "llava_dinov2": (save_llava_dinov2, 4, 3),
    "llava_next": (save_llava_next, 4, 3),
    "llava_onevision": (save_llava_onevision, 4, 4),
    "mllama": (save_mllama, 6, 6),
    "paligemma": (save_paligemma, 4, 4),
    "qwen2_vl": (save_qwen2_vl, 4, 4),
}
