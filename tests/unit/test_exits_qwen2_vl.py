"""Qwen2-VL exits against the untouched model, with images of several shapes, bit by bit."""

from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForImageTextToText

import models
import smallmodels
from layerwise import plugins
from layerwise.models import checkpoints, engine

BLOCKS = 4
LAYERS = range(BLOCKS + 1)
SIZES = ((40, 40), (100, 30), (20, 90), (16, 16))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return smallmodels.save_qwen2_vl(tmp_path_factory.mktemp("qwen2-vl"))


@pytest.fixture(scope="module")
def family(folder):
    return checkpoints.load_model(folder, models.settings(BLOCKS, "qwen2_vl", default_layer=BLOCKS))


@pytest.fixture(scope="module")
def untouched(folder):
    return AutoModelForImageTextToText.from_pretrained(folder).eval()


@pytest.fixture(scope="module")
def images(family):
    return [family.preprocess(models.picture(number, size)) for number, size in enumerate(SIZES)]


def test_features_are_those_of_the_untouched_model_bit_by_bit(family, untouched, images):
    assert len({image["pixel_values"].shape[0] for image in images}) > 2
    vision = untouched.model.visual
    with torch.inference_mode():
        features = family.features(images, LAYERS)
        for number, image in enumerate(images):
            pixels, grid = image["pixel_values"], image["image_grid_thw"]
            whole = vision(pixels, grid_thw=grid, output_hidden_states=True)
            assert len(whole.hidden_states) == BLOCKS + 1
            for layer in LAYERS:
                assert torch.equal(features[layer][number].tokens, vision.merger(whole.hidden_states[layer]))
            assert torch.equal(features[BLOCKS][number].tokens, whole.pooler_output)


def test_answers_at_every_exit_are_those_of_stock_transformers(family, untouched, tmp_path):
    tasks = models.tasks(tmp_path, 10, LAYERS, sizes=SIZES)
    answers = models.engine_answers(family, tasks, 6)
    for layer in LAYERS:
        with models.identity_from(untouched.model.visual.blocks, layer):
            for task in tasks:
                stock = models.stock_answer(untouched, family.processor, task, 6)
                assert answers[task.prompt.id, layer].text == stock
    models.check_layers_matter(answers)


def test_answers_without_an_image_are_those_of_stock_transformers(family, untouched, tmp_path):
    tasks = [
        engine.Task(replace(task.prompt, image=None, image_sha256=None), (0, 3), None)
        for task in models.tasks(tmp_path, 4, (0,))
    ]
    # Some rows with images before: what the model remembers of their positions must not reach the next batch.
    models.engine_answers(family, models.tasks(tmp_path, 2, (1,)), 2)
    answers = models.engine_answers(family, tasks, 5)
    for task in tasks:
        tokens = torch.tensor([family.encode(task.prompt.text, {})])
        stock = untouched.generate(input_ids=tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=5)
        text = family.processor.tokenizer.decode(stock[0, tokens.shape[1] :], skip_special_tokens=True)
        assert {answers[task.prompt.id, layer].text for layer in (0, 3)} == {text.strip()}


def test_positions_count_rows_and_columns_of_the_image(family):
    image = family.preprocess(models.picture(1, (48, 24)))
    assert image["image_grid_thw"].tolist() == [[1, 6, 12]]  # 3 x 6 places
    tokens = torch.tensor([family.encode("w1 w2", image)])
    given = family.generation_inputs(tokens, torch.ones_like(tokens), family.features([image], [0])[0])
    text, frame, row, column = given["position_ids"][:, 0]
    places = (tokens[0] == family.model.config.image_token_id).nonzero()[:, 0]
    start = int(places[0])
    assert text.tolist() == list(range(tokens.shape[1]))
    assert frame[places].tolist() == [start] * 18
    assert row[places].tolist() == [start + number // 6 for number in range(18)]
    assert column[places].tolist() == [start + number % 6 for number in range(18)]
    assert {int(one[places[-1] + 1]) for one in (frame, row, column)} == {start + 6}


def test_features_depend_neither_on_the_other_images_nor_on_the_other_layers(family, images):
    with torch.inference_mode():
        whole, some = family.features(images, LAYERS), family.features(images[2:0:-1], [3])
    assert torch.equal(some[3][0].tokens, whole[3][2].tokens) and torch.equal(some[3][1].tokens, whole[3][1].tokens)


def test_answers_depend_on_the_image_at_every_exit(family, tmp_path):
    models.check_images_matter(family, tmp_path, LAYERS)


def test_each_block_runs_once_and_none_beyond_the_last_layer(family, images):
    assert models.runs_of_blocks(family, family.vision.blocks, images[:1], [3, 0]) == [1, 2, 3]
    assert models.runs_of_blocks(family, family.vision.blocks, images[:1], [0]) == []


@pytest.mark.parametrize("name", [name for name in models.odd_pictures() if name != "900x2"])
def test_odd_images_are_taken_for_what_they_show(family, name):
    models.check_odd_picture(family, name)


def test_a_strip_that_the_model_was_not_made_for_is_refused(family):
    with pytest.raises(ValueError, match="aspect ratio must be smaller than 200, got 450"):
        family.preprocess(models.odd_pictures()["900x2"])


def test_tokens_are_those_of_the_processor(family):
    models.check_tokens(family, models.picture(1, SIZES[1]))


def test_the_processor_needs_no_torchvision(family):
    assert type(family.processor.image_processor).__name__ == "Qwen2VLImageProcessorPil"
    assert not hasattr(family.processor, "video_processor")


def test_an_unknown_variant_is_refused(family):
    with pytest.raises(AssertionError, match="no variant 'keep'"):
        plugins.find("models.families", "qwen2_vl").Family(family.model, family.processor, "keep")
