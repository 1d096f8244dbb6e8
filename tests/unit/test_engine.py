"""The engine against stock transformers, and the files that `generate.py` leaves, come what may."""

import hashlib
import json
import random
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText, AutoProcessor, LlavaForConditionalGeneration

import generate
import models
from layerwise import assets, engine
from layerwise.records import InputError, Response, digest, read, write

BLOCKS = 4
LAYERS = tuple(range(BLOCKS + 1))
NEW_TOKENS = 8
COUNT = 14


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return models.save_llava(tmp_path_factory.mktemp("llava"), vision_blocks=BLOCKS)


@pytest.fixture(scope="module")
def family(folder):
    return engine.load(folder, models.settings(BLOCKS))


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
    stock = family.model.generate

    def spy(**inputs):
        shapes.append(tuple(inputs["inputs_embeds"].shape[:2]))
        assert inputs["attention_mask"].shape == inputs["inputs_embeds"].shape[:2]
        assert inputs["attention_mask"].all()
        return stock(**inputs)

    monkeypatch.setattr(family.model, "generate", spy)
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


def test_sampling_settings_of_the_checkpoint_are_cleared(folder, tmp_path, tasks, whole, capfd):
    shutil.copytree(folder, tmp_path / "model")
    path = tmp_path / "model" / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "do_sample": True, "temperature": 0.9, "top_p": 0.6}))
    sampling = engine.load(tmp_path / "model", models.settings(BLOCKS))
    capfd.readouterr()
    assert answers(sampling, tasks) == whole
    assert "temperature" not in capfd.readouterr().err


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "processor_config.json"])
def test_a_missing_file_of_a_checkpoint_is_named(folder, tmp_path, name):
    shutil.copytree(folder, tmp_path / "model")
    (tmp_path / "model" / name).unlink()
    with pytest.raises(InputError, match=f"{tmp_path}/model lacks {name}"):
        engine.load(tmp_path / "model", models.settings(BLOCKS))


def test_a_missing_shard_of_a_checkpoint_is_named(folder, tmp_path):
    AutoModelForImageTextToText.from_pretrained(folder).save_pretrained(tmp_path, max_shard_size="50KB")
    for name in ("processor_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(folder / name, tmp_path)
    engine.load(tmp_path, models.settings(BLOCKS))
    shard = sorted(tmp_path.glob("model-*.safetensors"))[1]
    shard.unlink()
    with pytest.raises(InputError, match=f"lacks {shard.name}"):
        engine.load(tmp_path, models.settings(BLOCKS))


def test_weights_that_are_missing_or_damaged_are_never_made_up(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "model")
    path = tmp_path / "model" / "model.safetensors"
    weights = load_file(path)
    del weights["multi_modal_projector.linear_2.weight"]
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(InputError, match="multi_modal_projector.linear_2.weight"):
        engine.load(tmp_path / "model", models.settings(BLOCKS))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match="cannot be loaded"):
        engine.load(tmp_path / "model", models.settings(BLOCKS))


@pytest.mark.parametrize(("key", "says", "has"), [("blocks", 5, 4), ("default_layer", 2, 3)])
def test_settings_that_differ_from_the_checkpoint_are_named(folder, key, says, has):
    with pytest.raises(InputError, match=f"key '{key}' of the model's YAML says {says}, but .* has {has}"):
        engine.load(folder, {**models.settings(BLOCKS), key: says})


def test_half_precision_and_a_device_map(folder, tasks):
    family = engine.load(folder, models.settings(BLOCKS, dtype="bfloat16", attention="eager"), device_map="cpu")
    assert family.model.dtype == torch.bfloat16
    whole = answers(family, tasks)
    some = [engine.Task(task.prompt, (1, 3), task.image) for task in reversed(tasks[5:9])]
    assert answers(family, some) == {row: whole[row] for row in answers(family, some)}


# The script


class Cells:
    """A folder to run `generate.py` in."""

    def __init__(self, root, model, tasks):
        self.root = root
        self.weights = root / "model" / "model.safetensors"
        shutil.copytree(model, root / "model")
        self.spec = {
            "subject": "small.default.s0",
            "model": models.settings(BLOCKS),
            "decoding": {"max_new_tokens": NEW_TOKENS, "batch_size": 8},
        }
        self.prompts = root / "prompts" / "pictures.jsonl"
        write(self.prompts, [task.prompt for task in tasks])
        shutil.copytree(tasks[0].image.parent, root / "prompts" / "images")

    def output(self, layer):
        return self.root / "responses" / f"layer-{layer:02}.jsonl"

    def status(self, layer):
        return self.root / "responses" / f"layer-{layer:02}.status.json"

    def run(self, layers=LAYERS):
        arguments = ["--weights", self.weights, "--prompts", self.prompts, "--log", "run.log"]
        arguments += ["--output", *(self.output(layer) for layer in layers)]
        generate.main(["--spec", json.dumps(self.spec), *map(str, arguments)])
        return {layer: self.output(layer).read_bytes() for layer in layers}

    def rows(self, layer):
        return {row.prompt_id: row for row in read(self.output(layer), Response)}


