"""Adaptation of published models, and PPO of models with real text: what learns, what is saved, what is loaded."""

import json
from functools import partial

import pytest
import torch

import models
import train_arm as script
from layerwise import assets, records
from layerwise.assets import cache
from layerwise.errors import InputError
from layerwise.files import file_digest
from layerwise.models import checkpoints, deltas
from layerwise.records import Prompt
from layerwise.study.recipes import Ppo
from layerwise.training import adapted, assembled, loop
from layerwise.training.methods import ppo as method
from layerwise.training.policies import family as answering
from layerwise.training.rewards import judge
from smallmodels import save_llava

ADAPTER = {
    **{"rank": 2, "alpha": 4, "modules": ["q_proj", "v_proj"]},
    **{"data": {"harmful": "attacks"}, "shares": {"harmful": 1.0}},
}
SHORT = Ppo(
    **{"rollouts": 8, "batch_size": 4, "rows": 2, "value_warmup": 0, "warmup": 1},
    **{"learning_rate": 0.02, "max_new_tokens": 5},
).model_dump()
SETTINGS = models.settings(4)


def spec_of(**more) -> dict:
    common = {"seed": 3, "layers": [0, 2, 3], "images": True, "method": "ppo", "steps": {"adapter": 3}}
    return common | {"model": SETTINGS, "adapter": ADAPTER, "ppo": SHORT} | more


def long_ones(prompts, answers):
    return [float(len(answer)) for answer in answers]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A small LLaVA, in a cache."""
    return save_llava(tmp_path_factory.mktemp("cache") / "url/small")


@pytest.fixture(scope="module")
def attacks(tmp_path_factory):
    """Six questions of several lengths, one of them without an image."""
    folder, rows = tmp_path_factory.mktemp("prompts"), []
    for number in range(6):
        image = f"{number}.png" if number else None
        sha256 = models.save_picture(folder / image, models.picture(number)) if image else None
        text = f"w{number} {'w9 ' * (number % 3)}?"
        rows.append(Prompt(f"p{number}", "attacks", text, image, sha256, "harmful", str(number)))
    records.write(folder / "attacks.jsonl", rows)
    return folder / "attacks.jsonl"


def learner(folder, attacks, spec=None, reward=long_ones):
    spec = spec or spec_of()
    family = checkpoints.load_model(folder, SETTINGS)
    return adapted.Adapted(family, spec, adapted.questions([attacks], spec), reward)


def logits_of(model, seed=0):
    tokens = torch.randint(5, 60, (2, 9), generator=torch.Generator().manual_seed(seed))
    with torch.inference_mode():
        return model(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits


def test_matrices_change_nothing_at_first_and_they_alone_learn(published, attacks):
    before = checkpoints.load_model(published, SETTINGS).model
    one = learner(published, attacks)
    model = one.family.model
    assert torch.equal(logits_of(model), logits_of(before))
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    policy = answering.Policy(one, "adapter", SHORT)
    curve = method.learn(policy, SHORT, 3, 3, "adapter", "test")
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, kept[name])}
    assert changed and all(".lora_" in name and name.startswith("model.language_model.") for name in changed)
    assert curve[0].kl == 0.0 and curve[-1].kl > 0


def test_what_was_learned_is_a_delta_that_gives_the_same_model(published, attacks, tmp_path):
    one = learner(published, attacks)
    for parameter in one.learned.values():
        parameter.data.normal_(std=0.2, generator=torch.Generator().manual_seed(len(parameter)))
    assert not torch.allclose(logits_of(one.family.model), logits_of(checkpoints.load_model(published, SETTINGS).model))
    (tmp_path / "published").symlink_to(published)
    arm = tmp_path / "arm/model.safetensors"
    tensors = adapted.factors(one.learned, ADAPTER)
    checkpoints.save(arm, deltas.Delta(tensors, deltas.between(tmp_path / "published/model.safetensors", arm)))
    again = checkpoints.load_model(arm.parent, SETTINGS).model
    assert torch.allclose(logits_of(again), logits_of(one.family.model), atol=1e-4)
    assert arm.stat().st_size < 0.5 * (published / "model.safetensors").stat().st_size


@pytest.mark.parametrize(
    ("name", "shape"), [("model.language_model.nobody", (32, 2)), ("model.language_model.norm.weight", (32, 2))]
)
def test_factors_that_do_not_fit_the_model_are_refused(published, name, shape):
    model = checkpoints.load_model(published, SETTINGS).model
    tensors = {f"{name}{deltas.UP}": torch.zeros(shape), f"{name}{deltas.DOWN}": torch.zeros(shape[::-1])}
    with pytest.raises(ValueError, match=f"the factors of {name} do not fit"):
        deltas.apply(model, tensors)


def test_layers_that_the_model_lacks_are_refused(published, attacks):
    spec = spec_of(adapter=ADAPTER | {"modules": ["w_proj"]})
    with pytest.raises(InputError, match="'adapter.modules'.*w_proj"):
        learner(published, attacks, spec)


def test_each_row_is_read_as_if_it_were_alone_with_its_exit(published, attacks):
    """Answers of padded rows at several exits, some without an image: as likely as the engine's features make them."""
    policy = answering.Policy(learner(published, attacks), "adapter", SHORT)
    rollouts = policy.roll(0, 8)
    _, logits = policy.read(rollouts, torch.arange(8))
    tokens, given, features = rollouts.inputs
    assert len({int(row.sum()) for row in given}) > 1 and {len(one) > 0 for one in features} == {True, False}
    for row in range(8):
        alone = tokens[row][given[row] == 1]
        whole = torch.cat([alone, rollouts.answers[row, :-1]])[None]
        inputs = policy.family.generation_inputs(whole, torch.ones_like(whole), [features[row]])
        with torch.no_grad():
            expected = policy.model(**inputs).logits[0, -5:]
        assert torch.allclose(logits[row], expected, atol=1e-4)
    assert policy.never[0] not in rollouts.answers


