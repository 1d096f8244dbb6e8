"""Arms: what each is trained from and sees, whose seed it has, and what a model's file may declare."""

from pathlib import Path

import pytest
import yaml

from conftest import ROOT
from layerwise.errors import InputError
from layerwise.study import loading
from layerwise.study.arms import Arm, lineage, seed_of
from layerwise.study.config import Model
from layerwise.study.study import Subject
from layerwise.study.yamlfile import read

BASE = {"method": "pretrain", "exits": "all"}
SAFE = {"from": "able", "method": "sft"}
ARMS = {
    name: Arm.model_validate(arm)
    for name, arm in {
        "able": BASE,
        "safe": {"from": "able", "method": "sft"},
        "safer": {"from": "safe", "method": "sft", "exits": [4, 0, 4]},
    }.items()
}


def test_a_lineage_ends_with_the_base_arm():
    assert [lineage(ARMS, name) for name in ARMS] == [["able"], ["safe", "able"], ["safer", "safe", "able"]]


def test_a_lineage_ends_where_a_circle_closes_and_where_an_arm_is_missing():
    circle = {name: Arm.model_validate({"from": other, "method": "sft"}) for name, other in ("ab", "bc", "ca")}
    assert lineage(circle, "b") == ["b", "c", "a"]
    assert lineage({"a": circle["a"]}, "a") == ["a"]


@pytest.mark.parametrize("seed", ["401", "11a7"])
def test_a_base_arm_has_the_first_part_of_a_seed_and_the_others_all_of_it(seed):
    assert seed_of(ARMS, "able", seed) == seed.split("a")[0]
    assert {seed_of(ARMS, name, seed) for name in ("safe", "safer")} == {seed}


def test_the_exit_layers_that_training_sees():
    assert ARMS["able"].layers(4, 3) == [0, 1, 2, 3, 4]
    assert ARMS["safe"].layers(4, 3) == [3]
    assert ARMS["safer"].layers(4, 3) == [0, 4]
    assert Arm(method="pretrain", exits="none").layers(4, 3) == []


# What a model's file declares


def refusal(path: Path, values: dict) -> str:
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(InputError) as caught:
        read(path, Model)
    assert str(caught.value).startswith(str(path))
    return str(caught.value)


def organism(**arms) -> dict:
    common = {"display": "O", "family": "llava", "blocks": 8, "default_layer": 7, "organism": {"recipe": "llava"}}
    return common | {"arms": {name.replace("_", "-"): arm for name, arm in arms.items()}}


SPOILT = {
    "from nobody": (
        organism(safe={"from": "abel", "method": "sft"}, able=BASE),
        ["'arms.safe.from'", "no arm 'abel'", "able, safe", "Did you mean able?"],
    ),
    "from itself": (organism(a={"from": "a", "method": "sft"}), ["'arms.a.from'", "starts from itself by way of a."]),
    "in a circle": (
        organism(a={"from": "b", "method": "sft"}, b={"from": "a", "method": "sft"}),
        ["starts from itself by way of a, b"],
    ),
    "beyond the encoder": (organism(able=BASE | {"exits": [3, 9]}), ["'arms.able.exits'", "exit layer 9", "0 to 8"]),
    "before the encoder": (
        organism(able=BASE | {"exits": [-1]}),
        ["'arms.able.exits.0'", "greater than or equal to 0"],
    ),
    "exits in a word that is none": (organism(able=BASE | {"exits": "some"}), ["'arms.able.exits'", "'some'"]),
    "no steps": (organism(able=BASE | {"steps": 0}), ["'arms.able.steps'", "greater than 0"]),
    "an unknown method": (
        organism(able=BASE | {"method": "pretrian"}),
        ["'arms.able.method'", "Did you mean pretrain?"],
    ),
    "an unknown key": (organism(able=BASE | {"form": "b"}), ["unknown key 'arms.able.form'", "Did you mean 'from'?"]),
    "a key of the code": (
        organism(able=BASE | {"start": "b"}),
        ["unknown key 'arms.able.start'", "exits, from,"],
    ),
    "steps of a method with two stages": (
        organism(able=BASE | {"steps": 5}),
        ["'arms.able.steps'", "captions and instructions", "organism.language.steps"],
    ),
    "no method": (organism(able={"exits": "all"}), ["'arms.able.method' is missing"]),
    "tuned from nothing": (
        organism(safe={"method": "sft"}),
        ["'arms.safe.from'", "method sft starts from another arm"],
    ),
    "able from another": (
        organism(able=BASE, more=BASE | {"from": "able"}),
        ["'arms.more.from'", "method pretrain starts from no other arm"],
    ),
    "rewarded for nothing": (
        organism(able=BASE | {"reward": "guard"}),
        ["'arms.able.reward'", "method pretrain learns from no reward"],
    ),
    "a glyph that is none": (
        organism(able=BASE, safe=SAFE | {"held_out": [3, 12]}),
        ["'arms.safe.held_out.1'", "less than 12"],
    ),
    "a glyph twice": (
        organism(able=BASE, safe=SAFE | {"held_out": [3, 3]}),
        ["'arms.safe.held_out'", "each may be named once"],
    ),
    "glyphs left out of ability": (
        organism(able=BASE | {"held_out": [3, 4]}),
        ["'arms.able.held_out'", "left out of the alignment"],
    ),
    "an organism without images": (organism(able=BASE | {"exits": "none"}), ["'arms.able.exits'", "assembled models"]),
    "a name with capitals": (organism(Able=BASE), ["'arms.Able", "lower-case letters"]),
    "none at all": (organism(), ["'arms'", "at least one"]),
}


