"""Harmful behaviours: near-duplicates by invented words, parts that share none, and an image beside each."""

import hashlib
import json
from itertools import combinations

import pytest

from layerwise.errors import InputError
from layerwise.prompts.builders import behaviours
from layerwise.prompts.draws import near_duplicates
from rawfiles import numbered, picture, spec

# Groups of near-duplicates: three ways to say one thing, two of another, and ten that are said once.
THRICE = [
    "Write a guide on how to frobnicate a quuxian zindle",
    "Create a tutorial on how to frobnicate quuxian zindles",
    "Explain how to frobnicate zindles without getting caught",
]
TWICE = ["Develop a plan to plonk the grommery", "Teach people how to plonk a grommery at night"]
ONCE = [f"Design a {first}ing {second}" for first, second in zip("abcdefghij", "klmnopqrst", strict=True)]
ONCE = [text.replace("Design a ", "Design a wug").replace("ing ", "ing blick") for text in ONCE]
TEXTS = [THRICE[0], *ONCE[:5], TWICE[0], THRICE[1], *ONCE[5:], THRICE[2], TWICE[1]]


def groups_of(texts):
    return near_duplicates([behaviours.content_words(text) for text in texts], behaviours.NEAR)


def pyrit(path, texts):
    """A list as PyRIT writes it."""
    seeds = [{"value": text, "data_type": "text", "harm_categories": ["Boats", "Sails"]} for text in texts]
    path.write_text(json.dumps({"dataset_name": "adv_bench", "seeds": seeds}))  # JSON is YAML
    return path


@pytest.fixture
def sources(tmp_path):
    return {"prompts": pyrit(tmp_path / "adv_bench.prompt", TEXTS), "images": numbered(tmp_path / "shapes", 20)}


def test_what_says_the_same_in_other_words_is_one_group():
    groups = groups_of(TEXTS)
    assert [groups[TEXTS.index(text)] for text in THRICE] == [0, 0, 0]
    assert len({groups[TEXTS.index(text)] for text in TWICE}) == 1
    assert len(set(groups)) == 12
    assert all(group <= row for row, group in enumerate(groups))


def test_a_chain_of_near_duplicates_is_one_group_whatever_their_order():
    chain = ["alpha beta gamma", "beta gamma delta", "gamma delta epsilon"]
    assert groups_of([chain[0], chain[2]]) == [0, 1]
    for order in ([0, 1, 2], [0, 2, 1], [2, 0, 1]):
        assert groups_of([chain[n] for n in order]) == [0, 0, 0]


def test_the_form_of_a_request_and_its_endings_are_no_content():
    assert behaviours.content_words("Provide step-by-step instructions for PLONKING grommets") == {"plonk", "grommet"}
    assert groups_of(["Write a guide to zindles", "Write a guide to grommets"]) == [0, 1]


def test_the_parts_hold_all_groups_and_share_none(tmp_path, sources):
    parts = {
        part: behaviours.build(spec("adv", "behaviours", part=part), sources, tmp_path)
        for part in ("train", "test", "all")
    }
    clusters = {part: {prompt.cluster for prompt in prompts} for part, prompts in parts.items()}
    assert clusters["train"] | clusters["test"] == clusters["all"] and len(clusters["all"]) == 12
    assert not clusters["train"] & clusters["test"] and len(clusters["train"]) == 5
    for one in parts["train"]:
        for other in parts["test"]:
            assert groups_of([one.text, other.text]) == [0, 1]
    for part in ("test", "all"):
        assert len(parts[part]) == len(clusters[part]), "one row of each group"
    groups = groups_of(TEXTS)
    trained = {TEXTS.index(prompt.text) for prompt in parts["train"]}
    assert trained == {row for row, group in enumerate(groups) if group in {groups[row] for row in trained}}
    for prompt in parts["all"]:
        assert prompt.kind == "harmful"
        assert prompt.attributes == {"behaviour": str(TEXTS.index(prompt.text)), "category": "Boats"}


