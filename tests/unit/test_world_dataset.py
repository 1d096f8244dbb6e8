"""The data sets of the synthetic world, and what `build_prompts` does for any data set."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

import build_prompts
from layerwise import files, plugins, records
from layerwise.errors import InputError
from layerwise.prompts import images
from layerwise.prompts.builders import world as builder
from layerwise.records import Prompt
from layerwise.world import language

SIZE = 12


def spec(cue, **more):
    return {"dataset": f"world-{cue}", "builder": "world", "seed": 1, "size": SIZE, "options": {"cue": cue}} | more


def pixels(folder, prompt):
    return np.asarray(Image.open(folder / prompt.image)).astype(int)


@pytest.mark.parametrize(("cue", "corners"), [("shallow", {(0, 4), (4, 0)}), ("deep", {(0, 0), (4, 4)})])
def test_image_twins_are_alike_but_for_the_cue(tmp_path, cue, corners):
    prompts = builder.build(spec(cue), {}, tmp_path)
    assert len(prompts) == 2 * SIZE
    for number, (hazard, twin) in enumerate(zip(prompts[::2], prompts[1::2], strict=True)):
        assert hazard.id == f"world-{cue}-{number:04d}-hazard" and twin.id == f"world-{cue}-{number:04d}-twin"
        assert hazard.cluster == twin.cluster == f"{cue}-{number:04d}"
        assert (hazard.kind, twin.kind) == ("harmful", "benign")
        assert hazard.text == twin.text and hazard.text in language.USE_QUESTIONS
        assert hazard.target == twin.target and hazard.target in language.WELL_FORMED - language.TEXT_HARM
        changed = (pixels(tmp_path, hazard) != pixels(tmp_path, twin)).reshape(5, 8, 5, 8, 3).any((1, 3, 4))
        (cell,) = np.argwhere(changed).tolist()
        assert tuple(cell) in corners
        assert hazard.attributes["item"] == twin.attributes["item"] == hazard.target.split()[1]
        assert (hazard.attributes["family"], twin.attributes["family"]) == (f"{cue} hazard", f"{cue} safe")
        glyphs = [set(prompt.attributes.get("glyphs", "").split()) for prompt in (hazard, twin)]
        assert [len(found) for found in glyphs] == ([1, 2] if cue == "deep" else [0, 0])


def test_glyphs_of_a_data_set_are_the_only_ones_and_its_pairs_are_no_others(tmp_path):
    some = spec("deep", options={"cue": "deep", "glyphs": [8, 11]})
    prompts = builder.build(some, {}, tmp_path)
    shown = [prompt.attributes["glyphs"] for prompt in prompts]
    assert set(shown[::2]) == {"8 8", "11 11"} and set(shown[1::2]) == {"8 11", "11 8"}
    clusters = {prompt.cluster for prompt in builder.build(spec("deep"), {}, tmp_path)}
    assert clusters.isdisjoint(prompt.cluster for prompt in prompts)
    with pytest.raises(ValueError, match="text cue has no glyphs"):
        builder.Options(cue="text", glyphs=[8, 11])


def test_text_twins_share_the_image_and_differ_in_the_verb(tmp_path):
    prompts = builder.build(spec("text"), {}, tmp_path)
    for hazard, twin in zip(prompts[::2], prompts[1::2], strict=True):
        assert hazard.image_sha256 == twin.image_sha256
        differing = [pair for pair in zip(hazard.text.split(), twin.text.split(), strict=True) if len(set(pair)) == 2]
        ((bad, good),) = differing
        assert hazard.target == f"sure {bad} {language.HARMFUL_TOOLS[bad]}"
        assert twin.target == f"sure {good} {language.BENIGN_TOOLS[good]}"


def test_visual_questions_have_one_accepted_answer(tmp_path):
    prompts = builder.build(spec("none", size=200), {}, tmp_path)
    assert {prompt.kind for prompt in prompts} == {"vqa"} and len({prompt.cluster for prompt in prompts}) == 200
    answers = {
        language.ITEM_QUESTION: set(language.ITEMS),
        language.COLOUR_QUESTION: set(language.COLOURS),
        **{question: {*language.SHALLOW_MARKS, language.NO_MARK} for question in language.CORNER_QUESTIONS},
    }
    assert {prompt.text for prompt in prompts} == set(answers)
    assert all(len(prompt.target) == 1 and prompt.target[0] in answers[prompt.text] for prompt in prompts)


@pytest.mark.parametrize("cue", ["shallow", "deep", "text", "none"])
def test_a_data_set_is_the_same_every_time(tmp_path, cue):
    first, again = (builder.build(spec(cue), {}, tmp_path / name) for name in "ab")
    assert first == again
    assert first != builder.build(spec(cue, seed=2), {}, tmp_path / "c")
    for prompt in first:
        assert files.file_digest(tmp_path / "a" / prompt.image) == prompt.image_sha256


def built(folder, **more):
    """The prompts that the script writes, and their folder."""
    output = folder / "prompts" / "world-deep.jsonl"
    settings = spec("deep", image="own", limit=None) | more
    build_prompts.main(["--spec", json.dumps(settings), "--output", str(output)])
    return output.parent, records.read(output, Prompt)


def test_a_limit_keeps_the_first_clusters_as_they_are(tmp_path):
    _, everything = built(tmp_path / "all")
    _, some = built(tmp_path / "some", limit=3)
    assert some == everything[:6]


def test_no_prompts_are_an_input_error(tmp_path):
    with pytest.raises(InputError, match="world-deep.yaml.*no prompts"):
        built(tmp_path, size=0)


def test_controls_change_the_image_alone(tmp_path):
    folder, own = built(tmp_path / "own")
    for control in ("none", "blank", "noise"):
        folder, prompts = built(tmp_path / control, image=control)
        for prompt, original in zip(prompts, own, strict=True):
            shown = {"image": original.image, "image_sha256": original.image_sha256}
            assert dataclasses.replace(prompt, **shown) == original
        if control == "none":
            assert {prompt.image for prompt in prompts} == {prompt.image_sha256 for prompt in prompts} == {None}
            continue
        images = [pixels(folder, prompt) for prompt in prompts]
        assert {image.shape for image in images} == {(40, 40, 3)}
        assert {int(image.max() - image.min()) > 200 for image in images} == {control == "noise"}
        assert len({prompt.image_sha256 for prompt in prompts}) == (1 if control == "blank" else len(prompts))
        assert built(tmp_path / "again", image=control)[1] == prompts


def test_a_control_of_a_text_prompt_shows_an_image_of_its_own(tmp_path):
    alone = Prompt("p", "d", "how are you", None, None, "benign", "p")
    (shown,) = images.with_control([alone], "blank", 0, tmp_path)
    assert pixels(tmp_path, shown).shape == (336, 336, 3)


def test_a_control_of_a_damaged_image_is_an_input_error(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"not a picture")
    damaged = Prompt("p", "d", "what is it ?", "bad.png", "0", "vqa", "p")
    with pytest.raises(InputError, match="bad.png"):
        images.with_control([damaged], "noise", 0, tmp_path)


def test_an_unknown_builder_is_an_input_error_that_lists_them():
    with pytest.raises(InputError, match="no builder 'worlds'.*world"):
        plugins.find("prompts.builders", "worlds")
