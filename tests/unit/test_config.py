"""Bad configuration is refused before anything runs, in one sentence that names file, key and way out."""

import shutil
from pathlib import Path

import pytest

from conftest import ROOT
from layerwise.errors import InputError
from layerwise.study import config, loading, yamlfile

EXPERIMENTS = sorted(path.stem for path in (ROOT / "config").glob("*.yaml"))
MODELS = "models:\n  - {id: organism-smoke, arms: [broad-none, broad-default]}\n"
URL = f"{{kind: url, url: 'https://example.org/weights', sha256: {'f' * 64}}}"
PUBLISHED = """
display: Published
family: llava
blocks: 24
default_layer: 23
source: {kind: hub, repo: owner/name, revision: 0123456789abcdef0123456789abcdef01234567}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the configuration, to be spoilt."""
    return Path(shutil.copytree(ROOT / "config", tmp_path / "config"))


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, f"{path.name} no longer holds {old!r}: mend the test"
    path.write_text(text.replace(old, new, 1))


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        loading.load(path)
    return str(caught.value)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_of_the_project_loads(name: str) -> None:
    study = loading.load(ROOT / "config" / f"{name}.yaml")
    assert study.subjects
    for subject in study.subjects:
        assert subject.model.default_layer in subject.layers


@pytest.mark.parametrize(
    "kind, settings", [("model", config.Model), ("dataset", config.Dataset), ("judge", config.Judge)]
)
def test_every_file_of_the_project_loads_even_where_no_experiment_names_it(kind: str, settings: type) -> None:
    for path in sorted((ROOT / "config" / f"{kind}s").glob("*.yaml")):
        yamlfile.read(path, settings)


