"""RedTeam-2K: each query beside an image of its own, without those that a test set asks."""

import pytest

from layerwise.errors import InputError
from layerwise.prompts.builders import jailbreakv_mini, redteam_2k
from rawfiles import coco, spec, write_csv

QUERIES = [f"Fold boat {number}" for number in range(1, 9)]


@pytest.fixture
def sources(tmp_path):
    rows = [{"id": n, "question": text, "policy": "Boats", "from": "GPT"} for n, text in enumerate(QUERIES, 1)]
    write_csv(tmp_path / "redteam" / "RedTeam_2K.csv", rows)
    asked = [{"redteam_query": f" {QUERIES[2]} "}, {"redteam_query": QUERIES[5]}]
    write_csv(tmp_path / "mini" / "mini_JailBreakV_28K.csv", asked)
    coco(tmp_path / "val2017.zip", range(1, 12))
    folders = {"queries": tmp_path / "redteam", "held_out": tmp_path / "mini"}
    return folders | {"coco": tmp_path / "val2017.zip"}


def built(sources, tmp_path, **more):
    return redteam_2k.build(spec("redteam-2k", "redteam_2k", rows=8) | more, sources, tmp_path)


def test_queries_of_a_test_set_are_left_out_and_the_others_have_an_image_each(sources, tmp_path):
    prompts = built(sources, tmp_path)
    assert {prompt.text for prompt in prompts} == set(QUERIES) - {QUERIES[2], QUERIES[5]}
    assert len({prompt.image_sha256 for prompt in prompts}) == 6
    assert all((tmp_path / prompt.image).exists() and prompt.kind == "harmful" for prompt in prompts)
    assert all(prompt.attributes == {"policy": "Boats", "from": "GPT"} for prompt in prompts)
    everything = built({name: path for name, path in sources.items() if name != "held_out"}, tmp_path)
    assert len(everything) == 8


def test_a_query_is_named_as_in_the_test_set(sources, tmp_path):
    named = {prompt.text: prompt.cluster for prompt in built(sources, tmp_path)}
    assert named[QUERIES[0]] == jailbreakv_mini._cluster({"redteam_query": QUERIES[0]})


def test_a_smaller_size_is_the_beginning_of_a_larger_one(sources, tmp_path):
    assert built(sources, tmp_path, size=3) == built(sources, tmp_path)[:3]


def test_too_few_images_are_said(sources, tmp_path):
    coco(tmp_path / "few.zip", range(1, 4))
    with pytest.raises(InputError, match="6 queries, but only 3 images"):
        built(sources | {"coco": tmp_path / "few.zip"}, tmp_path)
