"""Llama 3.2 Vision exits against Meta's vision encoder, written out here from its definition.

The reference is `VisionEncoder.forward` and `ImageTransformer.forward` of meta-llama/llama-models
(models/llama3/multimodal): a block's input is what an intermediate tap reads.
"""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional
from transformers import AutoModelForImageTextToText

import models
import smallmodels
from layerwise import plugins
from layerwise.models import checkpoints, engine

BLOCKS = 6
LAYERS = range(BLOCKS + 1)
SIZES = ((16, 16), (30, 14), (40, 40), (16, 70), (45, 16))  # of 1, 2, 4, 4 and 3 tiles


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return smallmodels.save_mllama(tmp_path_factory.mktemp("mllama"))


@pytest.fixture(scope="module")
def family(folder):
    return checkpoints.load_model(folder, models.settings(BLOCKS, "mllama", default_layer=BLOCKS))


@pytest.fixture(scope="module")
def untouched(folder):
    return AutoModelForImageTextToText.from_pretrained(folder).eval()


@pytest.fixture(scope="module")
def images(family):
    return [family.preprocess(models.picture(number, size)) for number, size in enumerate(SIZES)]


def linear(x, layer):
    bias = layer.bias if layer.bias is not None else 0
    return x @ layer.weight.T + bias


def norm(x, layer):
    return functional.layer_norm(x, x.shape[-1:], layer.weight, layer.bias, layer.eps)


def block_of(x, block, mask, heads):
    """One transformer block on (tokens, width), attention by hand."""
    y = norm(x, block.input_layernorm)
    q, k, v = (
        linear(y, project).unflatten(-1, (heads, -1)).transpose(0, 1)
        for project in (block.self_attn.q_proj, block.self_attn.k_proj, block.self_attn.v_proj)
    )
    weights = (q @ k.transpose(1, 2) / math.sqrt(q.shape[-1]) + mask).softmax(-1)
    attended = linear((weights @ v).transpose(0, 1).flatten(1), block.self_attn.o_proj)
    x = x + attended * (block.gate_attn.tanh() if block.is_gated else 1)
    y = linear(functional.gelu(linear(norm(x, block.post_attention_layernorm), block.mlp.fc1)), block.mlp.fc2)
    return x + y * (block.gate_ffn.tanh() if block.is_gated else 1)