# In smoke.yaml: what is written, what a hand makes of it, what the message must say.
SPOILT = {
    "unknown key": ("limit: 24", "limmit: 24", ["unknown key 'limmit'", "Did you mean 'limit'?"]),
    "unknown key, nested": ("max_new_tokens:", "max_new_token:", ["'decoding.max_new_token'", "'max_new_tokens'?"]),
    "key twice": ("limit: 24", "limit: 24\nlimit: 25", [", line ", "duplicate key 'limit'"]),
    "missing key": ("title: Smoke test of the whole chain", "", ["'title' is missing", "Meaning: Title"]),
    "exit layer beyond the encoder": ("[0, 7]", "[0, 9]", ["exit layer 9", "'organism-smoke'", "0 to 8"]),
    "exit layer negative": ("[0, 7]", "[-1, 7]", ["'layers.0'", "greater than or equal to 0", "-1"]),
    "exit layer twice": ("[0, 7]", "[0, 7, 7]", ["'layers'", "7 is listed twice", "keep one"]),
    "exit layer a word": ("[0, 7]", "some", ["'layers'", "'all' or must be a list", "'some'"]),
    "exit layer a fraction": ("[0, 7]", "[1.5]", ["'layers.0'", "whole number", "1.5"]),
    "exit layer a truth value": ("[0, 7]", "[yes, 7]", ["'layers.0'", "whole number", "True"]),
    "batch size negative": ("batch_size: 32", "batch_size: -1", ["'decoding.batch_size'", "greater than 0", "-1"]),
    "batch size a word": ("batch_size: 32", "batch_size: many", ["'decoding.batch_size'", "whole number", "'many'"]),
    "model without file": ("id: organism-smoke", "id: organism-smok", ["no model 'organism-smok'", "mean organism-s"]),
    "data set without file": ("[world-shallow,", "[world-shalow,", ["no dataset 'world-shalow'", "mean world-shallow"]),
    "judge without file": ("[truth, refusal", "[zzzz, refusal", ["no judge 'zzzz'", "Valid ids: ", "truth", "vqa"]),
    "id with bad characters": ("id: organism-smoke", "id: Organism_2", ["'models.0.id'", "lower-case letters"]),
    "id that leaves the folder": (
        "[world-shallow,",
        "[../smoke,",
        ["'datasets.0.id'", "lower-case letters", "'../smoke'"],
    ),
    "data set twice": (
        "[world-shallow,",
        "[world-deep, world-shallow,",
        ["'datasets'", "'world-deep' is listed twice"],
    ),
    "data set asked of an unknown model": (
        "[world-shallow,",
        "[{id: world-shallow, models: [organism-smok]},",
        ["'datasets'", "'world-shallow'", "no model 'organism-smok'", "Did you mean organism-smoke?"],
    ),
    "data set asked of an arm that is not studied": (
        "[world-shallow,",
        "[{id: world-shallow, arms: [narrow-none]},",
        ["'world-shallow'", "no arm 'narrow-none'", "allowed: broad-none, broad-default"],
    ),
    "data set asked beyond the encoder": (
        "[world-shallow,",
        "[{id: world-shallow, layers: [9]},",
        ["'world-shallow'", "exit layer 9", "'organism-smoke'", "0 to 8"],
    ),
    "model that is asked nothing": (
        "[world-shallow, world-deep, world-text, world-vqa]",
        "[{id: world-shallow, arms: [broad-none]}]",
        ["'datasets'", "'organism-smoke.broad-default.s100'", "Widen"],
    ),
    "no models": (MODELS, "models:\n", ["'models'", "must be a list", "None"]),
    "model a number": (MODELS, "models: [7]\n", ["'models.0'", "must hold keys and values", "7"]),
    "organism without arms": (", arms: [broad-none, broad-default]", "", ["needs 'arms'", "narrow-random"]),
    "arm unknown": (
        "arms: [broad-none, ",
        "arms: [broad-nne, ",
        ["no arm 'broad-nne'", "allowed: narrow-none, ", "Did you mean broad-none?"],
    ),
    "arm twice": (
        "arms: [broad-none, ",
        "arms: [broad-none, broad-none, ",
        ["smoke.broad-none.s100", "twice"],
    ),
    "arms not a list": ("[broad-none, broad-default]", "broad-none", ["'models.0.arms'", "must be a list"]),
    "arm of the probes unknown": ("probes: {", "probes: {arms: [deep], ", ["'probes.arms'", "no arm 'deep'"]),
    "seeds empty": ("seeds: [100]", "seeds: []", ["'seeds'", "at least 1"]),
    "seed twice": ("seeds: [100]", "seeds: [100, 100]", ["'seeds'", "100 is listed twice"]),
    "outcome of a judge that is not used": ("truth: truth}", "truth: guard}", ["'outcome.truth'", "'guard'"]),
    "outcome twice": ("truth: truth}", "truth: truth, harm: toxicity}", ["'outcome'", "either `truth`, or `refusal`"]),
    "outcome of harm alone": ("{truth: truth}", "{harm: toxicity}", ["'outcome'", "either `truth`, or `refusal`"]),
    "outcome without coherence": ("{truth: truth}", "{refusal: refusal}", ["'outcome'", "`refusal` and `coherence`"]),
    "labels of people without file": ("limit: 24", "human_labels: [labls]", ["'human_labels'", "no dataset 'labls'"]),
    "gate in per cent": ("asserted: false", "vqa_accuracy: 90", ["'gates.vqa_accuracy'", "equal to 1", "90"]),
    "layers a job": ("responses_per_second: 500", "layers_per_job: none", ["'all' or must be a whole number"]),
    "colour without quotes": ('broad-none: "#000000"', "broad-none: #000000", ["'palette.broad-none'", "needs quotes"]),
    "bracket left open": ("batch_size: 32}", "batch_size: 32", [", line ", "not valid YAML"]),
    "tab": ("layers: [0", "\tlayers: [0", [", line ", "not valid YAML"]),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_spoilt_experiment_is_refused(folder: Path, case: str) -> None:
    old, new, said = SPOILT[case]
    path = folder / "smoke.yaml"
    edit(path, old, new)
    message = refusal(path)
    assert message.startswith(str(path))
    for words in said:
        assert words in message
    assert "pydantic" not in message and "\n" not in message


@pytest.mark.parametrize(
    "content, given", [("", "empty"), ("# nothing but a comment\n", "empty"), ("- a\n", "a list"), ("word", "a str")]
)
def test_a_file_without_keys_is_refused(folder: Path, content: str, given: str) -> None:
    path = folder / "smoke.yaml"
    path.write_text(content)
    assert f"{path}: the file is {given}" in refusal(path)


def test_a_file_that_is_no_text_is_refused(folder: Path) -> None:
    path = folder / "smoke.yaml"
    path.write_bytes(b"title: caf\xe9\n")
    assert f"{path}: not UTF-8 text" in refusal(path)


def test_an_unknown_experiment_names_the_closest(folder: Path) -> None:
    assert "no experiment 'smok'" in refusal(folder / "smok.yaml")
    assert "Did you mean smoke?" in refusal(folder / "smok.yaml")
    assert "Valid ids: bench, " in refusal(folder / "zzzz.yaml")


# In a model's file: the file, what is written, what a hand makes of it, what the message must say.
SPOILT_MODELS = {
    "unknown key": ("organism-smoke", "local_steps", "local_step", ["'organism.vision.local_step'", "'local_steps'?"]),
    "unknown key in the file that is inherited": ("organism", "blocks:", "block:", ["'block'", "'blocks'?"]),
    "default layer beyond the encoder": ("organism", "default_layer: 7", "default_layer: 9", ["9", "0 to 8"]),
    "blocks of two minds": ("organism", "blocks: 8", "blocks: 9", ["blocks is 9", "organism.vision.blocks is 8"]),
    "published and trained": (
        "organism",
        "organism:",
        f"source: {URL}\norganism:",
        ["one of `source`", "`organism` or `assembled`"],
    ),
    "static cache without a mask": (
        "organism",
        "display:",
        "cache: static\nattention: flash_attention_2\ndisplay:",
        ["'cache'", "use sdpa"],
    ),
    "source of no kind": ("organism", "organism:", "source: {kind: ftp}\norganism:", ["'source.kind'", "'hub', 'url'"]),
    "inherits nothing": ("organism-smoke", "inherits: organism", "inherits: organizm", ["'inherits'", "mean organism"]),
    "inherits itself": ("organism-smoke", "inherits: organism", "inherits: organism-smoke", ["in a circle"]),
    "inherits in a circle": ("organism", "display:", "inherits: organism-smoke\ndisplay:", ["circle (", "organism ->"]),
    "inherits two": ("organism-smoke", "inherits: organism", "inherits: [organism]", ["'inherits'", "one file"]),
    "inherits from elsewhere": (
        "organism-smoke",
        "inherits: organism",
        "inherits: ../smoke",
        ["'inherits'", "one file"],
    ),
}


@pytest.mark.parametrize("case", SPOILT_MODELS)
def test_a_spoilt_model_is_refused(folder: Path, case: str) -> None:
    name, old, new, said = SPOILT_MODELS[case]
    edit(folder / "models" / f"{name}.yaml", old, new)
    message = refusal(folder / "smoke.yaml")
    for words in said:
        assert words in message


def test_the_message_names_the_file_that_holds_the_mistake(folder: Path) -> None:
    edit(folder / "models" / "organism.yaml", "family: llava", "family: LLaVA")
    assert refusal(folder / "smoke.yaml").startswith(str(folder / "models" / "organism.yaml"))


def test_published_weights_have_no_arms(folder: Path) -> None:
    (folder / "models" / "published.yaml").write_text(PUBLISHED)
    edit(folder / "smoke.yaml", "id: organism-smoke", "id: published")
    assert "'published' has published weights, so it takes no 'arms'" in refusal(folder / "smoke.yaml")


def test_a_model_may_stand_by_its_id_alone(folder: Path) -> None:
    (folder / "models" / "published.yaml").write_text(PUBLISHED)
    edit(folder / "smoke.yaml", MODELS, "models: [published]\n")
    edit(folder / "smoke.yaml", 'palette:\n  broad-none: "#000000"\n  broad-default: "#D55E00"', "palette: {}")
    (subject,) = loading.load(folder / "smoke.yaml").subjects
    assert (subject.name, subject.arm, subject.seed) == ("published", None, None)
    assert subject.layers == (0, 7, 23), "the default layer is always among the exit layers"


def test_a_data_set_may_be_asked_of_some_models_at_some_exit_layers(folder: Path) -> None:
    edit(folder / "smoke.yaml", "seeds: [100]", "seeds: [100, 101]")
    edit(folder / "smoke.yaml", "layers: [0, 7]", "layers: [0, 2, 7]")
    narrowed = "[world-shallow, {id: world-deep, layers: [2, 5]}, {id: world-text, layers: default, seeds: first}"
    edit(folder / "smoke.yaml", "[world-shallow, world-deep, world-text", narrowed)
    edit(folder / "smoke.yaml", "world-vqa]", "{id: world-vqa, arms: [broad-default]}]")
    asked = {subject.name.partition(".")[2]: subject.asked for subject in loading.load(folder / "smoke.yaml").subjects}
    everywhere, both = {"world-shallow": (0, 2, 7)}, {"world-deep": (2, 7)}
    assert asked == {
        "broad-none.s100": everywhere | both | {"world-text": (7,)},
        "broad-default.s100": everywhere | both | {"world-text": (7,), "world-vqa": (0, 2, 7)},
        "broad-none.s101": everywhere | both,
        "broad-default.s101": everywhere | both | {"world-vqa": (0, 2, 7)},
    }


def test_a_file_that_inherits_keeps_what_it_does_not_change() -> None:
    below, above = (yamlfile.read(ROOT / f"config/models/organism{x}.yaml", config.Model) for x in ("", "-f2"))
    assert above.organism.vision.frozen_blocks == 2 != below.organism.vision.frozen_blocks
    assert above.organism.language == below.organism.language
    assert (above.family, above.blocks, above.default_layer) == (below.family, below.blocks, below.default_layer)


def test_dose_points_are_trained_on_the_first_seed_alone() -> None:
    subjects = loading.load(ROOT / "config" / "bench.yaml").subjects
    seeds = {id: {s.seed for s in subjects if s.id == id} for id in ("organism", "organism-f2")}
    assert len(seeds["organism-f2"]) == 1 < len(seeds["organism"])
