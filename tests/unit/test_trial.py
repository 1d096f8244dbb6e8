"""What is wrong with a checkpoint is one error when it is loaded; what its configuration knows is filled in."""

import json
import re
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

import models
import smallmodels
from layerwise.errors import InputError
from layerwise.models import checkpoints, trial

BLOCKS = 4
PROCESSOR, TEMPLATE, TOKENIZER = "processor_config.json", "chat_template.jinja", "tokenizer_config.json"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The folder of a small model of a family, saved once."""
    folders = {}

    def of(family):
        if family not in folders:
            folders[family] = smallmodels.FAMILIES[family][0](tmp_path_factory.mktemp(family))
        return folders[family]

    return of


@pytest.fixture
def copy(saved, tmp_path):
    return lambda family: shutil.copytree(saved(family), tmp_path / "model")


def load(folder, family="llava", **settings):
    _, blocks, default_layer = smallmodels.FAMILIES[family]
    return checkpoints.load_model(folder, models.settings(blocks, family, default_layer=default_layer) | settings)


def edit(folder, name, changes):
    """Change keys of a JSON file, nested ones joined by dots; None removes a key."""
    settings = json.loads((folder / name).read_text())
    for key, value in changes.items():
        *path, last = key.split(".")
        place = settings
        for part in path:
            place = place[part]
        place.pop(last, None)
        if value is not None:
            place[last] = value
    (folder / name).write_text(json.dumps(settings))


# Filled in


def old_llava(folder):
    """As LLaVA was published first: the image processor's settings alone."""
    settings = json.loads((folder / PROCESSOR).read_text())["image_processor"]
    (folder / "preprocessor_config.json").write_text(json.dumps(settings | {"processor_class": "LlavaProcessor"}))
    (folder / PROCESSOR).unlink()


def without_patches(folder):
    edit(folder, "preprocessor_config.json", {"merge_size": None, "patch_size": None, "temporal_patch_size": None})


def template_with_tokenizer(folder):
    edit(folder, TOKENIZER, {"chat_template": (folder / TEMPLATE).read_text()})
    (folder / TEMPLATE).unlink()


@pytest.mark.parametrize(
    ("family", "fault", "said"),
    [
        ("llava", {"patch_size": None}, "'patch_size' open; it is 8"),
        ("llava", {"num_additional_image_tokens": None}, "'num_additional_image_tokens' open; it is 1"),
        ("llava", {"vision_feature_select_strategy": None}, "'vision_feature_select_strategy' open; it is 'default'"),
        ("llava", old_llava, "'patch_size' open; it is 8"),
        ("llava", template_with_tokenizer, "'chat_template' open; it is the tokenizer's"),
        ("llava_next", {"patch_size": None, "num_additional_image_tokens": None}, "'patch_size' open; it is 8"),
        ("llava_next", {"image_processor.image_grid_pinpoints": None}, "'image_grid_pinpoints' open; it is .*24, 72"),
        ("llava_onevision", {"num_image_tokens": None}, "'num_image_tokens' open; it is 36"),
        ("qwen2_vl", without_patches, "'patch_size' open; it is 4"),
        ("idefics3", {"image_seq_len": None}, "'image_seq_len' open; it is 4"),
        ("paligemma", {"image_processor.image_seq_length": None}, "'image_seq_length' open; it is 16"),
    ],
)
def test_what_the_configuration_knows_is_filled_in_and_said(saved, copy, tmp_path, capfd, family, fault, said):
    tasks = models.tasks(tmp_path, 2, (0, BLOCKS))
    whole = models.engine_answers(load(saved(family), family), tasks, 4)
    folder = copy(family)
    fault(folder) if callable(fault) else edit(folder, PROCESSOR, fault)
    capfd.readouterr()
    completed = load(folder, family)
    assert re.search(said, capfd.readouterr().err)
    assert models.engine_answers(completed, tasks, 4) == whole


@pytest.mark.parametrize("family", smallmodels.FAMILIES)
def test_nothing_is_filled_in_where_nothing_is_missing(saved, capfd, family):
    load(saved(family), family)
    assert "open" not in capfd.readouterr().err


# Templates

