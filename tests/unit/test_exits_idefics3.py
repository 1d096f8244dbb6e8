"""Idefics3 (SmolVLM) exits against the untouched model whose blocks after the exit do nothing."""

import pytest
import torch
from transformers import AutoModelForImageTextToText

import models
import smallmodels
from layerwise import plugins
from layerwise.models import checkpoints

BLOCKS = 4
LAYERS = range(BLOCKS + 1)
SIZES = ((16, 16), (60, 20), (30, 50), (40, 40))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return smallmodels.save_idefics3(tmp_path_factory.mktemp("idefics3"))


@pytest.fixture(scope="module")
def family(folder):
    return checkpoints.load_model(folder, models.settings(BLOCKS, "idefics3", default_layer=BLOCKS))


@pytest.fixture(scope="module")
def untouched(folder):
    return AutoModelForImageTextToText.from_pretrained(folder).eval()


@pytest.fixture(scope="module")
def images(family):
    return [family.preprocess(models.picture(number, size)) for number, size in enumerate(SIZES)]


def test_features_are_those_of_the_untouched_model(family, untouched, images):
    assert len({image["pixel_values"].shape[1] for image in images}) > 1
    vision = untouched.model.vision_model
    with torch.inference_mode():
        features = family.features(images, LAYERS)
        for number, image in enumerate(images):
            states = vision(image["pixel_values"][0], output_hidden_states=True).hidden_states
            for layer in LAYERS:
                expected = untouched.model.connector(vision.post_layernorm(states[layer])).flatten(0, 1)
                torch.testing.assert_close(features[layer][number], expected, rtol=1e-4, atol=1e-5)


def test_answers_at_every_exit_are_those_of_stock_transformers(family, untouched, tmp_path):
    tasks = models.tasks(tmp_path, 8, LAYERS, sizes=SIZES)
    answers = models.engine_answers(family, tasks, 5)
    for layer in LAYERS:
        with models.identity_from(untouched.model.vision_model.encoder.layers, layer):
            for task in tasks:
                stock = models.stock_answer(untouched, family.processor, task, 5)
                assert answers[task.prompt.id, layer].text == stock
    models.check_layers_matter(answers)


def test_answers_depend_on_the_image_at_every_exit(family, tmp_path):
    models.check_images_matter(family, tmp_path, LAYERS)


def test_features_depend_neither_on_the_other_images_nor_on_the_other_layers(family, images):
    with torch.inference_mode():
        whole, some = family.features(images, LAYERS), family.features(images[2:0:-1], [3])
    assert torch.equal(some[3][0], whole[3][2]) and torch.equal(some[3][1], whole[3][1])


def test_each_block_runs_once_and_none_beyond_the_last_layer(family, images):
    assert models.runs_of_blocks(family, family.vision.encoder.layers, images[:1], [3, 0]) == [1, 2, 3]


@pytest.mark.parametrize("name", models.odd_pictures())
def test_odd_images_are_taken_for_what_they_show(family, name):
    models.check_odd_picture(family, name)


def test_the_processor_needs_no_torchvision(family):
    assert type(family.processor.image_processor).__name__ == "Idefics3ImageProcessorPil"


def test_an_unknown_variant_is_refused(family):
    with pytest.raises(AssertionError, match="no variant 'keep'"):
        plugins.find("models.families", "idefics3").Family(family.model, family.processor, "keep")