def reference(model, image, layer, variant="clamp", tap_before=True):
    """What the projector is given, (tiles, tokens, width), of an image whose local blocks after `layer` are skipped."""
    vision = model.model.vision_model
    width, patch, heads = vision.hidden_size, vision.patch_size, vision.config.attention_heads
    pixels, ratio = image["pixel_values"][0, 0], image["aspect_ratio_ids"][0, 0]
    real = image["aspect_ratio_mask"][0, 0].bool()
    tiles = len(pixels)

    x = functional.unfold(pixels, patch, stride=patch).transpose(1, 2) @ vision.patch_embedding.weight.flatten(1).T
    before, after = vision.pre_tile_positional_embedding, vision.post_tile_positional_embedding
    x = x + before.gate.tanh() * before.embedding.weight[ratio].view(tiles, 1, width)
    x = torch.cat([vision.class_embedding.expand(tiles, 1, width), x], 1)
    tokens = x.shape[1]
    place = vision.gated_positional_embedding
    x = x + (1 - place.gate.tanh()) * place.embedding
    x = x + place.gate.tanh() * place.tile_embedding.weight[ratio].view(tiles, tokens, width)
    x = norm(x, vision.layernorm_pre)

    length = -(-tokens // 8) * 8
    x = torch.cat([x, torch.zeros(tiles, length - tokens, width)], 1).flatten(0, 1)
    absent = torch.ones(tiles, length)
    absent[real, :tokens] = 0
    mask = absent.flatten()[:, None] * absent.flatten()[None] * torch.finfo(x.dtype).min

    taps, exited = [], x
    for number, block in enumerate(vision.transformer.layers):
        if tap_before and number in vision.intermediate_layers_indices:
            taps.append(exited if variant == "clamp" else x)
        x = block_of(x, block, mask, heads)
        exited = x if number < layer else exited
        if not tap_before and number in vision.intermediate_layers_indices:
            taps.append(exited if variant == "clamp" else x)
    x = norm(exited, vision.layernorm_post).view(tiles, length, width)
    x = (x + after.gate.tanh() * after.embedding.weight[ratio].view(tiles, 1, width)).flatten(0, 1)
    for block in vision.global_transformer.layers:
        x = block_of(x, block, mask, heads)
    x = torch.cat([x, torch.stack(taps, -1).flatten(1)], -1)
    return x.view(tiles, length, -1)[:, :tokens]


@pytest.mark.parametrize("variant", ["clamp", "keep"])
def test_features_at_every_exit_are_those_of_the_reference(untouched, family, images, variant):
    family = plugins.find("models.families", "mllama").Family(family.model, family.processor, variant)
    with torch.inference_mode():
        features = family.features(images, LAYERS)
        for layer in LAYERS:
            for image, seen in zip(images, features[layer], strict=True):
                expected = linear(reference(untouched, image, layer, variant), untouched.model.multi_modal_projector)
                torch.testing.assert_close(seen.states, expected.flatten(0, 1), rtol=1e-3, atol=1e-4)
                assert seen.tiles == image["aspect_ratio_mask"].sum()


def test_images_of_one_and_of_several_tiles_are_among_them(images):
    assert {int(image["aspect_ratio_mask"].sum()) for image in images} == {1, 2, 3, 4}


def test_variants_differ_until_the_last_tap_is_passed(family, images):
    clamp, keep = (
        plugins.find("models.families", "mllama")
        .Family(family.model, family.processor, variant)
        .features(images, LAYERS)
        for variant in (None, "keep")
    )
    last = max(family.taps)
    for layer in LAYERS:
        assert torch.equal(clamp[layer][0].states, keep[layer][0].states) == (layer >= last)


def test_stock_transformers_reads_its_taps_one_block_late(untouched, images):
    """If this fails, transformers has mended it, and the vision forward of our own may go."""
    with torch.inference_mode():
        for image in images:
            stock = untouched.model.vision_model(**image).last_hidden_state[0, 0]
            late, right = (reference(untouched, image, BLOCKS, tap_before=before) for before in (False, True))
            torch.testing.assert_close(stock, late, rtol=1e-3, atol=1e-4)
            assert torch.allclose(stock[..., :32], right[..., :32], rtol=1e-3, atol=1e-4)
            assert not torch.allclose(stock[..., 32:], right[..., 32:], rtol=1e-1, atol=1e-1)


def test_answers_at_every_exit_are_those_of_stock_transformers_with_its_taps_mended(family, untouched, tmp_path):
    tasks = models.tasks(tmp_path, 10, LAYERS, sizes=SIZES)
    answers = models.engine_answers(family, tasks, 5)
    vision = untouched.model.vision_model
    late = vision.intermediate_layers_indices
    vision.intermediate_layers_indices = [tap - 1 for tap in late]
    try:
        for layer in LAYERS:
            with models.identity_from(vision.transformer.layers, layer):
                for task in tasks:
                    stock = models.stock_answer(untouched, family.processor, task, 5)
                    assert answers[task.prompt.id, layer].text == stock
    finally:
        vision.intermediate_layers_indices = late
    models.check_layers_matter(answers)


def test_answers_depend_on_the_image_at_every_exit(family, tmp_path):
    models.check_images_matter(family, tmp_path, LAYERS)


def test_answers_without_an_image_are_those_of_stock_transformers(family, untouched, tmp_path):
    tasks = [
        engine.Task(replace(task.prompt, image=None, image_sha256=None), (0, 3), None)
        for task in models.tasks(tmp_path, 4, (0,))
    ]
    answers = models.engine_answers(family, tasks, 5)
    for task in tasks:
        tokens = torch.tensor([family.encode(task.prompt.text, {})])
        stock = untouched.generate(input_ids=tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=5)
        text = family.processor.tokenizer.decode(stock[0, tokens.shape[1] :], skip_special_tokens=True)
        assert {answers[task.prompt.id, layer].text for layer in (0, 3)} == {text.strip()}


def test_a_prompt_does_not_tell_the_day_it_was_run_on(family):
    chat = [{"role": "user", "content": [{"type": "text", "text": "w1 ?"}]}]
    assert "today" in family.processor.apply_chat_template(chat)
    unknown = family.processor.tokenizer.unk_token_id
    assert unknown not in family.encode("w1 ?", {})


def test_features_depend_neither_on_the_other_images_nor_on_the_other_layers(family, images):
    with torch.inference_mode():
        whole, some = family.features(images, LAYERS), family.features(images[2:0:-1], [4, 1])
    for layer in (1, 4):
        assert torch.equal(some[layer][0].states, whole[layer][2].states)
        assert torch.equal(some[layer][1].states, whole[layer][1].states)


def test_each_block_runs_once_and_none_beyond_the_last_layer(family, images):
    local = family.vision.transformer.layers
    assert models.runs_of_blocks(family, local, images[:2], [2, 0, 4]) == [1, 2, 3, 4]
    assert models.runs_of_blocks(family, local, images[:2], [0]) == []
    keep = plugins.find("models.families", "mllama").Family(family.model, family.processor, "keep")
    assert models.runs_of_blocks(keep, local, images[:2], [0]) == list(range(1, max(family.taps) + 1))


def test_the_mask_of_tiles_is_that_of_the_processor(family):
    image = models.picture(1, SIZES[1])
    chat = [
        {"role": "user", "content": [{"type": "text", "text": "w1"}, {"type": "image"}, {"type": "text", "text": "w2"}]}
    ]
    rendered = family.processor.apply_chat_template(chat, add_generation_prompt=True, date_string="")
    stock = family.processor(images=image, text=rendered, add_special_tokens=False, return_tensors="pt")
    seen = family.features([family.preprocess(image)], [3])[3]
    given = family.generation_inputs(stock.input_ids, torch.ones_like(stock.input_ids), seen)
    assert torch.equal(given["cross_attention_mask"], stock.cross_attention_mask)
    assert 0 < given["cross_attention_mask"].float().mean() < 1


@pytest.mark.parametrize("name", models.odd_pictures())
def test_odd_images_are_taken_for_what_they_show(family, name):
    models.check_odd_picture(family, name)


def test_an_unknown_variant_is_answered_with_those_there_are(family):
    with pytest.raises(AssertionError, match="no variant 'cut'"):
        plugins.find("models.families", "mllama").Family(family.model, family.processor, "cut")
