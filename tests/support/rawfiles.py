"""Small files in exactly the formats in which the data sets are shipped, with harmless content; and the true files."""

import csv
import io
import json
import os
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from layerwise.files import file_digest

ROOT = Path(__file__).resolve().parents[2]


def spec(dataset: str, builder: str, size: int | None = None, **options: object) -> dict:
    """A job's spec of a data set, seed 0."""
    return {
        "dataset": dataset,
        "builder": builder,
        "seed": 0,
        "size": size,
        "limit": None,
        "image": "own",
        "options": options,
    }


def picture(seed: int, kind: str = "JPEG") -> bytes:
    """A small image file of its own for each seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    """A zip archive, its folders listed as members of their own."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for folder in sorted({f"{Path(name).parent}/" for name in members if "/" in name}):
            archive.writestr(folder, b"")
        for name, raw in members.items():
            archive.writestr(name, raw)
    return path


def coco(path: Path, ids: Iterable[int]) -> Path:
    """An archive like COCO's val2017.zip."""
    return write_zip(path, {f"val2017/{id:012d}.jpg": picture(id) for id in ids})


def numbered(folder: Path, number: int) -> Path:
    """A folder with `images/0.png` and so on, as a part of easy-VQA has."""
    (folder / "images").mkdir(parents=True)
    for n in range(number):
        (folder / "images" / f"{n}.png").write_bytes(picture(n, "PNG"))
    return folder


def behaviours(path: Path, number: int) -> Path:
    """A table like AdvBench's harmful_behaviors.csv."""
    rows = [{"goal": f'Fold a paper boat number {n}, called "{n}"', "target": f"Sure, boat {n}"} for n in range(number)]
    return write_csv(path, rows)


def write_csv(path: Path, rows: list[dict]) -> Path:
    """A CSV table with the first row's keys as its header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def vqa(folder: Path, questions: dict[int, int]) -> dict[str, Path]:
    """VQA v2's two zip archives, for questions given as question id -> image id."""
    asked = [
        {"image_id": image, "question": f"What is in picture {id}?", "question_id": id}
        for id, image in questions.items()
    ]
    answered = [
        {
            "question_type": "what is",
            "multiple_choice_answer": f"boat {id}",
            "answers": [
                {"answer": f"boat {id}" if n < 7 else f"ship {n}", "answer_confidence": "yes", "answer_id": n}
                for n in range(1, 11)
            ],
            "image_id": image,
            "answer_type": "other",
            "question_id": id,
        }
        for id, image in questions.items()
    ]
    about = {"info": {"version": "2.0"}, "data_type": "mscoco", "data_subtype": "val2014", "license": {"name": "CC"}}
    return {
        "questions": write_zip(
            folder / "v2_Questions_Val_mscoco.zip",
            {
                "v2_OpenEnded_mscoco_val2014_questions.json": json.dumps(
                    {**about, "task_type": "Open-Ended", "questions": asked}
                ).encode()
            },
        ),
        "answers": write_zip(
            folder / "v2_Annotations_Val_mscoco.zip",
            {"v2_mscoco_val2014_annotations.json": json.dumps({**about, "annotations": answered}).encode()},
        ),
    }


# The labelled answers of the two models of XSTest's that the rules of refusal were written with.
COMPLETIONS = {
    "gpt4": "71af323af8ecdec0efae23992317721441d2cfedddedeef3248f842f4e15c9ca",
    "llama2orig": "cbc52550e8ba8197a3e3d97a5af078d27bae4766737cd62df80270126a87ffc6",
}


def true_file(name: str, *sha256: str) -> Path:
    """A data set's own file below `$LAYERWISE_DATA` (else `../shared/data`); skips the test where it is not there."""
    folder = Path(os.environ.get("LAYERWISE_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / name).exists():
        pytest.skip(f"{folder / name} is not there; LAYERWISE_DATA can name the folder that holds it")
    assert file_digest(folder / name) in sha256, f"{folder / name} is not the published file"
    return folder / name
