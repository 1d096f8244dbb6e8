"""The refusal margin: its definition, that it is read in passing, and that no text changes by it."""

import math

import pytest
import torch

import models
import smallmodels
from layerwise.errors import InputError
from layerwise.models import checkpoints, engine, margin

BLOCKS, LAYERS, NEW_TOKENS = 4, (0, 3), 4
STARTS = ["w3 w1", "w7"]  # only the first token of a text counts


@pytest.fixture(scope="module")
def family(tmp_path_factory):
    folder = smallmodels.save_llava(tmp_path_factory.mktemp("llava"), vision_blocks=BLOCKS)
    return checkpoints.load_model(folder, models.settings(BLOCKS))


def asked(family, tasks, refusal_tokens=(), cache="dynamic"):
    done = engine.generate(family, tasks, NEW_TOKENS, 4, cache=cache, refusal_tokens=refusal_tokens)
    return {(answer.prompt_id, answer.layer): answer for batch in done for answer in batch}


def test_a_margin_is_the_log_odds_of_a_first_token_of_refusal():
    logits = torch.randn(5, 30, dtype=torch.float64)
    share = logits.softmax(1)[:, [2, 9]].sum(1)
    assert torch.allclose(margin.margins(logits, [2, 9]).double(), (share / (1 - share)).log(), atol=1e-4)


@pytest.mark.parametrize("cache", ["dynamic", "static"])
def test_margins_are_the_models_own_and_change_no_answer(tmp_path, family, cache):
    tasks = models.tasks(tmp_path, 6, LAYERS)
    plain, measured = asked(family, tasks, cache=cache), asked(family, tasks, STARTS, cache)
    tokens = family.processor.tokenizer(["w3", "w7"], add_special_tokens=False).input_ids
    refusal = [token for (token,) in tokens]
    for row, answer in measured.items():
        task = next(task for task in tasks if task.prompt.id == row[0])
        pixels = family.preprocess(engine.read_image(task.image, task.prompt.image_sha256))
        ids = torch.tensor([family.encode(task.prompt.text, pixels)])
        with torch.no_grad():
            seen = family.features([pixels], [row[1]])[row[1]]
            inputs = family.generation_inputs(ids, torch.ones_like(ids), [seen[0]])
            expected = margin.margins(family.model(**inputs).logits[:, -1], refusal).item()
        assert answer.margin == pytest.approx(expected, abs=2e-4)
        assert plain[row].margin is None and plain[row].text == answer.text
    assert len({answer.margin for answer in measured.values()}) == len(measured)


def test_a_beginning_that_the_tokenizer_does_not_know_is_named(tmp_path, family):
    with pytest.raises(InputError, match="'refusal_tokens'.*'boat'"):
        asked(family, models.tasks(tmp_path, 1, LAYERS), ["w3", "boat"])


def test_logits_that_are_no_numbers_have_no_margin():
    logits = torch.tensor([[0.0, 1.0, math.nan], [0.0, 0.0, 0.0]])
    assert margin.stored(logits, [0]) == [None, pytest.approx(-math.log(2), abs=1e-4)]
