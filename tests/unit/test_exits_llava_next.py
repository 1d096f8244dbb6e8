"""LLaVA-NeXT exits against the untouched model, with images of one and of several tiles."""

import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText

import models
import smallmodels
from layerwise.models import checkpoints

BLOCKS = 4
LAYERS = range(BLOCKS + 1)
SIZES = ((40, 40), (100, 30), (20, 90), (16, 16), (300, 24))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return smallmodels.save_llava_next(tmp_path_factory.mktemp("llava-next"))


@pytest.fixture(scope="module")
def family(folder):
    return checkpoints.load_model(folder, models.settings(BLOCKS, "llava_next", default_layer=BLOCKS - 1))


@pytest.fixture(scope="module")
def untouched(folder):
    return AutoModelForImageTextToText.from_pretrained(folder).eval()


@pytest.fixture(scope="module")
def images(family):
    return [family.preprocess(models.picture(number, size)) for number, size in enumerate(SIZES)]


def test_features_are_those_of_the_untouched_model(family, untouched, images):
    assert len({image["pixel_values"].shape[1] for image in images}) > 1
    with torch.inference_mode():
        features = family.features(images, LAYERS)
        for layer in LAYERS:
            for number, image in enumerate(images):
                expected = untouched.get_image_features(**image, vision_feature_layer=[layer]).pooler_output[0]
                torch.testing.assert_close(features[layer][number], expected, rtol=1e-4, atol=1e-5)


def test_answers_at_every_exit_are_those_of_stock_transformers(family, untouched, tmp_path):
    tasks = models.tasks(tmp_path, 10, LAYERS, sizes=SIZES)
    answers = models.engine_answers(family, tasks, 5)
    for task in tasks:
        for layer in LAYERS:
            stock = models.stock_answer(untouched, family.processor, task, 5, vision_feature_layer=[layer])
            assert answers[task.prompt.id, layer].text == stock
    models.check_layers_matter(answers)


def test_features_depend_neither_on_the_other_images_nor_on_the_other_layers(family, images):
    with torch.inference_mode():
        whole, some = family.features(images, LAYERS), family.features(images[2:0:-1], [3])
    assert torch.equal(some[3][0], whole[3][2]) and torch.equal(some[3][1], whole[3][1])


def test_answers_depend_on_the_image_at_every_exit(family, tmp_path):
    models.check_images_matter(family, tmp_path, LAYERS)


def test_each_block_runs_once_and_none_beyond_the_last_layer(family, images):
    assert models.runs_of_blocks(family, family.tower.encoder.layers, images[:2], [3, 0, 2]) == [1, 2, 3]


@pytest.mark.parametrize("name", models.odd_pictures())
def test_odd_images_are_taken_for_what_they_show(family, name):
    models.check_odd_picture(family, name)


def test_tokens_are_those_of_the_processor(family):
    image = models.picture(1, SIZES[1])
    models.check_tokens(family, image)
    others = family.encode("w1 w2 ?", family.preprocess(Image.new("RGB", (24, 24))))
    assert family.encode("w1 w2 ?", family.preprocess(image)) != others
