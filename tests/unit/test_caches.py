"""Both kinds of cache: the same answers in every family, whatever stands beside a row."""

import copy
import random
from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import models
import smallmodels
from layerwise import plugins
from layerwise.errors import InputError
from layerwise.models import checkpoints, decoding, engine, slots

NEW_TOKENS = 12
SIZES = ((40, 40), (60, 30), (30, 90))


@pytest.fixture(scope="module", params=plugins.names("models.families"))
def family(request, tmp_path_factory):
    save, blocks, default_layer = smallmodels.FAMILIES[request.param]
    folder = save(tmp_path_factory.mktemp(request.param))
    return checkpoints.load_model(folder, models.settings(blocks, request.param, default_layer=default_layer))


@pytest.fixture(scope="module")
def llava(tmp_path_factory):
    folder = smallmodels.save_llava(tmp_path_factory.mktemp("llava"))
    return checkpoints.load_model(folder, models.settings(4))


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    """Prompts of three lengths, two of them without an image."""
    found = models.tasks(tmp_path_factory.mktemp("prompts"), 10, (0, 1, 3), sizes=SIZES)
    blank = [replace(task.prompt, id=f"{task.prompt.id}-blank", image=None, image_sha256=None) for task in found[:2]]
    return [*found, *(engine.Task(prompt, (0, 1, 3), None) for prompt in blank)]


def answers(family, tasks, cache, batch_size=9):
    return models.engine_answers(family, tasks, NEW_TOKENS, batch_size, cache=cache)


def test_a_static_cache_changes_no_text(family, tasks):
    """Fewer slots than rows: they are given to others again and again."""
    dynamic = answers(family, tasks, "dynamic")
    assert answers(family, tasks, "static") == dynamic
    models.check_layers_matter({row: said for row, said in dynamic.items() if "blank" not in row[0]})


@pytest.mark.parametrize("seed", range(3))
def test_half_precision_answers_depend_neither_on_neighbours_nor_on_order(llava, tasks, monkeypatch, seed):
    draw = random.Random(seed)
    monkeypatch.setattr(llava, "model", copy.deepcopy(llava.model).to(torch.bfloat16))
    whole = answers(llava, tasks, "static")
    some = [replace(task, layers=tuple(draw.sample((0, 1, 3), 2))) for task in draw.sample(tasks, 5)]
    # Slots are found in another order, so rows stand beside others, and in other places.
    monkeypatch.setattr(slots, "range", lambda *end: draw.sample(range(*end), len(range(*end))), raising=False)
    found = answers(llava, some, "static")
    assert found == {row: whole[row] for row in found}


def test_slots_are_refilled_as_soon_as_rows_have_ended(llava, tasks, monkeypatch):
    """So answers of 1 to 12 tokens take fewer steps than in batches, which wait for their longest answer."""
    going = []
    real = slots.Slots.step
    monkeypatch.setattr(decoding, "READ", 2)
    monkeypatch.setattr(slots.Slots, "step", lambda self: (going.append(len(self.going)), real(self))[1])
    found = answers(llava, tasks[:10], "static", batch_size=6)
    lengths = [said.num_tokens - (said.finish_reason == "length") for said in found.values()]
    assert sum(going) == sum(lengths) and max(going) == 6
    assert len(going) < sum(max(lengths[first : first + 6]) for first in range(0, len(lengths), 6))


def test_long_rows_have_fewer_slots_in_the_same_memory(llava, tmp_path, monkeypatch):
    made = []
    real = slots.Slots.__init__

    def noted(self, model, shape, count, like):
        made.append((shape[0], count))
        real(self, model, shape, count, like)

    monkeypatch.setattr(slots.Slots, "__init__", noted)
    monkeypatch.setattr(slots, "USUAL", 128)
    asked = models.tasks(tmp_path, 6, (1, 2), words=(3, 100))
    found = answers(llava, asked, "static", batch_size=5)
    assert made == [(128, 5), (256, 2)]
    assert found == answers(llava, asked, "dynamic")


class NothingOfTheHost(TorchDispatchMode):
    """Fails where a value of a tensor, or a shape that depends on one, is asked for: a CUDA graph cannot hold that."""

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        name = function.overloadpacket._qualified_op_name
        assert name not in ("aten::_local_scalar_dense", "aten::nonzero", "aten::is_nonzero", "aten::equal"), name
        return function(*arguments, **(named or {}))


def test_a_step_can_be_recorded(family, tasks, monkeypatch):
    """It asks nothing of the host, and its tensors stay where they are."""
    moved = []
    real = slots.Slots.advance

    def watched(self):
        kept = [self.tokens, self.places, self.positions, self.mask, *self.lasting.values()]
        kept += [part for layer in self.cache.layers if layer.is_initialized for part in (layer.keys, layer.values)]
        before = [tensor.data_ptr() for tensor in kept]
        with NothingOfTheHost():
            real(self)
        layers = [part for layer in self.cache.layers if layer.is_initialized for part in (layer.keys, layer.values)]
        now = [self.tokens, self.places, self.positions, self.mask, *self.lasting.values(), *layers]
        moved.append(before != [tensor.data_ptr() for tensor in now])

    monkeypatch.setattr(slots.Slots, "advance", watched)
    answers(family, tasks[:4], "static")
    assert moved and not any(moved)


def test_an_error_loses_only_the_rows_that_were_computed_together(llava, tasks, monkeypatch):
    whole = answers(llava, tasks, "static")
    real, calls = slots.Slots.advance, []

    def failing(self):
        calls.append(self)
        if len(calls) == 3:
            raise RuntimeError("out of memory")
        real(self)

    monkeypatch.setattr(slots.Slots, "advance", failing)
    found = [item for part in engine.generate(llava, tasks, NEW_TOKENS, 9, cache="static") for item in part]
    lost = [item for item in found if isinstance(item, engine.Failure)]
    assert 0 < len(lost) <= 9 and {item.error for item in lost} == {"RuntimeError: out of memory"}
    assert len(found) == len(whole)
    assert all(item == whole[item.prompt_id, item.layer] for item in found if item not in lost)


def test_a_model_with_a_window_is_refused_before_anything(llava, tasks, monkeypatch):
    monkeypatch.setattr(llava.model.config.text_config, "sliding_window", 8, raising=False)
    monkeypatch.setattr(llava.model.config.text_config, "layer_types", ["sliding_attention"] * 2, raising=False)
    with pytest.raises(InputError, match="Set `cache: dynamic`"):
        next(iter(engine.generate(llava, tasks, NEW_TOKENS, 9, cache="static")))