@pytest.fixture
def cells(tmp_path, folder, tasks):
    return Cells(tmp_path, folder, tasks)


def test_a_file_a_layer_sorted_by_prompt(cells, whole, tasks):
    cells.run()
    for layer in LAYERS:
        rows = read(cells.output(layer), Response)
        assert [row.prompt_id for row in rows] == sorted(task.prompt.id for task in tasks)
        for row in rows:
            said = whole[row.prompt_id, layer]
            assert (row.text, row.num_tokens, row.finish_reason) == (said.text, said.num_tokens, said.finish_reason)
            assert (row.model, row.layer) == ("small.default.s0", layer)
    assert sorted(path.name for path in cells.output(0).parent.iterdir()) == [
        f"layer-{layer:02}.jsonl" for layer in LAYERS
    ]


@pytest.mark.parametrize("seed", range(3))
def test_a_run_that_was_killed_and_resumed_leaves_the_bytes_of_one_that_was_not(cells, monkeypatch, seed):
    whole = cells.run()
    shutil.rmtree(cells.output(0).parent)

    real, stop = engine.generate, random.Random(seed).randint(1, 9)

    def killed(*arguments, **more):
        for number, batch in enumerate(real(*arguments, **more), 1):
            yield batch
            if number == stop:
                raise KeyboardInterrupt

    monkeypatch.setattr(engine, "generate", killed)
    with pytest.raises(KeyboardInterrupt):
        cells.run()
    assert not cells.output(0).exists()
    partial = sorted(cells.output(0).parent.glob("*.partial"))
    kept = sum(len(path.read_text().splitlines()) for path in partial)
    assert kept > 0
    largest = max(partial, key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-20])  # a torn last line

    computed = []
    monkeypatch.setattr(
        engine,
        "generate",
        lambda f, tasks, *rest: (computed.extend(sum((task.layers for task in tasks), ())), real(f, tasks, *rest))[1],
    )
    assert cells.run() == whole
    assert len(computed) == COUNT * len(LAYERS) - kept + 1
    assert not list(cells.output(0).parent.glob("*.partial"))


def test_layers_may_be_grouped_in_any_way(cells):
    together = cells.run()
    shutil.rmtree(cells.output(0).parent)
    assert {**cells.run((4, 1)), **cells.run((0,)), **cells.run((2, 3))} == together


def test_nothing_is_loaded_when_all_is_there(cells, monkeypatch):
    whole = cells.run()
    monkeypatch.setattr(engine, "load", lambda *_: pytest.fail("the model was loaded"))
    assert cells.run() == whole


def test_a_new_prompt_costs_its_own_rows_alone(cells, tasks, monkeypatch):
    write(cells.prompts, [task.prompt for task in tasks[:-1]])
    cells.run()
    before = cells.rows(2)
    write(cells.prompts, [task.prompt for task in tasks])
    real, computed = engine.generate, []
    monkeypatch.setattr(engine, "generate", lambda f, t, *rest: (computed.extend(t), real(f, t, *rest))[1])
    cells.run()
    assert [task.prompt.id for task in computed] == [tasks[-1].prompt.id]
    assert {**cells.rows(2), **before} == cells.rows(2) and len(cells.rows(2)) == len(before) + 1


def test_the_key_is_that_of_all_that_decides_the_row_and_of_nothing_else(cells, tasks, family):
    spec, prompt = cells.spec, tasks[0].prompt
    weights = engine.checkpoint_digest(cells.weights.parent)
    key = generate.key(spec, weights, prompt, 1)
    cells.run((1,))
    assert cells.rows(1)[prompt.id].key == key
    others = [
        generate.key({**spec, "code": "other"}, weights, prompt, 1),
        generate.key({**spec, "decoding": {**spec["decoding"], "batch_size": 4}}, weights, prompt, 1),
        generate.key(spec, "other", prompt, 1),
        generate.key(spec, weights, replace(prompt, text="w1"), 1),
        generate.key(spec, weights, replace(prompt, image_sha256="0" * 64), 1),
        generate.key(spec, weights, prompt, 2),
    ]
    assert len({key, *others}) == len(others) + 1
    assert generate.key(spec, weights, replace(prompt, cluster="other", target=None), 1) == key


@pytest.mark.parametrize("name", ["model.safetensors", "chat_template.jinja", "processor_config.json"])
def test_a_changed_checkpoint_changes_every_key(cells, name):
    before = engine.checkpoint_digest(cells.weights.parent)
    (cells.weights.parent / "notes.md").write_text("of no weight")
    assert engine.checkpoint_digest(cells.weights.parent) == before
    path = cells.weights.parent / name
    path.write_bytes(path.read_bytes() + b" ")
    assert engine.checkpoint_digest(cells.weights.parent) != before


