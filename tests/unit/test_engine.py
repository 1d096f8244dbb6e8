"""The engine against stock transformers, and what it refuses to load."""

import random
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText, AutoProcessor

import models
import smallmodels
from layerwise.errors import InputError
from layerwise.models import checkpoints, engine

BLOCKS = 4
LAYERS = tuple(range(BLOCKS + 1))
NEW_TOKENS = 8
COUNT = 14


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return smallmodels.save_llava(tmp_path_factory.mktemp("llava"), vision_blocks=BLOCKS)


@pytest.fixture(scope="module")
def family(folder):
    return checkpoints.load_model(folder, models.settings(BLOCKS))


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    return models.tasks(tmp_path_factory.mktemp("prompts"), COUNT, LAYERS)


def answers(family, tasks, batch_size=8):
    return models.engine_answers(family, tasks, NEW_TOKENS, batch_size)


@pytest.fixture(scope="module")
def whole(family, tasks):
    return answers(family, tasks)


def test_answers_are_those_of_stock_transformers(folder, whole, tasks):
    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    processor = AutoProcessor.from_pretrained(folder, backend="pil")
    for task in tasks:
        for layer in LAYERS:
            stock = models.stock_answer(model, processor, task, NEW_TOKENS, vision_feature_layer=[layer])
            assert whole[task.prompt.id, layer].text == stock


def test_answers_depend_on_the_image_and_on_the_layer(family, tasks, whole):
    blank = [engine.Task(replace(task.prompt, image=None, image_sha256=None), LAYERS, None) for task in tasks]
    unseen = answers(family, blank)
    assert all(unseen[row].text != whole[row].text for row in whole)
    for task in tasks:
        assert len({whole[task.prompt.id, layer].text for layer in LAYERS}) >= len(LAYERS) - 1
        assert len({unseen[task.prompt.id, layer].text for layer in LAYERS}) == 1


def test_an_answer_ends_at_its_end_of_sequence(whole):
    reasons = [answer.finish_reason for answer in whole.values()]
    assert set(reasons) == {"stop", "length"}
    for answer in whole.values():
        assert (answer.num_tokens == NEW_TOKENS) == (answer.finish_reason == "length")
        assert "<eos>" not in answer.text


def test_a_batch_of_one_answers_like_a_batch_of_many(family, tasks, whole):
    assert answers(family, tasks[:6], batch_size=1) == {row: whole[row] for row in whole if row[0] <= "p0005"}
    assert answers(family, tasks[:6], batch_size=100) == answers(family, tasks[:6], batch_size=1)


@pytest.mark.parametrize("seed", range(4))
def test_answers_depend_neither_on_the_subset_nor_on_its_order(family, tasks, whole, seed):
    draw = random.Random(seed)
    some = [
        engine.Task(task.prompt, tuple(draw.sample(LAYERS, draw.randint(1, len(LAYERS)))), task.image)
        for task in draw.sample(tasks, draw.randint(1, len(tasks)))
    ]
    found = answers(family, some)
    assert set(found) == {(task.prompt.id, layer) for task in some for layer in task.layers}
    assert found == {row: whole[row] for row in found}


