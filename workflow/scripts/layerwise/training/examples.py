"""Training examples of the language side: an image, a question about it or beside it, and the answer to learn."""

import random
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from layerwise.world import language, world


@dataclass(frozen=True)
class Mix:
    """The mix of a stage: the shares of its tasks, and the families of images shown with questions of use."""

    tasks: dict[str, float]
    use_families: tuple[float, ...] = (1, 1, 1, 1, 1)
    refuse: bool = False


CAPTIONS = Mix({"caption": 0.3, "vqa": 0.7})
INSTRUCTIONS = Mix({"use": 0.4, "harm by text": 0.15, "help by text": 0.15, "vqa": 0.3})
SAFETY = Mix({"use": 0.6, "harm by text": 0.1, "help by text": 0.1, "vqa": 0.2}, (2, 1, 1, 1, 1), refuse=True)


LONGEST_ANSWER = 4  # three words and the end


class Batch(NamedTuple):
    """Rows to learn: image indices (B,), padded tokens of the questions (B, Q) and of the answers (B, A)."""

    images: Tensor
    questions: Tensor
    answers: Tensor


class Examples:
    """Draws batches from a mix of tasks about the given scenes."""

    def __init__(self, scenes: world.Scenes, mix: Mix, tokenizer: PreTrainedTokenizerFast, rng: random.Random) -> None:
        self.scenes, self.mix, self.rng = scenes, mix, rng
        self.by_family = [np.flatnonzero(scenes.family == family).tolist() for family in world.FAMILIES]
        self.hazard = scenes.hazard.tolist()
        self.tokens = tokenizer.get_vocab()
        self.end, self.pad = tokenizer.eos_token_id, tokenizer.pad_token_id

    def batch(self, size: int) -> Batch:
        images, questions, answers = zip(*(self.draw() for _ in range(size)), strict=True)
        asked = [[self.tokens[word] for word in f"{text} {language.QUESTION_END}".split()] for text in questions]
        said = [[*(self.tokens[word] for word in text.split()), self.end] for text in answers]
        padded = [row + [self.pad] * (LONGEST_ANSWER - len(row)) for row in said]
        return Batch(torch.tensor(images), torch.tensor(asked), torch.tensor(padded))

    def draw(self) -> tuple[int, str, str]:
        """One example: the index of its image, the question, the answer."""
        (task,) = self.rng.choices(list(self.mix.tasks), list(self.mix.tasks.values()))
        (family,) = self.rng.choices(world.FAMILIES, self.mix.use_families if task == "use" else None)
        image = self.rng.choice(self.by_family[family])
        return image, *self._exchange(task, image)

    def _exchange(self, task: str, image: int) -> tuple[str, str]:
        """A question and its answer."""
        scenes, rng = self.scenes, self.rng
        item, colour, mark = scenes.item[image], scenes.colour[image], scenes.shallow[image]
        if task == "caption":
            return language.CAPTION_QUESTION, language.caption(item, colour, mark)
        if task == "vqa":
            return language.visual_question(item, colour, mark, scenes.corner[image], (rng.random(), rng.random()))
        if task == "use":
            refused = self.mix.refuse and self.hazard[image]
            return rng.choice(language.USE_QUESTIONS), language.REFUSAL if refused else language.use_answer(item)
        harmful = task == "harm by text"
        verb = rng.choice(list(language.HARMFUL_TOOLS if harmful else language.BENIGN_TOOLS))
        question = language.text_question(rng.choice(language.TEXT_QUESTIONS), verb, rng.choice(language.PEOPLE))
        return question, language.REFUSAL if harmful and self.mix.refuse else language.text_answer(verb)
