"""Variants of features: what each changes and leaves, whose images lend theirs, and what the model then says."""

import random
from dataclasses import replace

import pytest
import torch

import models
import smallmodels
from layerwise.errors import InputError
from layerwise.models import checkpoints, engine, generation, variants
from layerwise.models.families.mllama import Seen
from layerwise.models.variants import CHANGES, KINDS

BLOCKS, DEFAULT, LAYERS, NEW_TOKENS = 4, 3, (1, 3, 4), 6


@pytest.fixture(scope="module")
def family(tmp_path_factory):
    folder = smallmodels.save_llava(tmp_path_factory.mktemp("llava"), vision_blocks=BLOCKS)
    return checkpoints.load_model(folder, models.settings(BLOCKS))


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Four pairs of a hazard and its twin, all with the same words, and a prompt without an image."""
    tasks = models.tasks(tmp_path_factory.mktemp("prompts"), 8, LAYERS)
    found = [
        (replace(t.prompt, text="w1 w2", cluster=f"c{i // 2}", kind=("harmful", "benign")[i % 2]), t.image)
        for i, t in enumerate(tasks)
    ]
    return [*found, (replace(found[0][0], id="text", image=None, image_sha256=None), None)]


@pytest.fixture(scope="module")
def looked(family, asked):
    """The features of each image at each exit layer, by its checksum."""
    seen = [(prompt.image_sha256, image) for prompt, image in asked if image]
    with torch.no_grad():
        by_layer = family.features([family.preprocess(engine.read_image(path, sha)) for sha, path in seen], LAYERS)
    return {sha: {layer: by_layer[layer][i] for layer in LAYERS} for i, (sha, _) in enumerate(seen)}


def make(change, **more):
    return variants.variant({"change": change, **more}, DEFAULT)


def changed(variant, asked, looked, number=0):
    """A prompt's own features, its changed ones, and those of its donors."""
    prompt = asked[number][0]
    donors = variants.donors(variant, asked)[prompt.id]

    def look(shown):
        return [looked[sha] for sha, _ in shown]

    own = looked[prompt.image_sha256]
    return own, variants.varied(variant, LAYERS, own, donors, look), look(donors)


def test_every_change_has_a_name():
    assert len(CHANGES) == len(KINDS) and variants.variant(None, DEFAULT) is None


def test_norm_matched_features_have_the_default_layers_norm_and_their_own_direction(asked, looked):
    own, found, _ = changed(make("norm-matched"), asked, looked)
    wanted = own[DEFAULT].norm(dim=-1).mean()
    for layer in LAYERS:
        torch.testing.assert_close(found[layer].norm(dim=-1).mean(), wanted)
        cosine = torch.nn.functional.cosine_similarity(own[layer].flatten(), found[layer].flatten(), 0)
        torch.testing.assert_close(cosine, torch.tensor(1.0))
    assert (own[1].norm(dim=-1).mean() / wanted - 1).abs() > 0.01
    torch.testing.assert_close(found[DEFAULT], own[DEFAULT])


def test_shuffled_features_are_the_same_cells_in_one_other_order(asked, looked):
    orders = set()
    for number in (0, 3):
        own, found, _ = changed(make("shuffled"), asked, looked, number)
        for layer in LAYERS:
            distances = torch.cdist(found[layer], own[layer])
            torch.testing.assert_close(distances.min(1).values, torch.zeros(len(distances)), atol=1e-4, rtol=0)
            orders.add(tuple(distances.argmin(1).tolist()))
    (order,) = orders
    assert sorted(order) == list(range(len(order))) != list(order)


def test_another_image_is_of_another_cluster_and_each_lends_to_about_one(asked, looked):
    lent = variants.donors(make("other-image"), asked)
    by_image = {prompt.image_sha256: prompt for prompt, image in asked if image}
    for prompt, image in asked:
        if image is None:
            assert prompt.id not in lent
            continue
        ((sha, _),) = lent[prompt.id]
        assert by_image[sha].cluster != prompt.cluster
    assert len({shown for shown in lent.values()}) > 4
    _, found, (donor,) = changed(make("other-image"), asked, looked)
    assert all(torch.equal(found[layer], donor[layer]) for layer in LAYERS)


def test_the_mean_is_over_all_images_of_the_data_set_each_once(asked, looked):
    again = replace(asked[2][0], id="again")
    elsewhere = replace(asked[3][0], id="elsewhere", dataset="other")
    _, found, donors = changed(make("mean"), [*asked, (again, asked[2][1]), (elsewhere, asked[3][1])], looked)
    assert len(donors) == 8
    for layer in LAYERS:
        torch.testing.assert_close(found[layer], torch.stack([one[layer] for one in looked.values()]).mean(0))


def test_the_mean_of_a_data_set_is_computed_once(family, asked):
    variant, two = make("mean"), [*asked, *((replace(p, id=f"{p.id}x", dataset="other"), image) for p, image in asked)]
    made = []
    variant._mean = lambda *given: made.append(1) or variants.Mean._mean(variant, *given)
    answers(family, two, variant)
    assert len(made) == 1, "both data sets have the same images"
    answers(family, [(replace(p, dataset="third"), image) for p, image in asked[:3]], variant)
    assert len(made) == 2


