"""Decoding is greedy and our own: of a checkpoint's generation settings, only the ids of its tokens count."""

import json
import shutil

import pytest

import models
import smallmodels
from layerwise.errors import InputError
from layerwise.models import checkpoints

BLOCKS, LAYERS, NEW_TOKENS = 4, (0, 3), 8
# Each of these ended the job, failed every row or changed the text while the checkpoint's settings were kept.
SHIPPED = {
    "do_sample": True,
    "temperature": 0.9,
    "top_p": 0.6,
    "num_beams": 3,
    "num_return_sequences": 2,
    "return_dict_in_generate": True,
    "repetition_penalty": 1.8,
    "no_repeat_ngram_size": 1,
    "encoder_repetition_penalty": 1.8,
    "min_new_tokens": 7,
    "min_length": 60,
    "max_length": 3,
    "max_time": 0.0001,
    "penalty_alpha": 0.6,
    "dola_layers": "low",
    "guidance_scale": 3.0,
    "prompt_lookup_num_tokens": 3,
    "stop_strings": ["w1"],
    "forced_bos_token_id": 5,
    "forced_eos_token_id": 5,
    "suppress_tokens": list(range(4, 50)),
    "begin_suppress_tokens": list(range(4, 50)),
    "bad_words_ids": [[5], [6]],
    "sequence_bias": [[[5], -9.0]],
    "exponential_decay_length_penalty": [1, 9.0],
    "watermarking_config": {"greenlist_ratio": 0.25, "bias": 2.0},
    "cache_implementation": "none-such",
    "early_stopping": "none-such",
    "use_cache": False,
    "of_the_makers_own": 1,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return smallmodels.save_llava(tmp_path_factory.mktemp("llava"), vision_blocks=BLOCKS)


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    return models.tasks(tmp_path_factory.mktemp("prompts"), 6, LAYERS)


@pytest.fixture(scope="module")
def whole(folder, tasks):
    return models.engine_answers(checkpoints.load_model(folder, models.settings(BLOCKS)), tasks, NEW_TOKENS)


def shipping(folder, to, name, **settings):
    """A copy of a checkpoint whose file `name` has these settings as well; without those that are None."""
    shutil.copytree(folder, to)
    known = json.loads((to / name).read_text()) | settings
    (to / name).write_text(json.dumps({key: value for key, value in known.items() if value is not None}))
    return to


@pytest.mark.parametrize("name", ["generation_config.json", "config.json"])
def test_settings_that_a_checkpoint_ships_change_nothing(folder, tmp_path, tasks, whole, name, capfd):
    shipped = {key: value for key, value in SHIPPED.items() if name == "generation_config.json" or value != "none-such"}
    family = checkpoints.load_model(shipping(folder, tmp_path / "model", name, **shipped), models.settings(BLOCKS))
    capfd.readouterr()
    assert models.engine_answers(family, tasks, NEW_TOKENS) == whole
    assert not capfd.readouterr().err


@pytest.mark.parametrize("key", ["num_return_sequences", "cache_implementation", "early_stopping", "stop_strings"])
def test_each_alone_changes_nothing_of_the_decoding(folder, tmp_path, key):
    shipping(folder, tmp_path / "model", "generation_config.json", **{key: SHIPPED[key]})
    family = checkpoints.load_model(tmp_path / "model", models.settings(BLOCKS))
    assert family.model.generation_config == checkpoints.greedy(folder, family.model.config, None)


def test_every_end_that_a_checkpoint_names_ends_an_answer(folder, tmp_path, tasks, whole):
    said = {answer.text.split()[2] for answer in whole.values() if answer.num_tokens > 3}
    third = checkpoints.load_model(folder, models.settings(BLOCKS)).processor.tokenizer.convert_tokens_to_ids(
        list(said)
    )
    shipping(folder, tmp_path / "model", "generation_config.json", eos_token_id=[2, *third])
    answers = models.engine_answers(
        checkpoints.load_model(tmp_path / "model", models.settings(BLOCKS)), tasks, NEW_TOKENS
    )
    assert {answer.finish_reason for answer in answers.values()} == {"stop"}
    assert all(
        whole[row].text.startswith(answer.text) and answer.num_tokens < NEW_TOKENS for row, answer in answers.items()
    )


@pytest.mark.parametrize("absent", [[], ["generation_config.json"], ["generation_config.json", "config.json"]])
def test_the_ids_are_those_of_the_first_file_that_names_them(folder, tmp_path, absent):
    shutil.copytree(folder, tmp_path / "model")
    for name in absent:
        path = tmp_path / "model" / name
        known = json.loads(path.read_text())
        for part in (known, known.get("text_config", {})):
            part.update(eos_token_id=None, pad_token_id=None)
        path.write_text(json.dumps(known))
    config = checkpoints.load_model(tmp_path / "model", models.settings(BLOCKS)).model.generation_config
    assert config.eos_token_id == [2]
    assert config.pad_token_id == (2 if "config.json" in absent else 0)  # without one, the end fills the rows


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"eos_token_id": "</s>"}, "eos_token_id.*</s>"), ({"eos_token_id": []}, "no token ends"), (None, "Expecting")],
)
def test_ids_that_are_none_are_told_with_their_file(folder, tmp_path, settings, said):
    shipping(folder, tmp_path / "model", "generation_config.json", **(settings or {}))
    path = tmp_path / "model" / "generation_config.json"
    if settings is None:
        path.write_text("none")
    with pytest.raises(InputError, match=f"{path} cannot be used: .*{said}.* Give 'eos_token_id'"):
        checkpoints.load_model(tmp_path / "model", models.settings(BLOCKS))
