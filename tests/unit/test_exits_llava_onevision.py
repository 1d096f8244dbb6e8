"""LLaVA-OneVision exits against the untouched model, with images of one tile, of several, and of more than are kept."""

import pytest
import torch
from transformers import AutoModelForImageTextToText

import models
import smallmodels
from layerwise.models import checkpoints
from layerwise.models.families import same_shape

BLOCKS = 4
LAYERS = range(BLOCKS + 1)
SIZES = ((24, 24), (100, 30), (20, 90), (96, 96), (70, 60))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return smallmodels.save_llava_onevision(tmp_path_factory.mktemp("llava-onevision"))


@pytest.fixture(scope="module")
def family(folder):
    return checkpoints.load_model(folder, models.settings(BLOCKS, "llava_onevision", default_layer=BLOCKS))


@pytest.fixture(scope="module")
def untouched(folder):
    return AutoModelForImageTextToText.from_pretrained(folder).eval()


@pytest.fixture(scope="module")
def images(family):
    return [family.preprocess(models.picture(number, size)) for number, size in enumerate(SIZES)]


@pytest.mark.parametrize("layer", LAYERS)
def test_states_and_their_packing_are_those_of_the_untouched_model_bit_by_bit(family, untouched, images, layer):
    tiles = [image["pixel_values"][0] for image in images]
    sizes = torch.cat([image["image_sizes"] for image in images])
    stock, projector = untouched.model, untouched.model.multi_modal_projector
    with torch.inference_mode():
        projected = torch.cat(
            [
                projector(stock.vision_tower(batch, output_hidden_states=True).hidden_states[layer])[:real]
                for batch, real in same_shape(torch.cat(tiles))
            ]
        )
        split = projected.split([len(tile) for tile in tiles])
        expected, _ = stock.pack_image_features(split, sizes, stock.image_newline)
        features = family.features(images, [layer])[layer]
    assert all(torch.equal(*pair) for pair in zip(features, expected, strict=True))


def test_features_are_those_of_the_untouched_model(family, untouched, images):
    assert {image["pixel_values"].shape[1] for image in images} >= {2, 17}
    with torch.inference_mode():
        features = family.features(images, LAYERS)
        for layer in LAYERS:
            for number, image in enumerate(images):
                expected = untouched.get_image_features(**image, vision_feature_layer=[layer]).pooler_output[0]
                torch.testing.assert_close(features[layer][number], expected, rtol=1e-4, atol=1e-5)


def test_what_many_tiles_show_is_scaled_down_to_nine(family, images):
    whole, tiles, newlines = 36, 9 * 36, 18
    assert len(family.features(images[3:4], [BLOCKS])[BLOCKS][0]) == whole + tiles + newlines


def test_answers_at_every_exit_are_those_of_stock_transformers(family, untouched, tmp_path):
    tasks = models.tasks(tmp_path, len(SIZES), LAYERS, sizes=SIZES)
    answers = models.engine_answers(family, tasks, 5)
    for task in tasks:
        for layer in LAYERS:
            stock = models.stock_answer(untouched, family.processor, task, 5, vision_feature_layer=[layer])
            assert answers[task.prompt.id, layer].text == stock
        assert answers[task.prompt.id, BLOCKS].text == models.stock_answer(untouched, family.processor, task, 5)
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
    models.check_tokens(family, models.picture(3, SIZES[3]))


def test_the_processor_needs_no_torchvision(family):
    assert type(family.processor.image_processor).__name__ == "LlavaOnevisionImageProcessorPil"
    assert not hasattr(family.processor, "video_processor")