def test_the_split_does_not_depend_on_the_seed_and_a_size_is_the_first_of_it(tmp_path, sources):
    first = behaviours.build(spec("adv", "behaviours", part="test"), sources, tmp_path)
    other = behaviours.build({**spec("adv", "behaviours", part="test"), "seed": 7}, sources, tmp_path)
    assert first != other and {p.cluster for p in first} == {p.cluster for p in other}
    assert behaviours.build(spec("adv", "behaviours", size=3, part="test"), sources, tmp_path / "few") == first[:3]
    assert len(list((tmp_path / "few/images/adv").iterdir())) == 3


def test_a_list_that_is_never_trained_on_loses_what_is_near_to_the_trained_part(tmp_path, sources):
    train = behaviours.build(spec("adv", "behaviours", part="train"), sources, tmp_path)
    test = behaviours.build(spec("adv", "behaviours", part="test"), sources, tmp_path)
    fresh = ["Describe a tarn of snerd", "Describe how a tarn of snerds is used", "Outline a vorp"]
    lines = tmp_path / "harmbench.txt"
    lines.write_text("\n".join([train[0].text, fresh[0], "", test[0].text, *fresh[1:]]) + "\n")
    others = {"prompts": lines, "trained": sources["prompts"], "images": sources["images"]}
    asked = behaviours.build(spec("bench", "behaviours", rows=5), others, tmp_path)
    assert sorted(prompt.text for prompt in asked) == sorted([fresh[0], fresh[2], test[0].text])
    alone = {name: others[name] for name in ("prompts", "images")}
    without_categories = behaviours.build(spec("bench", "behaviours"), alone, tmp_path)
    assert [list(prompt.attributes) for prompt in without_categories] == [["behaviour"]] * 4


def test_a_behaviour_has_one_cluster_in_all_data_sets_and_its_name_does_not_tell_it(tmp_path, sources):
    own = behaviours.build(spec("adv", "behaviours", part="test"), sources, tmp_path)
    blank = behaviours.build({**spec("adv-blank", "behaviours", part="test"), "image": "blank"}, sources, tmp_path)
    assert [p.cluster for p in own] == [p.cluster for p in blank] and [p.id for p in own] != [p.id for p in blank]
    for prompt in own:
        assert prompt.cluster == f"behaviour-{hashlib.sha256(prompt.text.encode()).hexdigest()[:12]}"


def test_each_prompt_has_an_image_of_its_own_and_without_images_none_is_written(tmp_path, sources):
    prompts = behaviours.build(spec("adv", "behaviours", part="all"), sources, tmp_path / "own")
    assert all(a.image_sha256 != b.image_sha256 for a, b in combinations(prompts, 2))
    known = {picture(n, "PNG") for n in range(20)}
    for prompt in prompts:
        assert prompt.image == f"images/adv/{prompt.id}.png"
        assert (tmp_path / "own" / prompt.image).read_bytes() in known
    none = behaviours.build({**spec("adv", "behaviours"), "image": "none"}, sources, tmp_path / "none")
    assert {prompt.image for prompt in none} == {None} and not (tmp_path / "none").exists()


def test_mistakes_are_named(tmp_path, sources):
    with pytest.raises(InputError, match=r"adv_bench.prompt: 15 rows, but key 'options.rows' .* says 520"):
        behaviours.build(spec("adv", "behaviours", rows=520), sources, tmp_path)
    with pytest.raises(InputError, match="12 prompts, but only 3 images"):
        behaviours.build(spec("adv", "behaviours"), {**sources, "images": numbered(tmp_path / "few", 3)}, tmp_path)


@pytest.mark.parametrize("text", ["seeds: [", "- a\n- b\n", "seeds:\n- text: a\n", "one line of text"])
def test_a_file_of_another_shape_is_named(tmp_path, sources, text):
    (tmp_path / "other.prompt").write_text(text)
    with pytest.raises(InputError, match="other.prompt: neither one behaviour per line"):
        behaviours.build(spec("adv", "behaviours"), {**sources, "prompts": tmp_path / "other.prompt"}, tmp_path)
