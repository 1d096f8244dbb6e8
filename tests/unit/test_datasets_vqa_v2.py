"""VQA v2: a seeded sample of questions about the photographs at hand, each with its ten answers."""

import json

import pytest

from layerwise.errors import InputError
from layerwise.prompts.archive import Archive
from layerwise.prompts.builders import vqa_v2
from rawfiles import coco, picture, spec, vqa, write_zip

IDS = [139, 285, 632, 724, 776]
# Question ids are image id, then a running number of three digits, as VQA numbers them; image 999999 is not in val2017.
QUESTIONS = {image * 1000 + n: image for image in [*IDS, 999999] for n in range(3)}


@pytest.fixture
def sources(tmp_path):
    return {"coco": coco(tmp_path / "val2017.zip", IDS), **vqa(tmp_path, QUESTIONS)}


def test_one_question_an_image_with_its_ten_answers(tmp_path, sources):
    prompts = vqa_v2.build(spec("vqa-v2", "vqa_v2"), sources, tmp_path)
    assert len(prompts) == len(IDS)
    assert {p.cluster for p in prompts} == {f"coco-{id:012d}" for id in IDS}
    for prompt in prompts:
        question = int(prompt.id.removeprefix("vqa-v2-"))
        asked, instruction = prompt.text.split("\n")
        assert asked == f"What is in picture {question}?" and instruction.startswith("Answer the question")
        assert prompt.target == [f"boat {question}"] * 6 + [f"ship {n}" for n in range(7, 11)]
        assert prompt.kind == "vqa"
        assert prompt.attributes == {"question_type": "what is", "answer_type": "other"}
        assert (tmp_path / prompt.image).read_bytes() == picture(QUESTIONS[question])


def test_size_counts_images_and_questions_those_of_each(tmp_path, sources):
    one = vqa_v2.build(spec("vqa-v2", "vqa_v2", size=2), sources, tmp_path)
    two = vqa_v2.build(spec("vqa-v2", "vqa_v2", size=2, questions=2, instruction=None), sources, tmp_path)
    assert len(one) == 2 and len(two) == 4
    assert [p.id for p in two[::2]] == [p.id for p in one] and "\n" not in two[0].text


def test_the_json_files_serve_without_their_archives(tmp_path, sources):
    plain = {**sources}
    for name in ("questions", "answers"):
        archive = Archive(sources[name])
        plain[name] = tmp_path / f"{name}.json"
        plain[name].write_bytes(archive.read(archive.names[0]))
    wanted = spec("vqa-v2", "vqa_v2")
    assert vqa_v2.build(wanted, plain, tmp_path) == vqa_v2.build(wanted, sources, tmp_path)


def test_a_question_without_answers_is_named(tmp_path, sources):
    (tmp_path / "less").mkdir()
    sources["answers"] = vqa(tmp_path / "less", {id: image for id, image in QUESTIONS.items() if image != 632})[
        "answers"
    ]
    with pytest.raises(InputError, match="v2_Annotations_Val_mscoco.zip: no answers to question 63200[012]"):
        vqa_v2.build(spec("vqa-v2", "vqa_v2"), sources, tmp_path)


def asked(**values):
    row = {"question_id": 1, "image_id": 1, "question": "What?"}
    return json.dumps({"questions": [{**row, **values}]}).encode()


@pytest.mark.parametrize(
    "raw",
    [
        *(b"{", json.dumps({"info": {}}).encode(), b"[]", b'{"questions": [1,]}', b"[" * 100_000, b"\xff\xfe"),
        *(asked(question_id="../../x"), asked(image_id=[1]), asked(question=None), b'{"questions": {"a": 1}}'),
    ],
)
def test_another_file_is_named(tmp_path, sources, raw):
    sources["questions"] = write_zip(tmp_path / "q.zip", {"v2_OpenEnded_mscoco_val2014_questions.json": raw})
    with pytest.raises(InputError, match="q.zip: v2_OpenEnded_mscoco_val2014_questions.json: not VQA's JSON"):
        vqa_v2.build(spec("vqa-v2", "vqa_v2"), sources, tmp_path)