def test_features_are_those_of_each_examples_own_exit(published, attacks):
    family = checkpoints.load_model(published, SETTINGS)
    images = [family.preprocess(models.picture(number)) for number in range(3)]
    found = answering.features_at(family, [images[0], {}, *images[1:]], [3, 0, 0, 2])
    for place, image, exit in ((0, 0, 3), (2, 1, 0), (3, 2, 2)):
        assert torch.allclose(found[place], family.features([images[image]], [exit])[exit][0], atol=1e-6)
    assert found[1].shape == (0, found[0].shape[1])
    assert answering.features_at(family, [{}, {}], [0, 1]) is None


def test_an_arm_of_an_assembled_model_learns_from_a_reward_in_its_last_blocks(published, attacks):
    stage = {"data": {"harmful": "attacks"}, "shares": {"harmful": 1.0}, "learns": 1}
    spec = {"seed": 0, "layers": [1, 3], "images": True, "stage": stage, "model": SETTINGS}
    family = checkpoints.load_model(published, SETTINGS)
    data = {"harmful": [assembled.Example(f"w{n} ?", "w1", attacks.parent / f"{n}.png") for n in range(1, 4)]}
    one = assembled.Assembled(family, spec, data, assembled.learnable(family.model, 1), long_ones)
    kept = {name: value.clone() for name, value in family.model.state_dict().items()}
    method.learn(answering.Policy(one, "alignment", SHORT), SHORT, 3, 2, "alignment", "test")
    changed = {name for name, value in family.model.state_dict().items() if not torch.equal(value, kept[name])}
    assert changed == set(one.learned)


def test_the_script_adapts_from_a_receipt_and_a_killed_training_ends_in_the_same_bytes(
    published, attacks, tmp_path, monkeypatch
):
    monkeypatch.setattr(judge, "new", lambda settings, weights: long_ones)
    monkeypatch.setenv("LAYERWISE_CACHE", str(published.parents[1]))
    monkeypatch.setattr(adapted, "Saved", partial(loop.Saved, seconds=0))
    files = tuple(cache.File(path.name, path.stat().st_size, file_digest(path)) for path in sorted(published.iterdir()))
    receipt = tmp_path / "assets/m.json"
    receipt.parent.mkdir()
    receipt.write_text(
        assets.dumps(assets.Receipt("m", "url", {"member": "small/"}, None, None, "url/small", files, 1))
    )
    spec = json.dumps(spec_of(reward={"name": "judge"}))

    def run(name):
        arm = tmp_path / "models" / name / "model.safetensors"
        given = ["--spec", spec, "--start", str(receipt), "--prompts", str(attacks), "--output", str(arm)]
        script.main([*given, "--curve", str(tmp_path / f"{name}.csv")])
        return arm

    straight = run("m.lppo.s3")
    assert json.loads((straight.parent / "below.json").read_text()) == {"below": "../../assets/m.json"}
    assert {path.name for path in straight.parent.iterdir()} == {"model.safetensors", "below.json"}
    checkpoints.load_model(straight.parent, SETTINGS)
    roll = answering.Policy.roll

    def die(policy, step, count):
        if step == 2:
            raise KeyboardInterrupt
        return roll(policy, step, count)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(answering.Policy, "roll", die)
        run("m.lppo.s4")
    assert len(torch.load(tmp_path / "models/m.lppo.s4/training.partial", weights_only=True)["curve"]) == 2
    assert file_digest(run("m.lppo.s4")) == file_digest(straight)
    receipt.unlink()
    with pytest.raises(InputError, match="m.json, which does not exist"):
        checkpoints.load_model(straight.parent, SETTINGS)