def test_batches_have_one_shape_and_one_token_length(family, tasks, monkeypatch):
    shapes = []
    stock = family.model.forward

    def spy(**inputs):
        if "inputs_embeds" in inputs:
            shapes.append(tuple(inputs["inputs_embeds"].shape[:2]))
            assert inputs["attention_mask"].shape == inputs["inputs_embeds"].shape[:2]
            assert inputs["attention_mask"].all()
        return stock(**inputs)

    monkeypatch.setattr(family.model, "forward", spy)
    answers(family, tasks, batch_size=8)
    lengths = {1 + 25 + words + 1 for words in (3, 5, 8)}
    assert set(shapes) == {(8, length) for length in lengths}
    # 14 prompts in lengths of 5, 5 and 4, at 5 layers: rows of several layers share a batch.
    assert len(shapes) == -(-5 * 5 // 8) + -(-5 * 5 // 8) + -(-4 * 5 // 8)


def test_each_image_is_preprocessed_and_encoded_once(family, tasks, monkeypatch):
    one = tasks[0].prompt.image_sha256
    shared = [engine.Task(replace(task.prompt, image_sha256=one), LAYERS, tasks[0].image) for task in tasks]
    counts = count_work(family, monkeypatch)
    answers(family, shared)
    assert counts == {"preprocess": 1, "features": 1}
    counts.update(preprocess=0, features=0)
    answers(family, tasks)
    assert counts == {"preprocess": len(tasks), "features": len(tasks)}


@pytest.mark.parametrize("limit", [1, 40_000, 200_000])
def test_short_memory_costs_time_and_changes_nothing(family, tasks, whole, monkeypatch, limit):
    monkeypatch.setattr(engine, "HELD_BYTES", limit)
    held = []
    add = engine._Held.add
    monkeypatch.setattr(
        engine._Held, "add", lambda self, *item: (add(self, *item), held.append((self.size, len(self))))
    )
    assert answers(family, tasks) == whole
    assert all(size <= limit or many == 1 for size, many in held)


def count_work(family, monkeypatch):
    """How many images are preprocessed and encoded from here on."""
    counts = {"preprocess": 0, "features": 0}
    preprocess, features = family.preprocess, family.features

    def counting_preprocess(image):
        counts["preprocess"] += image is not None
        return preprocess(image)

    def counting_features(images, layers):
        counts["features"] += len(images)
        return features(images, layers)

    monkeypatch.setattr(family, "preprocess", counting_preprocess)
    monkeypatch.setattr(family, "features", counting_features)
    return counts


# Loading


def test_images_are_preprocessed_by_the_backend_that_every_machine_has(family):
    assert type(family.processor.image_processor).__name__ == "CLIPImageProcessorPil"


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "processor_config.json"])
def test_a_missing_file_of_a_checkpoint_is_named(folder, tmp_path, name):
    shutil.copytree(folder, tmp_path / "model")
    (tmp_path / "model" / name).unlink()
    with pytest.raises(InputError, match=f"{tmp_path}/model lacks {name}"):
        checkpoints.load_model(tmp_path / "model", models.settings(BLOCKS))


def test_a_missing_shard_of_a_checkpoint_is_named(folder, tmp_path):
    AutoModelForImageTextToText.from_pretrained(folder).save_pretrained(tmp_path, max_shard_size="50KB")
    for name in ("processor_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(folder / name, tmp_path)
    checkpoints.load_model(tmp_path, models.settings(BLOCKS))
    shard = sorted(tmp_path.glob("model-*.safetensors"))[1]
    shard.unlink()
    with pytest.raises(InputError, match=f"lacks {shard.name}"):
        checkpoints.load_model(tmp_path, models.settings(BLOCKS))


def test_weights_that_are_missing_or_damaged_are_never_made_up(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "model")
    path = tmp_path / "model" / "model.safetensors"
    weights = load_file(path)
    del weights["multi_modal_projector.linear_2.weight"]
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(InputError, match="multi_modal_projector.linear_2.weight"):
        checkpoints.load_model(tmp_path / "model", models.settings(BLOCKS))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match="cannot be loaded"):
        checkpoints.load_model(tmp_path / "model", models.settings(BLOCKS))


@pytest.mark.parametrize(("key", "says", "has"), [("blocks", 5, 4), ("default_layer", 2, 3)])
def test_settings_that_differ_from_the_checkpoint_are_named(folder, key, says, has):
    with pytest.raises(InputError, match=f"key '{key}' of the model's YAML says {says}, but .* has {has}"):
        checkpoints.load_model(folder, {**models.settings(BLOCKS), key: says})


def test_half_precision_and_a_device_map(folder, tasks):
    family = checkpoints.load_model(
        folder, models.settings(BLOCKS, dtype="bfloat16", attention="eager"), device_map="cpu"
    )
    assert family.model.dtype == torch.bfloat16
    whole = answers(family, tasks)
    some = [engine.Task(task.prompt, (1, 3), task.image) for task in reversed(tasks[5:9])]
    assert answers(family, some) == {row: whole[row] for row in answers(family, some)}
