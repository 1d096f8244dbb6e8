"""easy-VQA (Zhou 2019, github.com/vzhou842/easy-VQA): one coloured shape an image, and questions that a program wrote.

Three in four of its questions ask whether something is there, and the answer stands mostly in their wording: "is there"
is answered no, "is there not" yes. They are left out. What is asked here is the colour (eight of them) or the shape
(three), in turn, and within each the answers take turns as well: so who does not see finds one in eight colours and one
in three shapes, as long as the rarest answer lasts. An image is asked about once.

Captions name the colour and the shape of an image. They follow from its questions and answers, also from those that are
left out: "is there no blue shape?", "no".
"""

import json
import re
from pathlib import Path
from typing import Literal

from pydantic import Field

from layerwise.errors import InputError
from layerwise.prompts.archive import Archive
from layerwise.prompts.draws import draw, in_turn
from layerwise.prompts.images import numbered_images, save_image
from layerwise.records import Prompt
from layerwise.study.settings import Settings

COLOURS = ("black", "blue", "brown", "gray", "green", "red", "teal", "yellow")
SHAPES = ("circle", "rectangle", "triangle")
Row = tuple[str, str, int]  # question, answer, number of the image
SOURCES = {"data": True}
TWINS = False


class Options(Settings):
    """What is asked of an image."""

    task: Literal["questions", "captions"] = Field(
        "questions", description="`questions` as the data set has them, or `captions`: a request to describe the image."
    )


def kinds(options: Options) -> frozenset[str]:
    """The kinds of prompts that come out."""
    return frozenset({"vqa"})


def build(spec: dict, sources: dict[str, Path], folder: Path) -> list[Prompt]:
    """Visual questions or captions, one an image; an image is a cluster, the target a list of the one accepted answer.

    Source: `data`, the folder of a part of the data set, with `questions.json` and `images/`. Raises InputError
    for another file, and for answers that contradict.
    """
    options = Options(**spec["options"])
    archive = Archive(sources["data"])
    images = numbered_images(archive)
    rows = _read(archive, images)
    asked = (
        _open_questions(rows, spec["seed"])
        if options.task == "questions"
        else _captions(rows, spec["seed"], archive.path)
    )
    prompts = []
    for text, answer, number in asked[: spec["size"]]:
        id, member = f"{spec['dataset']}-{number:04d}", images[number]
        fields = save_image(archive.read(member), folder, spec["dataset"], id, f"{archive.path}: {member}")
        cluster = f"easy-vqa-{number:04d}"
        prompts.append(Prompt(id, spec["dataset"], text, kind="vqa", cluster=cluster, target=[answer], **fields))
    return prompts


def _read(archive: Archive, images: dict[int, str]) -> list[Row]:
    """The rows of `questions.json`; raises InputError where it is another file, or an image is missing."""
    name = archive.find("questions.json")
    try:
        rows = [
            (str(question), str(answer), int(number)) for question, answer, number in json.loads(archive.read(name))
        ]
    except (ValueError, TypeError) as error:
        raise InputError(f"{archive.path}: {name}: not rows of question, answer, image ({error}).") from error
    if missing := {number for *_, number in rows} - set(images):
        raise InputError(f"{archive.path}: {name} asks about image {min(missing)}, which is not there. Fetch it again.")
    return rows


def _open_questions(rows: list[Row], seed: int) -> list[Row]:
    """One question of colour or shape for each image that has any; kinds take turns, and so do their answers."""
    chosen: dict[int, Row] = {}
    asked = [row for row in rows if row[1] in COLOURS + SHAPES]
    for row in draw(asked, seed, cluster=lambda row: f"{row[2]}:{row[0]}"):
        chosen.setdefault(row[2], row)
    return in_turn(
        in_turn([row for row in chosen.values() if row[1] == answer] for answer in answers)
        for answers in (COLOURS, SHAPES)
    )


def _captions(rows: list[Row], seed: int, origin: Path) -> list[Row]:
    """A caption of each image whose colour and shape are known, behind its request; images in the order drawn."""
    true: dict[int, set[str]] = {}
    for question, answer, number in rows:
        true.setdefault(number, set()).update(_true_words(question, answer))
    captions = []
    for number in draw(true, seed):
        colours, shapes = true[number] & set(COLOURS), true[number] & set(SHAPES)
        if len(colours) > 1 or len(shapes) > 1:
            raise InputError(f"{origin}: image {number} is said to be {' and '.join(sorted(colours | shapes))}.")
        if colours and shapes:
            captions.append(("Describe the image.", f"a {colours.pop()} {shapes.pop()}", number))
    return captions


def _true_words(question: str, answer: str) -> set[str]:
    """The words of a question and its answer, where they are true of the image; of what is denied, none."""
    words = set(re.findall(r"[a-z]+", question))
    if answer in ("yes", "no"):
        denied = bool(words & {"no", "not"})
        return words if denied == (answer == "no") else set()
    return {*words, answer}
