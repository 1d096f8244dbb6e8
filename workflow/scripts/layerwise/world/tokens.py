"""The tokenizer and the chat template of the world's language, for every model: one token per word."""

from collections.abc import Sequence

from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from layerwise.world import language

LONGEST = 64  # tokens of a prompt and its answer: 1 + 25 + 7 + 4 in this world, where an image's patches are tokens


def tokenizer(words: Sequence[str], image: str) -> PreTrainedTokenizerFast:
    """A tokenizer with these words, special ones included, as its tokens in order. `image` stands for an image."""
    tokens = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    tokens.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokens,
        padding_side="left",
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        additional_special_tokens=[image],
        model_max_length=LONGEST,
        clean_up_tokenization_spaces=False,
    )


def chat_template(image: str) -> str:
    """One user turn: `<bos>`, the image placeholder if there is an image, the question, its end."""
    return (
        "{{ bos_token }}{% for message in messages %}{% for part in message['content'] %}"
        "{% if part['type'] == 'image' %}" + image + "{% else %}{{ part['text'] }} {% endif %}"
        "{% endfor %}{% endfor %}" + language.QUESTION_END
    )