PARTS = (
    "{%% for m in messages %%}{%% for part in m['content'] %%}{%% if part['type'] == 'image' %%}%s"
    "{%% else %%}%s{%% endif %%}{%% endfor %%}{%% endfor %%}"
)
TEMPLATES = {
    "broken": ("{% for m in messages %}{{ m.content", "cannot be rendered: TemplateSyntaxError"),
    "undefined": ("{{ messages[0].content.said.twice }}", "cannot be rendered: UndefinedError"),
    "raising": ("{{ raise_exception('roles must alternate') }}", "cannot be rendered: .*roles must alternate"),
    "adding": ("{{ 'USER: ' + messages[0]['content'] }}", "cannot be rendered: TypeError"),
    "plain": ("{% for m in messages %}{{ m['content'] }}{% endfor %}", r"text as it is, but .*\\'type\\': \\'image\\'"),
    "plain with an image": ("<image>{% for m in messages %}{{ m['content'] }}{% endfor %}", "text as it is"),
    "json": (PARTS % ("<image>", "{{ part | tojson }}"), "text as it is"),
    "no text": (PARTS % ("<image>", ""), "text as it is, but '<image>'"),
    "no image": (PARTS % ("", "{{ part['text'] }}"), "writes <image> 0 times for a prompt with an image"),
    "two images": (PARTS % ("<image><image>", "{{ part['text'] }}"), "writes <image> 2 times"),
    "always an image": ("<image>" + PARTS % ("", "{{ part['text'] }}"), "1 times for a prompt without an image"),
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_that_does_not_say_what_it_is_given_is_refused(copy, name):
    folder = copy("llava")
    template, said = TEMPLATES[name]
    (folder / TEMPLATE).write_text(template)
    with pytest.raises(InputError, match=f"{folder} cannot be used: {TEMPLATE}: the chat template .*{said}.* Give one"):
        load(folder)


@pytest.mark.parametrize(
    "template",
    [
        "{% for m in messages if m.role == 'user' %}" + PARTS % ("<image>", "{{ part['text'] }}") + "{% endfor %}",
        # As in Llama 3.2 Vision: the system message is trimmed as if it were text.
        "{% if messages[0]['role'] == 'system' %}{{ messages[0]['content'] | trim }}{% set messages = messages[1:] %}"
        "{% endif %}" + PARTS % ("<image>", "{{ part['text'] }}"),
    ],
)
def test_a_template_is_tried_with_a_system_prompt_where_there_is_one(copy, template):
    folder = copy("llava")
    (folder / TEMPLATE).write_text(
        template.replace("for m in messages %}{% for part", "for m in messages[-1:] %}{% for part")
    )
    load(folder)
    with pytest.raises(InputError, match=f"{TEMPLATE}: the chat template does not write a prompt's system prompt"):
        load(folder, system_prompt="w1")


@pytest.mark.parametrize("place", [None, PROCESSOR, TOKENIZER, "chat_template.json"])
def test_a_template_is_named_by_the_file_that_it_is_in(copy, place):
    folder = copy("llava")
    (folder / TEMPLATE).unlink()
    if place == "chat_template.json":
        (folder / place).write_text(json.dumps({"chat_template": "none"}))
    elif place is not None:
        edit(folder, place, {"chat_template": "none"})
    with pytest.raises(InputError, match=f"{place or TEMPLATE}.*: (there is no|the) chat template"):
        load(folder)


# Weights and configuration


def weights(change):
    """A fault that changes the weights, by their names."""

    def fault(folder):
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    return fault


def without(*names):
    return lambda folder: [(folder / name).unlink() for name in names]


def config(**changes):
    return lambda folder: edit(folder, "config.json", {key.replace("__", "."): value for key, value in changes.items()})


def processor(**changes):
    return lambda folder: edit(folder, PROCESSOR, {key.replace("__", "."): value for key, value in changes.items()})


def text(name, content):
    return lambda folder: (folder / name).write_text(content)


def shards(folder):
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")


LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
CODE = {"auto_map": {"AutoConfig": "configuration_mine.Config"}}
FAULTS = {
    "another shape": (
        config(text_config__intermediate_size=64),
        r"weights have another shape .*down_proj.*\(48, 96\) inst",
    ),
    "another vocabulary": (config(text_config__vocab_size=50), r"lm_head.weight: \(96, 48\) instead of \(50, 48\)"),
    "a weight that is missing": (weights(lambda w: w.pop("multi_modal_projector.linear_1.bias")), "linear_1.bias"),
    "no output head": (
        weights(lambda w: w.pop("language_model.lm_head.weight")),
        "lm_head.weight.*tie_word_embeddings",
    ),
    "no numbers": (weights(lambda w: w["multi_modal_projector.linear_1.bias"].fill_(torch.nan)), "no numbers.*'dtype'"),
    "an exit beyond": (config(vision_feature_layer=9), "'vision_feature_layer' of config.json is 9, .*-5 to 4"),
    "an exit before": (config(vision_feature_layer=-7), "'vision_feature_layer' of config.json is -7"),
    "an exit that is text": (config(vision_feature_layer="last"), "'vision_feature_layer'"),
    "several exits": (config(vision_feature_layer=[-2, -1]), "linear_1.weight"),
    "fewer blocks than weights": (config(text_config__num_hidden_layers=1), r"more blocks .*layers\.1\..*'num_hidden"),
    "no such activation": (config(text_config__hidden_act="none-such"), "KeyError: 'none-such'"),
    "no such strategy": (config(vision_feature_select_strategy="cls"), "'vision_feature_select_strategy'"),
    "too many places": (processor(patch_size=4), r"\[100, 100, 100\] image places.*'patch_size'.*'image_token_id'"),
    "too few places": (processor(num_additional_image_tokens=0), r"\[24, .*'num_additional_image_tokens'"),
    "another placeholder": (config(image_token_index=7), "image places.*'image_token_id'"),
    "an unknown placeholder": (
        lambda folder: (folder / "tokenizer.json").write_text(
            (folder / "tokenizer.json").read_text().replace("<image>", "<i>")
        ),
        "token 96 .'<image>'., but 'vocab_size' of config.json",
    ),
    "images too large": (
        processor(image_processor__crop_size={"height": 48, "width": 48}),
        r"cannot encode a blank image.*preprocessor_config.json.*48\*48",
    ),
    "one mean of three": (
        processor(image_processor__image_mean=[0.5]),
        "cannot prepare a blank image.*'image_processor'",
    ),
    "no image processor": (processor(image_processor=None), "lacks preprocessor_config.json"),
    "quantised": (
        config(quantization_config={"quant_method": "gptq", "bits": 4}),
        "'quantization_config' of config.json",
    ),
    "code of its own": (config(model_type="mine", **CODE), "'auto_map'.*never run"),
    "no vision": (
        config(model_type="llama"),
        "'model_type' in config.json is llama, which is no language model with a vision",
    ),
    "an adapter": (text("adapter_config.json", '{"base_model_name_or_path": "a/b"}'), "adapter_config.json.*merged"),
    "no such processor": (processor(processor_class="Mine"), "has no image_processor .*'processor_class'"),
    "another processor": (processor(processor_class="CLIPProcessor"), "into tokens.*CLIPProcessor"),
    "pickled": (lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"), "run code"),
    "a pointer": (text("model.safetensors", LFS), "model.safetensors is damaged"),
    "a shard that is missing": (shards, "lacks model-00002-of-00002.safetensors"),
    "an index of nothing": (
        lambda folder: (shards(folder), (folder / "model.safetensors.index.json").write_text("{}")),
        "index.json names no weights",
    ),
    "a broken tokenizer": (text("tokenizer.json", "{"), "tokenizer.json is damaged"),
    "a broken processor": (text(PROCESSOR, '["image_processor"]'), f"{PROCESSOR} is damaged"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_one_error_that_names_the_checkpoint_and_what_to_look_at(copy, name):
    folder = copy("llava")
    fault, said = FAULTS[name]
    fault(folder)
    with pytest.raises(InputError, match=said) as raised:
        load(folder)
    assert str(folder) in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("family", "key", "value"),
    [
        ("llava_next", "image_processor.image_grid_pinpoints", [[24, 48], [48, 24]]),
        ("llava_onevision", "vision_aspect_ratio", "anyres_max_4"),
    ],
)
def test_files_that_contradict_each_other_on_tiles_are_refused(copy, family, key, value):
    folder = copy(family)
    edit(folder, PROCESSOR, {key: value})
    name = key.split(".")[-1]
    with pytest.raises(InputError, match=f"'{name}' of its processor differs from the one in config.json"):
        load(folder, family)


def test_a_family_that_does_not_fit_is_named(saved):
    with pytest.raises(InputError, match="'model_type' in config.json, llava, does not fit key 'family'.* idefics3"):
        load(saved("llava"), "idefics3")


@pytest.mark.parametrize("name", ["tokenizer.model", "vocab.json"])
def test_a_tokenizer_may_be_in_another_file(copy, name):
    folder = copy("llava")
    (folder / "tokenizer.json").rename(folder / name)
    with pytest.raises(InputError) as raised:
        load(folder)
    assert "lacks" not in str(raised.value)


def test_one_index_beside_whole_weights_is_not_asked_for_shards(copy):
    folder = copy("llava")
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-00001-of-00002.safetensors"}}')
    assert load(folder).blocks == BLOCKS


@pytest.mark.parametrize("error", [MemoryError("full"), torch.OutOfMemoryError("full")])
def test_a_machine_that_is_too_small_is_no_fault_of_the_checkpoint(saved, monkeypatch, error):
    family = load(saved("llava"))
    monkeypatch.setattr(family, "features", lambda *_: (_ for _ in ()).throw(error))
    with pytest.raises(type(error), match="full"):
        trial.attempt(family, saved("llava"), False)


def test_the_trial_draws_nothing_and_changes_nothing(saved, tmp_path):
    family = load(saved("llava"))
    tasks = models.tasks(tmp_path, 3, (0, 3))
    whole, state = models.engine_answers(family, tasks, 4), torch.get_rng_state()
    before = {name: tensor.clone() for name, tensor in family.model.state_dict().items()}
    trial.attempt(family, saved("llava"), True)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], tensor) for name, tensor in family.model.state_dict().items())
    assert models.engine_answers(family, tasks, 4) == whole


def test_every_exit_of_the_trial_is_reached(saved, monkeypatch):
    family = load(saved("llava"))
    asked, real = [], family.features
    monkeypatch.setattr(family, "features", lambda images, layers: (asked.append(layers), real(images, layers))[1])
    trial.attempt(family, saved("llava"), False)
    assert asked == [[0, BLOCKS - 1, BLOCKS]]
