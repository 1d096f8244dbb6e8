"""Variants of LLaVA's exits: controls that change the features and nothing else."""

import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

import models
import smallmodels
from layerwise import plugins

BLOCKS, DEFAULT = 4, 3


@pytest.fixture(scope="module")
def families(tmp_path_factory):
    folder = smallmodels.save_llava(tmp_path_factory.mktemp("llava"), vision_blocks=BLOCKS)
    model, processor = AutoModelForImageTextToText.from_pretrained(folder), AutoProcessor.from_pretrained(folder)
    make = plugins.find("models.families", "llava").Family
    return {variant: make(model.eval(), processor, variant) for variant in (None, "norm-matched", "shuffled")}


@pytest.fixture(scope="module")
def features(families):
    """By variant: features of two images at exits below, at and above the default one."""
    images = [families[None].preprocess(models.picture(number)) for number in (0, 1)]
    with torch.no_grad():
        return {variant: family.features(images, [1, DEFAULT, 4]) for variant, family in families.items()}


def test_norm_matched_features_have_the_default_layers_norm_and_their_own_direction(features):
    own, matched = features[None], features["norm-matched"]
    wanted = own[DEFAULT].norm(dim=-1).mean(1)
    for layer in (1, DEFAULT, 4):
        torch.testing.assert_close(matched[layer].norm(dim=-1).mean(1), wanted)
        cosine = torch.nn.functional.cosine_similarity(own[layer].flatten(1), matched[layer].flatten(1))
        torch.testing.assert_close(cosine, torch.ones(2))
    assert (own[1].norm(dim=-1).mean(1) / wanted - 1).abs().min() > 0.01


def test_at_the_default_layer_norm_matched_changes_nothing(features):
    torch.testing.assert_close(features["norm-matched"][DEFAULT], features[None][DEFAULT])


def test_shuffled_features_are_the_same_patches_in_one_other_order(features):
    own, shuffled = features[None], features["shuffled"]
    orders = set()
    for layer in own:
        for image in (0, 1):
            distances = torch.cdist(shuffled[layer][image], own[layer][image])
            torch.testing.assert_close(distances.min(1).values, torch.zeros(len(distances)), atol=1e-4, rtol=0)
            orders.add(tuple(distances.argmin(1).tolist()))
    (order,) = orders
    assert sorted(order) == list(range(len(order))) != list(order)


def test_features_of_a_variant_do_not_depend_on_which_layers_are_asked_for_together(families, features):
    images = [families[None].preprocess(models.picture(number)) for number in (0, 1)]
    with torch.no_grad():
        alone = families["norm-matched"].features(images, [1])[1]
    assert torch.equal(alone, features["norm-matched"][1])