def test_a_corrupt_image_costs_its_own_rows_and_is_named(cells, tasks):
    whole = cells.run()
    good = cells.rows(3)
    shutil.rmtree(cells.output(0).parent)
    cut, swapped = (cells.root / "prompts" / tasks[number].prompt.image for number in (4, 7))
    cut.write_bytes(cut.read_bytes()[:60])
    models.save_picture(swapped, models.picture(999))
    cells.run()
    for layer in LAYERS:
        rows = cells.rows(layer)
        assert set(good) - set(rows) == {tasks[4].prompt.id, tasks[7].prompt.id}
        status = json.loads(cells.status(layer).read_text())
        assert status["state"] == "failed" and status["log"] == "run.log"
        assert "generate.py" in status["command"] and f"{cells.output(layer)}" in status["command"]
        assert str(cut) in status["error"] or str(swapped) in status["error"]
    assert cells.rows(3) == {id: row for id, row in good.items() if id in cells.rows(3)}

    models.save_picture(cut, models.picture(4))
    models.save_picture(swapped, models.picture(7))
    assert cells.run() == whole
    assert not cells.status(0).exists()


def test_a_batch_that_fails_leaves_its_layers_a_status_and_the_others_whole(cells, monkeypatch, capfd):
    whole = cells.run()
    shutil.rmtree(cells.output(0).parent)
    real, calls = LlavaForConditionalGeneration.generate, []

    def failing(self, **inputs):
        calls.append(inputs)
        if len(calls) == 3:
            raise RuntimeError("out of luck")
        return real(self, **inputs)

    monkeypatch.setattr(LlavaForConditionalGeneration, "generate", failing)
    cells.run()
    assert "Traceback" in (log := capfd.readouterr().err) and "out of luck" in log
    failed = [layer for layer in LAYERS if cells.status(layer).exists()]
    assert 0 < len(failed) < len(LAYERS)
    assert sum(COUNT - len(cells.rows(layer)) for layer in failed) == 8
    for layer in LAYERS:
        if layer in failed:
            assert "RuntimeError: out of luck" in json.loads(cells.status(layer).read_text())["error"]
        else:
            assert cells.output(layer).read_bytes() == whole[layer]
    calls[:] = [None] * 3
    assert cells.run() == whole
    assert not any(cells.status(layer).exists() for layer in LAYERS)


def test_a_model_that_cannot_start_fails_all_its_cells_and_ends_well(cells, monkeypatch):
    cells.run((0,))
    kept = cells.rows(0)
    write(cells.prompts, [*read(cells.prompts, engine.Prompt), engine.Prompt("p9", "d", "w1", None, None, "vqa", "c")])
    monkeypatch.setattr(engine, "load", lambda *_: (_ for _ in ()).throw(MemoryError("no room on the device")))
    cells.run()
    assert cells.rows(0) == kept and cells.rows(1) == {}
    assert "MemoryError: no room on the device" in json.loads(cells.status(0).read_text())["error"]


def test_mistakes_that_concern_the_whole_job_are_told_at_once(cells, tasks):
    (cells.weights.parent / "tokenizer.json").unlink()
    with pytest.raises(InputError, match="lacks tokenizer.json"):
        cells.run()
    cells.weights.unlink()
    with pytest.raises(InputError, match="lacks model.safetensors"):
        cells.run()
    write(cells.prompts, [tasks[0].prompt, tasks[0].prompt])
    with pytest.raises(InputError, match=f"'{tasks[0].prompt.id}' comes twice"):
        cells.run()
    with pytest.raises(InputError, match=f"an exit layer of this model, 0 to {BLOCKS}"):
        cells.run((1, BLOCKS + 1))


def test_weights_may_be_named_by_a_receipt(cells, tmp_path, monkeypatch):
    monkeypatch.setenv("LAYERWISE_CACHE", str(tmp_path / "cache"))
    shutil.copytree(cells.weights.parent, tmp_path / "cache" / "url" / "small")
    names = sorted(path.name for path in cells.weights.parent.iterdir())
    files = assets.cache.describe(cells.weights.parent, names)
    receipt = assets.Receipt("small", "url", {"member": "small/"}, None, None, "url/small", files, 1)
    cells.weights = tmp_path / "small.json"
    cells.weights.write_text(assets.dumps(receipt))
    cells.run((1,))
    by_receipt = digest({file.name: file.sha256 for file in files})
    assert hashlib.sha256((tmp_path / "model" / "config.json").read_bytes()).hexdigest() in {f.sha256 for f in files}
    row = next(iter(cells.rows(1).values()))
    prompt = next(p for p in read(cells.prompts, engine.Prompt) if p.id == row.prompt_id)
    assert row.key == generate.key(cells.spec, by_receipt, prompt, 1)
