"""Accuracy of visual question answering, by the official evaluation of VQA (Antol et al. 2015; Goyal et al. 2017).

An answer that n annotators gave has accuracy min(1, n / 3), averaged over all sets of annotators with one left out.
Answers are compared after the official normalisation (`vqaEval.py` of github.com/GT-Vision-Lab/VQA): punctuation, then
number words, articles and contractions. The official script skips the normalisation if all annotators agree, because
answers sent to its server are already normalised. Responses of a language model are not, so here it always applies.
Before it, both sides are brought into one form of Unicode, with digits and punctuation of other scripts as in English;
an article that is the whole answer stays, since "a" is an answer and an empty response is none.

With a single accepted answer there are no sets of annotators: the accuracy is 1 for that answer and 0 for any other.
"""

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from layerwise.errors import InputError
from layerwise.judging.judges import Measure
from layerwise.records import Prompt, Response
from layerwise.study.settings import Settings, Share

WEIGHTS = ()
MEASURES = (Measure("vqa_accuracy", "vqa", "correct", score=True),)
CLAIMS: dict[str, str] = {}
CONTROLS = {"empty": ("wrong",), "echo": ("wrong",), "canned refusal": ("wrong",)}
LANGUAGES = ("*",)


class Options(Settings):
    """When an answer counts as correct."""

    threshold: Share = Field(0.5, description="Minimum accuracy at which an answer is called correct.")


PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
QUOTES = str.maketrans("’‘‛ʼ“”", "''''\"\"")
COMMA_IN_NUMBER = re.compile(r"\d,\d")
PERIOD = re.compile(r"\.(?!\d)")
NUMBER_WORDS = "zero one two three four five six seven eight nine ten"
NUMBERS = {"none": "0", **{word: str(number) for number, word in enumerate(NUMBER_WORDS.split())}}
ARTICLES = {"a", "an", "the"}

# The contractions that the official evaluation restores, except those whose bare form is a word ("well", "ill").
CONTRACTED = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd
    he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am might've mightn't mightn't've must've mustn't
    needn't not've o'clock oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've
    somebody'll somebody's someone'd someone'd've someone'll someone's something'd something'd've something'll
    that's there'd there'd've there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've
    we've weren't what'll what're what's what've when's where'd where's where've who'd who'd've who'll who's
    who've why'll why're why's won't would've wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've
    you'll you're you've
"""


def _without_one_apostrophe(word: str) -> list[str]:
    return [word[:place] + word[place + 1 :] for place, character in enumerate(word) if character == "'"]


# "somebody'd" loses its apostrophe in the official table, unlike all others.
CONTRACTIONS = {short: word for word in CONTRACTED.split() for short in _without_one_apostrophe(word)} | {
    "somebody'd": "somebodyd"
}


class Judge:
    """`correct` if the accuracy is at least `threshold`, otherwise `wrong`; the score is the accuracy."""

    kinds = frozenset({"vqa"})
    sees = ("target",)
    labels = ("correct", "wrong")
    batch_size = 4096

    def __init__(self, options: Options, weights: Sequence[Path] = ()) -> None:
        self.threshold = options.threshold

    def __call__(self, pairs: Sequence[tuple[Prompt, Response]]) -> list[tuple[str, float | None]]:
        scores = [accuracy(response.text, _answers(prompt)) for prompt, response in pairs]
        return [("correct" if score >= self.threshold else "wrong", score) for score in scores]


def accuracy(text: str, answers: Sequence[str]) -> float:
    """The official accuracy, in [0, 1], of a response given the annotators' answers."""
    said = normalise(text)
    agreeing = sum(normalise(answer) == said for answer in answers) if said else 0
    if len(answers) == 1:
        return float(agreeing)
    # Among the sets with one annotator left out, `agreeing` of them lack someone who gave this answer.
    left_out = agreeing * min(1, (agreeing - 1) / 3) + (len(answers) - agreeing) * min(1, agreeing / 3)
    return round(left_out / len(answers), 6)


def normalise(text: str) -> str:
    """An answer in the form that the official evaluation compares."""
    given, text = text, plain(text).replace("\n", " ").replace("\t", " ").strip()
    spaced = text
    for mark in PUNCTUATION:
        glued = f"{mark} " not in text and f" {mark}" not in text and not COMMA_IN_NUMBER.search(text)
        spaced = spaced.replace(mark, " " if glued else "")
    words = [NUMBERS.get(word, word) for word in PERIOD.sub("", spaced).lower().split()]
    # What has no words is compared as it stands, or "?" and "" would be one answer.
    kept = [word for word in words if word not in ARTICLES] or words or given.split()
    return " ".join(CONTRACTIONS.get(word, word) for word in kept)


def plain(text: str) -> str:
    """A text in composed characters, with straight quotes, digits from 0 to 9, and a space for each foreign mark."""
    composed = unicodedata.normalize("NFKC", text.translate(QUOTES))
    return composed if composed.isascii() else "".join(map(_plain, composed))


def _plain(character: str) -> str:
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    foreign = not character.isascii() and unicodedata.category(character)[0] == "P"
    return " " if foreign else character


def _answers(prompt: Prompt) -> list[str]:
    """The accepted answers of a visual question."""
    answers = [prompt.target] if isinstance(prompt.target, str) else prompt.target
    if not answers:
        raise InputError(f"prompt '{prompt.id}' has no accepted answers in `target`. Fix its data set.")
    return answers
