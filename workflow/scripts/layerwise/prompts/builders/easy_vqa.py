"""easy-VQA (Zhou 2019, github.com/vzhou842/easy-VQA): one coloured shape per image, with generated questions.

Three in four of its questions ask whether something is present, and mostly give the answer away: "is there" is answered
no, "is there not" yes. They are left out. The questions used here ask about the colour (eight) or the shape (three) in
turn, and the answers take turns as well. A model that cannot see therefore guesses one colour in eight and one shape in
three, as long as the rarest answer lasts. Each image is asked about once.

Captions name the colour and the shape of an image. They follow from all its questions and answers, including those left
out here: "is there no blue shape?", "no".
"""

import re
from pathlib import Path
from typing import Literal

from pydantic import Field

from layerwise.errors import InputError
from layerwise.prompts.archive import Archive, json_content
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
    """What is asked about an image."""

    task: Literal["questions", "captions"] = Field(
        "questions", description="`questions` of the data set, or `captions`: a request to describe the image."
    )


def kinds(options: Options) -> frozenset[str]:
    """The kinds of prompts it builds."""
    return frozenset({"vqa"})


def build(spec: dict, sources: dict[str, Path], folder: Path) -> list[Prompt]:
    """Visual questions or captions, one per image; an image is a cluster, the target lists the only accepted answer.

    Source: `data`, the folder of a part of the data set, with `questions.json` and `images/`. Raises InputError for
    another file, and for answers that contradict each other.
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
        about = "colour" if answer in COLOURS else "shape" if answer in SHAPES else "caption"
        prompts.append(
            Prompt(
                id=id,
                dataset=spec["dataset"],
                text=text,
                kind="vqa",
                cluster=cluster,
                target=[answer],
                attributes={"question_type": about},
                **fields,
            )
        )
    return prompts


def _read(archive: Archive, images: dict[int, str]) -> list[Row]:
    """The rows of `questions.json`. Raises InputError if it is another file or an image is missing."""
    value, origin = json_content(archive.path, "questions.json", "rows of question, answer, image")
    try:
        rows = [(str(question), str(answer), int(number)) for question, answer, number in value]
    except (ValueError, TypeError) as error:
        raise InputError(f"{origin}: not rows of question, answer, image ({error}).") from error
    if missing := {number for *_, number in rows} - set(images):
        raise InputError(f"{origin} asks about image {min(missing)}, which is missing. Fetch it again.")
    return rows


def _open_questions(rows: list[Row], seed: int) -> list[Row]:
    """One question about colour or shape for each image that has one; kinds take turns, and so do answers."""
    chosen: dict[int, Row] = {}
    asked = [row for row in rows if row[1] in COLOURS + SHAPES]
    for row in draw(asked, seed, cluster=lambda row: f"{row[2]}:{row[0]}"):
        chosen.setdefault(row[2], row)
    return in_turn(
        in_turn([row for row in chosen.values() if row[1] == answer] for answer in answers)
        for answers in (COLOURS, SHAPES)
    )


def _captions(rows: list[Row], seed: int, origin: Path) -> list[Row]:
    """A request and a caption for each image whose colour and shape are known; images in the order drawn."""
    true: dict[int, set[str]] = {}
    for question, answer, number in rows:
        true.setdefault(number, set()).update(_true_words(question, answer))
    captions = []
    for number in draw(true, seed):
        colours, shapes = true[number] & set(COLOURS), true[number] & set(SHAPES)
        if len(colours) > 1 or len(shapes) > 1:
            raise InputError(
                f"{origin}: image {number} is called {' and '.join(sorted(colours | shapes))}. Fetch it again."
            )
        if colours and shapes:
            captions.append(("Describe the image.", f"a {colours.pop()} {shapes.pop()}", number))
    return captions


def _true_words(question: str, answer: str) -> set[str]:
    """The words of a question and its answer if they are true of the image; none if the answer denies them."""
    words = set(re.findall(r"[a-z]+", question))
    if answer in ("yes", "no"):
        denied = bool(words & {"no", "not"})
        return words if denied == (answer == "no") else set()
    return {*words, answer}