@pytest.mark.parametrize(("donor", "lender"), [("same", 0), ("twin", 1), ("hazard", None)])
def test_an_interchange_takes_named_cells_from_the_default_layer_of_the_donor(asked, looked, donor, lender):
    own, found, (lent,) = changed(make("interchange", cells=[0, 5], donor=donor), asked, looked)
    for layer in LAYERS:
        rest = [cell for cell in range(len(own[layer])) if cell not in (0, 5)]
        assert torch.equal(found[layer][rest], own[layer][rest])
        assert torch.equal(found[layer][[0, 5]], lent[DEFAULT][[0, 5]])
    if lender is None:
        hazards = {prompt.image_sha256 for prompt, _ in asked[2:8:2]}
        assert any(lent is looked[sha] for sha in hazards)
    else:
        assert lent is looked[asked[lender][0].image_sha256]
    assert torch.equal(found[DEFAULT], own[DEFAULT]) == (donor == "same")


def test_a_prompt_without_a_twin_keeps_its_own_cells(asked):
    alone = [(replace(prompt, cluster=prompt.id, kind="vqa"), image) for prompt, image in asked if image]
    for donor in ("twin", "hazard"):
        lent = variants.donors(make("interchange", cells=[0], donor=donor), alone)
        assert all(shown == ((prompt.image_sha256, image),) for prompt, image in alone for shown in [lent[prompt.id]])


@pytest.mark.parametrize(
    ("variant", "words"),
    [
        (make("interchange", cells=[99], donor="same"), "cell 99.*cells 0 to"),
        (make("other-image"), "'features'.*cells.*one size"),
    ],
)
def test_cells_that_are_not_there_are_named(asked, looked, variant, words):
    cut = dict(looked)
    cut[asked[0][0].image_sha256] = {layer: one[:-1] for layer, one in looked[asked[0][0].image_sha256].items()}
    with pytest.raises(InputError, match=words):
        changed(variant, asked, cut)


def test_a_cell_that_is_not_there_is_one_error_before_anything_is_said(family):
    for change in ("norm-matched", "shuffled", "blank", "other-image", "mean"):
        variants.attempt(make(change), family)
    variants.attempt(make("interchange", cells=[24], donor="twin"), family)
    with pytest.raises(InputError, match="'features.cells'.*cell 25.*0 to 24"):
        variants.attempt(make("interchange", cells=[0, 25], donor="twin"), family)


def answers(family, asked, variant, some=None):
    lent = variants.donors(variant, asked)
    tasks = [engine.Task(prompt, LAYERS, image, lent.get(prompt.id, ())) for prompt, image in asked]
    chosen = tasks if some is None else [tasks[number] for number in some]
    done = engine.generate(family, chosen, NEW_TOKENS, 8, variant=variant)
    return {(answer.prompt_id, answer.layer): answer.text for batch in done for answer in batch}


def test_what_is_said_of_another_image_is_what_is_said_when_it_is_shown(family, asked):
    own = answers(family, asked, None)
    by_image = {prompt.image_sha256: prompt.id for prompt, image in asked if image}
    variant = make("other-image")
    lent, found = variants.donors(variant, asked), answers(family, asked, variant)
    for id, ((sha, _),) in lent.items():
        assert all(found[id, layer] == own[by_image[sha], layer] for layer in LAYERS)
    assert all(found["text", layer] == own["text", layer] for layer in LAYERS)


def test_of_a_blank_image_the_same_is_said_whatever_it_replaces(family, asked):
    found, own = answers(family, asked, make("blank")), answers(family, asked, None)
    for layer in LAYERS:
        assert len({found[prompt.id, layer] for prompt, image in asked if image}) == 1
        assert len({own[prompt.id, layer] for prompt, image in asked if image}) > 4


@pytest.mark.parametrize("change", ["mean", "other-image", "norm-matched"])
def test_answers_depend_neither_on_the_subset_nor_on_its_order(family, asked, change):
    whole = answers(family, asked, make(change))
    some = random.Random(0).sample(range(len(asked)), 3)
    assert all(whole[row] == text for row, text in answers(family, asked, make(change), some).items())


def test_other_lenders_make_another_response():
    prompt, weights = models.Prompt("p", "d", "t", "i", "0" * 64, "harmful", "c"), "w"
    keys = {generation.key({}, weights, prompt, 1, lent) for lent in (None, "a", "b")}
    assert len(keys) == 3


def test_tokens_of_real_tiles_are_replaced_and_padding_stays():
    seen = Seen(torch.arange(12.0).view(6, 2), tiles=2, of=3)
    found = seen.with_tokens(-seen.tokens)
    assert torch.equal(found.tokens, -seen.tokens) and torch.equal(found.states[4:], seen.states[4:])
    own = {1: seen, DEFAULT: seen._replace(states=seen.states + 1)}
    swapped = variants.varied(
        make("interchange", cells=[0], donor="same"), [1], own, [()], lambda _: [variants.tokens_of(own)]
    )
    assert torch.equal(swapped[1].states[0], own[DEFAULT].states[0]) and torch.equal(
        swapped[1].states[1:], seen.states[1:]
    )