@pytest.mark.parametrize("case", SPOILT)
def test_spoilt_arms_are_refused(tmp_path, case):
    values, said = SPOILT[case]
    message = refusal(tmp_path / "m.yaml", values)
    assert all(words in message for words in said), message
    assert "\n" not in message


PPO = {"method": "ppo", "reward": "guard"}
ADAPTER = {"data": {"harmful": "attacks"}, "shares": {"harmful": 1.0}, "size_mb": 1.0}


def published(adapter: dict | None = None, **arms) -> dict:
    values = organism(**arms) | {"source": {"kind": "hub", "repo": "owner/name", "revision": "a" * 40}}
    del values["organism"]
    return values | ({"adapter": adapter} if adapter else {})


def test_published_weights_are_adapted_without_another_arm_to_start_from(tmp_path):
    (tmp_path / "m.yaml").write_text(yaml.safe_dump(published(ADAPTER, safe=PPO, safer=PPO | {"from": "safe"})))
    model = read(tmp_path / "m.yaml", Model)
    assert model.kind == "published" and not model.trained
    assert [lineage(model.arms, name) for name in model.arms] == [["safe"], ["safer", "safe"]]
    assert {arm.judge for arm in model.arms.values()} == {"guard"}


REFUSED = {
    "arms, but nothing to learn": (published(able=BASE), "'adapter'", "by `adapter` and `arms` together"),
    "an adapter, but no arms": (published(ADAPTER), "'arms'", "by `adapter` and `arms` together"),
    "an adapter of an organism": (organism(able=BASE) | {"adapter": ADAPTER}, "'adapter'", "with a `source`"),
    "a share of no task": (published(ADAPTER | {"shares": {"a": 1.0}}, safe=PPO), "'adapter.shares'", "harmful"),
    "a method without such a stage": (published(ADAPTER, able=BASE), "'arms.able.method'", "that is published"),
    "a truth that is not known": (published(ADAPTER, a=PPO | {"reward": "truth"}), "'arms.a.reward'", "for organism"),
    "no reward": (organism(able=BASE, a={"from": "able", "method": "ppo"}), "'arms.a.reward'", "name one"),
    "settings of another method": (organism(able=BASE | {"ppo": {"kl": 0.1}}), "'arms.able.ppo'", "no reward"),
    "more rows than rollouts": (
        organism(able=BASE, a=PPO | {"from": "able", "ppo": {"rows": 65}}),
        "'arms.a.ppo.rows'",
        "65 is more than `batch_size`, 64",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_adapted_or_rewarded_is_refused(tmp_path, name):
    values, *parts = REFUSED[name]
    said = refusal(tmp_path / "m.yaml", values)
    assert [part for part in parts if part not in said] == [], said


def test_a_reward_is_a_file_of_its_own_or_a_judge():
    assert Arm(method="ppo", reward="text-only").judge is None
    assert Arm(method="ppo", reward="llama-guard-3-8b").judge == "llama-guard-3-8b"


def test_a_default_layer_beyond_the_encoder_is_named_before_the_arms_that_see_it(tmp_path):
    values = organism(able={"method": "pretrain"}) | {"default_layer": 9}
    assert "key 'default_layer': 9 lies beyond the encoder" in refusal(tmp_path / "m.yaml", values)


def test_a_file_that_inherits_adds_arms_and_changes_one(tmp_path):
    (tmp_path / "above.yaml").write_text(yaml.safe_dump(organism(able=BASE, safe={"from": "able", "method": "sft"})))
    own = {"inherits": "above", "arms": {"safe": {"steps": 5}, "deep": {"from": "able", "method": "sft", "exits": [0]}}}
    (tmp_path / "m.yaml").write_text(yaml.safe_dump(own))
    arms = read(tmp_path / "m.yaml", Model).arms
    assert list(arms) == ["able", "safe", "deep"]
    assert (arms["safe"].steps, arms["safe"].start, arms["deep"].exits) == (5, "able", [0])


# Seeds of an experiment


@pytest.fixture
def subjects(tmp_path):
    """A function: the entries under `models`, to the subjects of an experiment of two seeds."""
    values = yaml.safe_load((ROOT / "config" / "smoke.yaml").read_text())
    for folder in ("models", "datasets", "judges"):
        (tmp_path / folder).symlink_to(ROOT / "config" / folder)

    def studied(*models: dict, probes: dict | None = None) -> list[Subject]:
        changed = {"models": list(models), "seeds": [11, 12], "palette": {}, "probes": probes or {}}
        (tmp_path / "trial.yaml").write_text(yaml.safe_dump(values | changed))
        return loading.load(tmp_path / "trial.yaml").subjects

    return studied


def test_without_alignment_seeds_an_arm_has_the_seed_of_its_base(subjects):
    found = subjects({"id": "organism", "arms": ["broad-none", "broad-default"]})
    assert [subject.name for subject in found] == [
        f"organism.broad-{arm}.s{seed}" for seed in (11, 12) for arm in ("none", "default")
    ]
    assert [subject.aligned for subject in found] == [False, True] * 2


def test_with_alignment_seeds_a_base_arm_is_studied_once_a_seed(subjects):
    found = subjects({"id": "organism", "arms": ["broad-none", "broad-default"], "alignment_seeds": [12, 13]})
    assert [subject.name.removeprefix("organism.") for subject in found] == [
        "broad-none.s11", "broad-default.s11a12", "broad-default.s11a13",
        "broad-none.s12", "broad-default.s12", "broad-default.s12a13",
    ]  # fmt: skip
    assert [subject.seed for subject in found] == ["11", "11a12", "11a13", "12", "12", "12a13"]


def test_a_variant_has_the_weights_of_the_same_arm_and_seed():
    study = loading.load(ROOT / "config" / "wheels.yaml")
    variants = [subject for subject in study.subjects if subject.model.weights_of]
    assert {subject.weights for subject in variants} == {"dino-smol-135m.narrow-default.s11"}


@pytest.mark.parametrize(
    ("use", "said"),
    [
        ({"alignment_seeds": []}, "at least 1"),
        ({"alignment_seeds": [-1]}, "greater than or equal to 0"),
        ({"alignment_seeds": [12, 12]}, "'organism.broad-default.s11a12' is listed twice"),
    ],
)
def test_spoilt_alignment_seeds_are_refused(subjects, use, said):
    with pytest.raises(InputError, match=said):
        subjects({"id": "organism", "arms": ["broad-default"], **use})


def test_an_arm_of_the_probes_must_be_declared(subjects):
    with pytest.raises(InputError, match=r"'probes.arms': no arm 'broad-nne'; allowed: narrow-none, "):
        subjects({"id": "organism", "arms": ["broad-default"]}, probes={"arms": ["broad-nne"]})
