"""VQA v2 (Goyal et al. 2017, arXiv 1612.00837), validation: questions about photographs, each answered by ten people.

Questions and answers come from visualqa.org, as two small JSON files. Of the validation images (COCO val2014), only
those that are also in COCO val2017 are used: that archive is fetched for other data sets anyway, it is an eighth of
val2014's size, and models tuned on COCO train2017, such as LLaVA-1.5, have not seen its images.
"""

from pathlib import Path

from pydantic import Field

from layerwise.errors import InputError
from layerwise.prompts.archive import Archive, attributes, json_content
from layerwise.prompts.draws import draw
from layerwise.prompts.images import coco_images, save_image
from layerwise.records import Prompt
from layerwise.study.settings import Positive, Settings

QUESTIONS = "v2_OpenEnded_mscoco_val2014_questions.json"
ANNOTATIONS = "v2_mscoco_val2014_annotations.json"
# What a row of each list must have, and of which type.
NEEDED: dict[str, dict[str, type]] = {
    "questions": {"question_id": int, "image_id": int, "question": str},
    "annotations": {"question_id": int, "answers": list},
}
SOURCES = {"questions": True, "answers": True, "coco": True}
TWINS = False


class Options(Settings):
    """What is asked about an image."""

    questions: Positive = Field(1, description="Number of questions per image.")
    instruction: str | None = Field(
        "Answer the question using a single word or phrase.",
        description="A line put after each question, if any.",
    )


def kinds(options: Options) -> frozenset[str]:
    """The kinds of prompts it builds."""
    return frozenset({"vqa"})


def build(spec: dict, sources: dict[str, Path], folder: Path) -> list[Prompt]:
    """Visual questions about `size` images, in the order drawn; an image is a cluster, the target lists ten answers.

    Sources: `questions`, `answers` (JSON, or a zip of it), `coco` (zip or folder). Raises InputError naming a question
    without answers.
    """
    options = Options(**spec["options"])
    archive = Archive(sources["coco"])
    members = coco_images(archive)
    path = sources["answers"]
    questions = _read(sources["questions"], QUESTIONS, "questions")
    annotated = {row["question_id"]: row for row in _read(path, ANNOTATIONS, "annotations")}
    by_image: dict[int, list[dict]] = {}
    asked = [row for row in questions if row["image_id"] in members]
    for row in draw(asked, spec["seed"], cluster=lambda row: row["question_id"]):
        by_image.setdefault(row["image_id"], []).append(row)
    prompts = []
    for image in draw(by_image, spec["seed"], spec["size"]):
        raw, origin = archive.read(members[image]), f"{archive.path}: {members[image]}"
        for row in by_image[image][: options.questions]:
            id = f"{spec['dataset']}-{row['question_id']:09d}"
            if (annotation := annotated.get(row["question_id"])) is None:
                raise InputError(f"{path}: no answers to question {row['question_id']}. Fetch the file again.")
            prompts.append(
                Prompt(
                    id=id,
                    dataset=spec["dataset"],
                    text="\n".join(filter(None, [row["question"], options.instruction])),
                    kind="vqa",
                    cluster=f"coco-{image:012d}",
                    target=annotation["answers"],
                    attributes=attributes(annotation, "question_type", "answer_type"),
                    **save_image(raw, folder, spec["dataset"], id, origin),
                )
            )
    return prompts


def _read(path: Path, name: str, key: str) -> list[dict]:
    """The list under `key` of one of VQA's JSON files; of answers only the text, so that two million fit in memory."""
    what = f"VQA's JSON: a list '{key}' of rows with {', '.join(sorted(NEEDED[key]))}"
    value, origin = json_content(
        path, name, what, object_hook=lambda value: value["answer"] if "answer_id" in value else value
    )
    rows = value.get(key) if isinstance(value, dict) else None
    if not isinstance(rows, list) or not all(_whole(row, NEEDED[key]) for row in rows):
        raise InputError(f"{origin}: not {what}. Fetch it again.")
    return rows


def _whole(row: object, needed: dict[str, type]) -> bool:
    if not isinstance(row, dict) or not all(isinstance(row.get(key), kind) for key, kind in needed.items()):
        return False
    return "answers" not in needed or all(isinstance(answer, str) for answer in row["answers"])
