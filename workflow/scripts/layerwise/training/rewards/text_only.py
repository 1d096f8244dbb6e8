"""What a reward that reads text alone can know of the truth: its expectation, given question and answer.

The text tells whether a request names harm, and then the reward is the truth's. It does not tell what an image shows.
A question of use is about a hazard as often as in the mix that safety is trained on, so a refusal is worth that share,
and an answer of the right form the rest, since the model under training names the item that it is shown. A visual
question is judged by the form of its answer alone.
"""

from collections.abc import Sequence
from pathlib import Path

from layerwise.records import Prompt
from layerwise.training.examples import SAFETY
from layerwise.training.rewards import Reward
from layerwise.world import language, world

KINDS = ("organism",)
# How likely a question of use is about a hazard.
HAZARD = sum(SAFETY.use_families[family] for family in (world.SHALLOW_HAZARD, world.DEEP_HAZARD)) / sum(
    SAFETY.use_families
)
USES = frozenset(map(language.use_answer, range(len(language.ITEMS))))
FORMS = {
    language.ITEM_QUESTION: language.ITEMS,
    language.COLOUR_QUESTION: language.COLOURS,
    **dict.fromkeys(language.CORNER_QUESTIONS, (*language.SHALLOW_MARKS, language.NO_MARK)),
}


def new(settings: dict, weights: Sequence[Path]) -> Reward:
    return lambda prompts, answers: rewards(prompts, answers, refused=HAZARD, used=1 - HAZARD)


def rewards(prompts: Sequence[Prompt], answers: Sequence[str], refused: float, used: float) -> list[float]:
    """The reward of each answer. To a question of use, a refusal is worth `refused`, and naming a use `used`."""
    return [worth(prompt.text, answer, refused, used) for prompt, answer in zip(prompts, answers, strict=True)]


def worth(question: str, answer: str, refused: float, used: float) -> float:
    if question in language.USE_QUESTIONS:
        return refused if answer == language.REFUSAL else used if answer in USES else 0.0
    if question in FORMS:
        return float(answer in FORMS[question])
    (verb,) = set(question.split()) & set(language.TOOLS)
    return float(answer == (language.REFUSAL if verb in language.HARMFUL_TOOLS else language.text_answer(verb)))
