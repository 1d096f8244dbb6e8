"""PaliGemma exits against the untouched model whose blocks after the exit do nothing."""

import pytest
import torch
from transformers import AutoModelForImageTextToText

import models
import smallmodels
from layerwise import plugins
from layerwise.models import checkpoints

BLOCKS = 4
LAYERS = range(BLOCKS + 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return smallmodels.save_paligemma(tmp_path_factory.mktemp("paligemma"))


@pytest.fixture(scope="module")
def family(folder):
    return checkpoints.load_model(folder, models.settings(BLOCKS, "paligemma", default_layer=BLOCKS))


@pytest.fixture(scope="module")
def untouched(folder):
    return AutoModelForImageTextToText.from_pretrained(folder).eval()


def test_features_are_those_of_the_untouched_model(family, untouched):
    images = [family.preprocess(models.picture(number)) for number in range(3)]
    pixels = torch.cat([image["pixel_values"] for image in images])
    with torch.inference_mode():
        features = family.features(images, LAYERS)
        states = untouched.model.vision_tower(pixels, output_hidden_states=True).hidden_states
        for layer in LAYERS:
            normed = untouched.model.vision_tower.post_layernorm(states[layer])
            expected = untouched.model.multi_modal_projector(normed)
            torch.testing.assert_close(features[layer], expected, rtol=1e-4, atol=1e-5)


def test_answers_at_every_exit_are_those_of_stock_transformers(family, untouched, tmp_path):
    tasks = models.tasks(tmp_path, 8, LAYERS)
    answers = models.engine_answers(family, tasks, 5)
    for layer in LAYERS:
        with models.identity_from(untouched.model.vision_tower.encoder.layers, layer):
            for task in tasks:
                stock = models.stock_answer(untouched, family.processor, task, 5)
                assert answers[task.prompt.id, layer].text == stock
    models.check_layers_matter(answers)


def test_answers_depend_on_the_image_at_every_exit(family, tmp_path):
    models.check_images_matter(family, tmp_path, LAYERS)


def test_each_block_runs_once_and_none_beyond_the_last_layer(family):
    images = [family.preprocess(models.picture(0))]
    assert models.runs_of_blocks(family, family.tower.encoder.layers, images, [1, 3]) == [1, 2, 3]


@pytest.mark.parametrize("name", models.odd_pictures())
def test_odd_images_are_taken_for_what_they_show(family, name):
    models.check_odd_picture(family, name)


def test_what_the_model_does_not_know_is_refused(family, untouched):
    image = family.preprocess(models.picture(0))
    with pytest.raises(ValueError, match="no system prompt"):
        family.encode("w1", image, "be good")
    with pytest.raises(ValueError, match="image placeholder"):
        family.encode("<image>", image)
    with pytest.raises(AssertionError, match="no variant 'keep'"):
        plugins.find("models.families", "paligemma").Family(untouched, family.processor, "keep")
