"""easy-VQA: questions whose wording does not give the answer away, and captions out of the answers."""

import json
from collections import Counter

import pytest

from layerwise.errors import InputError
from layerwise.prompts.builders import easy_vqa
from rawfiles import numbered, picture, spec, write_zip

IMAGES = [(easy_vqa.COLOURS[n % 8], easy_vqa.SHAPES[n % 3]) for n in range(24)]


def questions():
    """Of each image what its colour and its shape are, and of all things whether they are there, the usual way."""
    rows = []
    for n, (colour, shape) in enumerate(IMAGES):
        rows += [[f"what color is the {shape}?", colour, n], ["what shape is present?", shape, n]]
        rows += [[f"is there a {other} shape?", "yes" if other == colour else "no", n] for other in easy_vqa.COLOURS]
        rows += [[f"is no {other} present?", "no" if other == shape else "yes", n] for other in easy_vqa.SHAPES]
    return rows


def part(folder, rows, images):
    numbered(folder, images)
    (folder / "questions.json").write_text(json.dumps(rows))
    return {"data": folder}


@pytest.fixture
def sources(tmp_path):
    return part(tmp_path / "test", questions(), len(IMAGES))


def test_only_questions_of_colour_and_shape_each_about_an_image_of_its_own(tmp_path, sources):
    prompts = easy_vqa.build(spec("easy-vqa", "easy_vqa"), sources, tmp_path)
    assert len(prompts) == len(IMAGES) == len({prompt.cluster for prompt in prompts})
    for prompt in prompts:
        number = int(prompt.cluster.removeprefix("easy-vqa-"))
        colour, shape = IMAGES[number]
        asked = {f"what color is the {shape}?": [colour], "what shape is present?": [shape]}
        assert prompt.target == asked[prompt.text] and prompt.kind == "vqa"
        assert prompt.attributes == {"question_type": "colour" if prompt.target == [colour] else "shape"}
        assert (tmp_path / prompt.image).read_bytes() == picture(number, "PNG")


def test_kinds_and_answers_take_turns(tmp_path, sources):
    prompts = easy_vqa.build(spec("easy-vqa", "easy_vqa", size=6), sources, tmp_path)
    answers = [prompt.target[0] for prompt in prompts]
    assert set(answers[1::2]) == set(easy_vqa.SHAPES)
    assert len(set(answers[::2])) == 3 and set(answers[::2]) < set(easy_vqa.COLOURS)
    assert prompts == easy_vqa.build(spec("easy-vqa", "easy_vqa"), sources, tmp_path)[:6]


def test_a_caption_says_colour_and_shape(tmp_path, sources):
    prompts = easy_vqa.build(spec("captions", "easy_vqa", task="captions"), sources, tmp_path)
    assert len(prompts) == len(IMAGES) and {prompt.text for prompt in prompts} == {"Describe the image."}
    for prompt in prompts:
        colour, shape = IMAGES[int(prompt.cluster.removeprefix("easy-vqa-"))]
        assert prompt.target == [f"a {colour} {shape}"]


@pytest.mark.parametrize(
    ("rows", "captions"),
    [
        ([["what is the red shape?", "circle", 0]], ["a red circle"]),
        ([["what color is the circle?", "red", 0]], ["a red circle"]),
        ([["what color is the shape?", "red", 0], ["is no circle present?", "no", 0]], ["a red circle"]),
        ([["is there a red shape?", "yes", 0], ["is there a circle?", "yes", 0]], ["a red circle"]),
        ([["what color is the shape?", "red", 0], ["is there a circle?", "no", 0]], []),
        ([["is there not a red shape?", "yes", 0], ["what shape is present?", "circle", 0]], []),
    ],
)
def test_a_caption_says_what_the_answers_say_and_no_more(tmp_path, rows, captions):
    built = easy_vqa.build(spec("captions", "easy_vqa", task="captions"), part(tmp_path / "a", rows, 1), tmp_path)
    assert [prompt.target for prompt in built] == [[caption] for caption in captions]


def test_answers_that_contradict_are_named(tmp_path):
    rows = [["what is the red shape?", "circle", 0], ["is there a blue shape?", "yes", 0]]
    with pytest.raises(InputError, match="image 0 is called blue and circle and red"):
        easy_vqa.build(spec("captions", "easy_vqa", task="captions"), part(tmp_path / "a", rows, 1), tmp_path)


def test_an_archive_serves_as_well_as_a_folder(tmp_path, sources):
    members = {"easy_vqa/data/test/questions.json": json.dumps(questions()).encode()}
    members |= {f"easy_vqa/data/test/images/{n}.png": picture(n, "PNG") for n in range(len(IMAGES))}
    packed = {"data": write_zip(tmp_path / "easy.zip", members)}
    wanted = spec("easy-vqa", "easy_vqa")
    assert easy_vqa.build(wanted, packed, tmp_path) == easy_vqa.build(wanted, sources, tmp_path)


@pytest.mark.parametrize("rows", [{"seeds": 1}, [["what?", "red"]], [["what?", "red", "first"]], 3])
def test_another_file_is_named(tmp_path, rows):
    with pytest.raises(InputError, match=r"questions\.json: not rows of question, answer, image"):
        easy_vqa.build(spec("easy-vqa", "easy_vqa"), part(tmp_path / "a", rows, 1), tmp_path)


def test_mistakes_are_named(tmp_path, sources):
    with pytest.raises(InputError, match="asks about image 5, which is missing"):
        easy_vqa.build(spec("easy-vqa", "easy_vqa"), part(tmp_path / "few", questions(), 5), tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no image named like images/17.png"):
        easy_vqa.build(spec("easy-vqa", "easy_vqa"), {"data": tmp_path / "empty"}, tmp_path)
    (sources["data"] / "questions.json").unlink()
    with pytest.raises(InputError, match=r"holds no file 'questions\.json'"):
        easy_vqa.build(spec("easy-vqa", "easy_vqa"), sources, tmp_path)


def test_who_does_not_see_finds_few_answers(tmp_path, sources):
    prompts = easy_vqa.build(spec("easy-vqa", "easy_vqa", size=16), sources, tmp_path)
    by_kind = [
        Counter(p.target[0] for p in prompts if (p.target[0] in easy_vqa.SHAPES) == kind) for kind in (True, False)
    ]
    assert sum(counts.most_common(1)[0][1] for counts in by_kind) <= 5
