"""The files that `generate.py` leaves, come what may."""

import hashlib
import json
import random
import shutil
from dataclasses import replace

import pytest
from transformers import LlavaForConditionalGeneration

import generate
import models
import smallmodels
from layerwise import assets
from layerwise.errors import InputError
from layerwise.files import digest
from layerwise.models import checkpoints, engine, generation
from layerwise.records import Response, read, write

BLOCKS = 4
LAYERS = tuple(range(BLOCKS + 1))
NEW_TOKENS = 8
COUNT = 14


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return smallmodels.save_llava(tmp_path_factory.mktemp("llava"), vision_blocks=BLOCKS)


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    return models.tasks(tmp_path_factory.mktemp("prompts"), COUNT, LAYERS)


@pytest.fixture(scope="module")
def whole(folder, tasks):
    return models.engine_answers(checkpoints.load_model(folder, models.settings(BLOCKS)), tasks, NEW_TOKENS)


class Cells:
    """A folder to run `generate.py` in."""

    def __init__(self, root, model, tasks):
        self.root = root
        self.weights = root / "model" / "model.safetensors"
        shutil.copytree(model, root / "model")
        self.spec = {
            "subject": "small.narrow-default.s0",
            "model": models.settings(BLOCKS),
            "decoding": {"max_new_tokens": NEW_TOKENS, "batch_size": 8, "cache": "dynamic"},
            "only": {},
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
            assert (row.subject, row.layer) == ("small.narrow-default.s0", layer)
    assert sorted(path.name for path in cells.output(0).parent.iterdir()) == [
        f"layer-{layer:02}.jsonl" for layer in LAYERS
    ]


@pytest.mark.parametrize(("seed", "cache"), [(0, "dynamic"), (1, "dynamic"), (2, "static")])
def test_a_run_that_was_killed_and_resumed_leaves_the_bytes_of_one_that_was_not(cells, monkeypatch, seed, cache):
    cells.spec["decoding"]["cache"] = cache
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
        lambda f, tasks, **rest: (computed.extend(sum((task.layers for task in tasks), ())), real(f, tasks, **rest))[1],
    )
    assert cells.run() == whole
    assert len(computed) == COUNT * len(LAYERS) - kept + 1
    assert not list(cells.output(0).parent.glob("*.partial"))


def test_layers_may_be_grouped_in_any_way(cells):
    together = cells.run()
    shutil.rmtree(cells.output(0).parent)
    assert {**cells.run((4, 1)), **cells.run((0,)), **cells.run((2, 3))} == together


def test_a_data_set_may_be_asked_at_some_layers_alone_and_then_at_all(cells, tasks):
    (dataset,), (first, *others) = {task.prompt.dataset for task in tasks}, LAYERS
    whole = cells.run()
    for layer in LAYERS:
        cells.output(layer).unlink()
    cells.spec["only"] = {dataset: [first]}
    cells.run()
    assert cells.output(first).read_bytes() == whole[first] and not any(cells.rows(layer) for layer in others)
    cells.spec["only"] = {}
    assert cells.run() == whole


def test_nothing_is_loaded_when_all_is_there(cells, monkeypatch):
    whole = cells.run()
    monkeypatch.setattr(checkpoints, "load_model", lambda *_: pytest.fail("the model was loaded"))
    assert cells.run() == whole


def test_a_new_prompt_costs_its_own_rows_alone(cells, tasks, monkeypatch):
    write(cells.prompts, [task.prompt for task in tasks[:-1]])
    cells.run()
    before = cells.rows(2)
    write(cells.prompts, [task.prompt for task in tasks])
    real, computed = engine.generate, []
    monkeypatch.setattr(engine, "generate", lambda f, t, **rest: (computed.extend(t), real(f, t, **rest))[1])
    cells.run()
    assert [task.prompt.id for task in computed] == [tasks[-1].prompt.id]
    assert {**cells.rows(2), **before} == cells.rows(2) and len(cells.rows(2)) == len(before) + 1


def test_the_key_is_that_of_all_that_decides_the_row_and_of_nothing_else(cells, tasks):
    spec, prompt = cells.spec, tasks[0].prompt
    weights = checkpoints.checkpoint_digest(cells.weights.parent)
    key = generation.key(spec, weights, prompt, 1)
    cells.run((1,))
    assert cells.rows(1)[prompt.id].key == key
    others = [
        generation.key({**spec, "code": "other"}, weights, prompt, 1),
        generation.key({**spec, "decoding": {**spec["decoding"], "batch_size": 4}}, weights, prompt, 1),
        generation.key(spec, "other", prompt, 1),
        generation.key(spec, weights, replace(prompt, text="w1"), 1),
        generation.key(spec, weights, replace(prompt, image_sha256="0" * 64), 1),
        generation.key(spec, weights, prompt, 2),
    ]
    assert len({key, *others}) == len(others) + 1
    assert generation.key(spec, weights, replace(prompt, cluster="other", target=None, attributes={"a": "b"}), 1) == key


@pytest.mark.parametrize("name", ["model.safetensors", "chat_template.jinja", "processor_config.json"])
def test_a_changed_checkpoint_changes_every_key(cells, name):
    before = checkpoints.checkpoint_digest(cells.weights.parent)
    (cells.weights.parent / "notes.md").write_text("of no weight")
    assert checkpoints.checkpoint_digest(cells.weights.parent) == before
    path = cells.weights.parent / name
    path.write_bytes(path.read_bytes() + b" ")
    assert checkpoints.checkpoint_digest(cells.weights.parent) != before


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
        assert str(cut) in status["error"] or str(swapped) in status["error"]
    assert cells.rows(3) == {id: row for id, row in good.items() if id in cells.rows(3)}

    models.save_picture(cut, models.picture(4))
    models.save_picture(swapped, models.picture(7))
    assert cells.run() == whole
    assert not cells.status(0).exists()


def test_a_batch_that_fails_leaves_its_layers_a_status_and_the_others_whole(cells, monkeypatch, capfd):
    whole = cells.run()
    shutil.rmtree(cells.output(0).parent)
    real, calls = LlavaForConditionalGeneration.forward, []

    def failing(self, **inputs):
        calls.append(inputs)
        if len(calls) == 20:
            raise RuntimeError("out of luck")
        return real(self, **inputs)

    monkeypatch.setattr(LlavaForConditionalGeneration, "forward", failing)
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
    calls[:] = [None] * 20
    assert cells.run() == whole
    assert not any(cells.status(layer).exists() for layer in LAYERS)


def test_a_model_that_cannot_start_fails_all_its_cells_and_ends_well(cells, monkeypatch):
    cells.run((0,))
    kept = cells.rows(0)
    write(cells.prompts, [*read(cells.prompts, engine.Prompt), engine.Prompt("p9", "d", "w1", None, None, "vqa", "c")])
    error = MemoryError("no room on the device")
    monkeypatch.setattr(checkpoints, "load_model", lambda *_: (_ for _ in ()).throw(error))
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
    with pytest.raises(InputError, match=f"duplicate prompt id '{tasks[0].prompt.id}'"):
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
    assert row.key == generation.key(cells.spec, by_receipt, prompt, 1)
