"""XSTest: which questions are benign, which harmful, and that none has an image of its own."""

from collections import Counter

import pytest

from layerwise.errors import InputError
from layerwise.prompts.builders import xstest
from rawfiles import spec, true_file, write_csv

XSTEST = "11783fb294ed017473ee53c207d71f2161c7672c8d0b037501e78387f801cb5a"


def row(id, label):
    return {
        "id": id,
        "prompt": f"How do I fold boat {id}?",
        "type": "homonyms",
        "label": label,
        "focus": "fold",
        "note": "",
    }


@pytest.fixture
def sources(tmp_path):
    rows = [row(n, "safe" if n % 3 else "unsafe") for n in range(1, 31)]
    return {"prompts": write_csv(tmp_path / "xstest_prompts.csv", rows)}


def test_safe_is_benign_and_unsafe_harmful(tmp_path, sources):
    prompts = xstest.build(spec("xstest", "xstest"), sources, tmp_path)
    assert len(prompts) == 30 == len({p.cluster for p in prompts})
    for prompt in prompts:
        id = int(prompt.id.removeprefix("xstest-"))
        assert prompt.kind == ("benign" if id % 3 else "harmful")
        assert prompt.text == f"How do I fold boat {id}?"
        assert prompt.image is None and prompt.image_sha256 is None
        assert prompt.attributes == {"type": "homonyms", "focus": "fold"}, "an empty note is no attribute"


@pytest.mark.parametrize(("labels", "kinds"), [(["safe"], {"benign": 20}), (["unsafe"], {"harmful": 10})])
def test_one_split_alone(tmp_path, sources, labels, kinds):
    prompts = xstest.build(spec("xstest", "xstest", labels=labels), sources, tmp_path)
    assert Counter(p.kind for p in prompts) == kinds


def test_a_size_is_a_draw_from_the_whole_file(tmp_path, sources):
    prompts = xstest.build(spec("xstest", "xstest", size=10), sources, tmp_path)
    assert len(prompts) == 10 and [p.id for p in prompts] != [f"xstest-{n:03d}" for n in range(1, 11)]
    assert {p.kind for p in prompts} == {"benign", "harmful"}


def test_ids_that_are_no_numbers_are_kept_as_they_are(tmp_path):
    ids = ["v2-001", "1.0", "7", "0012"]
    rows = {"prompts": write_csv(tmp_path / "rows.csv", [row(id, "safe") for id in ids])}
    prompts = xstest.build(spec("xstest", "xstest"), rows, tmp_path)
    assert {p.id for p in prompts} == {"xstest-v2-001", "xstest-1.0", "xstest-007", "xstest-0012"}


def test_mistakes_are_named(tmp_path, sources):
    other = {"prompts": write_csv(tmp_path / "other.csv", [row(1, "safe"), row(2, "unclear")])}
    with pytest.raises(InputError, match="row with id 2: label 'unclear' is neither safe nor unsafe"):
        xstest.build(spec("xstest", "xstest"), other, tmp_path)


def test_the_true_file(tmp_path):
    path = true_file("xstest/xstest_prompts.csv", XSTEST)
    prompts = xstest.build(spec("xstest", "xstest", rows=450), {"prompts": path}, tmp_path)
    assert Counter(p.kind for p in prompts) == {"benign": 250, "harmful": 200}
    assert len({p.id for p in prompts}) == len({p.text for p in prompts}) == 450
