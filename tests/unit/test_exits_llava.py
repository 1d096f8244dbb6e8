"""LLaVA exits against the untouched model: bit by bit, at every layer."""

import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText

import models
import smallmodels
from layerwise import plugins
from layerwise.models import checkpoints
from layerwise.models.families import TILES, placed

BLOCKS = 4
LAYERS = range(BLOCKS + 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return smallmodels.save_llava(tmp_path_factory.mktemp("llava"), vision_blocks=BLOCKS)


@pytest.fixture(scope="module")
def family(folder):
    return checkpoints.load_model(folder, models.settings(BLOCKS))


@pytest.fixture(scope="module")
def images(family):
    return [family.preprocess(models.picture(seed)) for seed in range(TILES)]


@pytest.fixture(scope="module")
def features(family, images):
    with torch.inference_mode():
        return family.features(images, LAYERS)


@pytest.mark.parametrize("layer", LAYERS)
def test_features_are_those_of_the_untouched_model(folder, images, features, layer):
    untouched = AutoModelForImageTextToText.from_pretrained(folder).eval()
    pixels = torch.cat([image["pixel_values"] for image in images])
    with torch.inference_mode():
        states = untouched.model.vision_tower(pixels, output_hidden_states=True).hidden_states
        expected = untouched.model.multi_modal_projector(states[layer][:, 1:])
    assert len(states) == BLOCKS + 1
    assert torch.equal(features[layer], expected)


def test_every_exit_and_every_image_gives_other_features(features):
    for layer in LAYERS[1:]:
        assert not torch.allclose(features[layer], features[layer - 1], atol=0.1)
    assert not torch.allclose(features[0][0], features[0][1], atol=0.1)


def test_features_depend_neither_on_the_other_images_nor_on_the_other_layers(family, images, features):
    with torch.inference_mode():
        some = family.features(images[3:6], [2, 0])
        many = family.features([*images, *images[:5]], [2])
    assert set(some) == {0, 2}
    for layer in (0, 2):
        assert torch.equal(some[layer], features[layer][3:6])
    assert torch.equal(many[2], torch.cat([features[2], features[2][:5]]))


def test_each_block_runs_once_and_none_beyond_the_last_layer(family, images):
    blocks = family.tower.encoder.layers
    assert models.runs_of_blocks(family, blocks, images, [2, 0, 1]) == [1, 2]
    assert models.runs_of_blocks(family, blocks, images, [0]) == []


def test_the_class_token_stays_where_the_model_was_trained_with_it(folder):
    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    processor = checkpoints.load_model(folder, models.settings(BLOCKS)).processor
    model.config.vision_feature_select_strategy = "full"
    family = plugins.find("models.families", "llava").Family(model, processor)
    images = [family.preprocess(models.picture(0))] * TILES
    with torch.inference_mode():
        kept = family.features(images, [1])[1]
        expected = model.get_image_features(
            torch.cat([image["pixel_values"] for image in images]),
            vision_feature_layer=[1],
            vision_feature_select_strategy="full",
        ).pooler_output
    assert kept.shape[1] == 26
    assert torch.equal(kept, torch.stack(list(expected)))


def test_default_layer_is_read_from_the_checkpoint(folder, family):
    assert (family.blocks, family.default_layer) == (BLOCKS, BLOCKS - 1)
    model = AutoModelForImageTextToText.from_pretrained(folder)
    for written, meant in [(-1, BLOCKS), (0, 0), (2, 2)]:
        model.config.vision_feature_layer = written
        assert plugins.find("models.families", "llava").Family(model, family.processor).default_layer == meant


def test_tokens_are_those_of_the_processor(family):
    models.check_tokens(family, models.picture(0))
    tokens = family.encode("w1 w2 ?", family.preprocess(models.picture(0)))
    assert tokens.count(1) == 1 and tokens.count(3) == 25


def test_tokens_without_an_image_and_with_a_system_prompt(family):
    words = family.processor.tokenizer
    assert words.decode(family.encode("w1 ?", {})) == "<bos> w1 ? :"
    image = family.preprocess(models.picture(0))
    assert words.decode(family.encode("w1", image, "w9 w8")).split()[:4] == ["w9", "w8", "<bos>", "<image>"]


def test_a_placeholder_in_the_text_is_refused(family):
    with pytest.raises(ValueError, match="image placeholder <image>"):
        family.encode("what is <image> ?", family.preprocess(models.picture(0)))


@pytest.mark.parametrize("name", models.odd_pictures())
def test_odd_images_are_taken_for_what_they_show(family, name):
    models.check_odd_picture(family, name)


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (1, 90), (900, 2), (3, 200)])
def test_colours_of_images_of_odd_sizes_are_not_taken_for_rows(family, size):
    red, square = (Image.new("RGB", s, (200, 30, 90)) for s in (size, (40, 40)))
    assert torch.equal(family.preprocess(red)["pixel_values"], family.preprocess(square)["pixel_values"])


def test_features_are_placed_in_order_or_not_at_all():
    where = torch.tensor([[False, True, True], [True, False, True]])
    features = [torch.full((2, 4), 1.0), torch.full((2, 4), 2.0)]
    result = placed(torch.zeros(2, 3, 4), where, features)
    assert result[..., 0].tolist() == [[0, 1, 1], [2, 0, 2]]
    with pytest.raises(ValueError, match="image places"):
        placed(torch.zeros(2, 3, 4), where, [features[0][:1], torch.full((3, 4), 2.0)])


def test_an_unknown_family_is_answered_with_those_there_are():
    with pytest.raises(ValueError, match="no family 'lava'; allowed: .*llava"):
        plugins.find("models.families", "lava")


def test_another_encoder_and_an_unknown_variant_are_refused(folder, family):
    model = AutoModelForImageTextToText.from_pretrained(folder)
    with pytest.raises(AssertionError, match="no variant 'clamp'"):
        plugins.find("models.families", "llava").Family(model, family.processor, "clamp")
    model.config.vision_config.model_type = "siglip_vision_model"
    with pytest.raises(ValueError, match="siglip_vision_model, not clip_vision_model"):
        plugins.find("models.families", "llava").Family(model, family.processor)
