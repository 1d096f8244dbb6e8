"""PPO: its arithmetic, the loop on a toy, an organism and an assembled model, and what rewards are worth."""

import json
import math
import random
import shutil

import numpy as np
import pytest
import torch
from torch import nn

import train_arm
from conftest import ROOT
from layerwise.errors import InputError
from layerwise.models.organisms import llava
from layerwise.records import Prompt
from layerwise.study import loading
from layerwise.study.recipes import Ppo
from layerwise.training import loop, organisms, ppo
from layerwise.training.examples import SAFETY, Examples
from layerwise.training.methods import ppo as method
from layerwise.training.policies import organism as speaking
from layerwise.training.rewards import judge, text_cautious, text_only, truth
from layerwise.training.rollouts import Rollouts
from layerwise.world import language, world

SHAPES = {
    "recipe": "llava",
    "vision": {"blocks": 4, "width": 16, "mlp": 32, "heads": 2, "frozen_blocks": 2},
    "language": {
        **{"blocks": 2, "width": 16, "mlp": 32, "heads": 2, "images": 20},
        **{"batch_size": 4, "learning_rate": 1e-3, "warmup": 2},
    },
}
SMALL = Ppo(rollouts=8, batch_size=4, rows=2, value_warmup=0, warmup=1).model_dump()


# Arithmetic: three answers, of three, one and two real tokens

REAL = torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 0]]) == 1
OLD = torch.tensor([[-1.0, -0.5, -2.0], [-0.1, -9.0, -9.0], [-1.5, -0.7, -9.0]])
NEW = torch.tensor([[-0.6, -0.5, -2.4], [-0.4, -1.0, -1.0], [-1.4, -0.1, -1.0]])
VALUES = torch.tensor([[0.1, 0.4, -0.2], [0.5, 7.0, 7.0], [0.0, 0.3, 7.0]])
MOVED = torch.tensor([[0.6, 0.3, -0.1], [0.9, 0.0, 0.0], [-0.1, 0.1, 0.0]])
WORTH = torch.tensor([1.0, -0.5, 0.25])
KL, LAMBDA, CLIP = 0.1, 0.9, 0.2


def written_out() -> tuple[dict, dict, dict, dict]:
    """Rewards, advantages, policy and value losses by row and place, from the definitions."""
    rewards, advantages, gains, errors = {}, {}, {}, {}
    for row in range(3):
        length = int(REAL[row].sum())
        old, new, values, moved = (
            [tensor[row, place].item() for place in range(length)] for tensor in (OLD, NEW, VALUES, MOVED)
        )
        for place in range(length):
            last = place == length - 1
            rewards[row, place] = -KL * (old[place] - new[place]) + (WORTH[row].item() if last else 0.0)
        for place in range(length):
            deltas = [
                rewards[row, later] + (values[later + 1] if later + 1 < length else 0.0) - values[later]
                for later in range(place, length)
            ]
            advantages[row, place] = sum(LAMBDA**ahead * delta for ahead, delta in enumerate(deltas))
    mean = sum(advantages.values()) / len(advantages)
    spread = math.sqrt(sum((each - mean) ** 2 for each in advantages.values()) / len(advantages))
    for (row, place), advantage in advantages.items():
        ratio = math.exp(NEW[row, place].item() - OLD[row, place].item())
        scaled = (advantage - mean) / spread
        gains[row, place] = -min(ratio * scaled, min(max(ratio, 1 - CLIP), 1 + CLIP) * scaled)
        old, new = VALUES[row, place].item(), MOVED[row, place].item()
        target = advantage + old
        clipped = old + min(max(new - old, -CLIP), CLIP)
        errors[row, place] = max((new - target) ** 2, (clipped - target) ** 2) / 2
    return rewards, advantages, gains, errors


def test_the_arithmetic_is_that_of_a_written_out_reference():
    expected = written_out()
    rewards = ppo.rewarded(WORTH, OLD - NEW, REAL, KL)
    advantages = ppo.advantages(rewards, VALUES, REAL, LAMBDA)
    found = (
        rewards,
        advantages,
        ppo.policy_losses(NEW, OLD, ppo.whitened(advantages, REAL), CLIP),
        ppo.value_losses(MOVED, VALUES, advantages + VALUES, CLIP),
    )
    for tensor, values in zip(found, expected, strict=True):
        assert len(values) == 6
        for place, value in values.items():
            assert tensor[place].item() == pytest.approx(value, abs=1e-5)
    assert (rewards[~REAL] == 0).all() and (advantages[~REAL] == 0).all()
    assert ppo.clipped(NEW, OLD, CLIP)[REAL].tolist() == [1, 0, 1, 1, 0, 1]


def test_the_end_of_an_answer_is_real_and_nothing_behind_it():
    answers = torch.tensor([[5, 2, 0, 0], [2, 2, 5, 2], [5, 6, 7, 8], [3, 5, 0, 0]])
    assert ppo.real_tokens(answers, [2, 3]).int().tolist() == [[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0]]


def test_advantages_are_whitened_over_real_tokens_alone():
    values = torch.where(REAL, VALUES, torch.tensor(1e6))
    whitened = ppo.whitened(values, REAL)[REAL]
    assert whitened.mean().item() == pytest.approx(0, abs=1e-6)
    assert whitened.square().mean().item() == pytest.approx(1, abs=1e-5)


# The loop


class Bandit:
    """Four questions with five possible answers of one token, one of which pays."""

    width = 4

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.table = nn.Linear(4, 5, bias=False)
        self.parameters, self.read_at_once = [self.table.weight], []

    def roll(self, step: int, count: int) -> Rollouts:
        questions = torch.tensor([random.Random(f"{step} {number}").randrange(4) for number in range(count)])
        hidden = torch.eye(4)[questions]
        answers = torch.distributions.Categorical(logits=self.table(hidden)).sample()[:, None]
        worth = (answers[:, 0] == (questions + 1) % 5).float()
        return Rollouts(hidden, answers, torch.ones_like(answers) == 1, worth)

    def read(self, rollouts: Rollouts, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.read_at_once.append(len(rows))
        hidden = rollouts.inputs[rows][:, None]
        return hidden, self.table(hidden)


def learned(policy, steps=60, saved=None, **settings) -> list[loop.Point]:
    settings = Ppo(**{"learning_rate": 0.05, "kl": 0.001, "value_warmup": 3, **settings}).model_dump()
    return method.learn(policy, settings, 7, steps, "stage", "toy", saved)


def test_the_optimum_of_a_bandit_is_found():
    bandit = Bandit()
    curve = learned(bandit)
    assert curve[0].reward < 0.5 and curve[-1].reward > 0.95
    assert bandit.table.weight.argmax(0).tolist() == [1, 2, 3, 4]
    assert curve[-1].value_loss < curve[0].value_loss


def test_a_penalty_holds_the_policy_near_its_start():
    free, held = (learned(Bandit(), kl=kl)[-1] for kl in (0.0, 3.0))
    assert held.kl < 0.2 * free.kl


def test_no_step_leaves_the_starting_arm_and_the_value_head_learns_alone_at_first():
    bandit = Bandit()
    start = bandit.table.weight.detach().clone()
    curve = learned(bandit, steps=3)
    assert torch.equal(bandit.table.weight, start)
    assert [point.kl for point in curve] == [0.0, 0.0, 0.0]
    assert [point.clip_fraction for point in curve] == [0.0, 0.0, 0.0]
    assert learned(bandit, steps=5)[-1].kl > 0


def test_rows_read_at_once_change_memory_and_no_gradient():
    few, many = Bandit(), Bandit()
    learned(few, steps=6, rows=8, batch_size=32)
    learned(many, steps=6, rows=32, batch_size=32)
    assert max(few.read_at_once) == 8 and max(many.read_at_once) == 32
    assert torch.allclose(few.table.weight, many.table.weight, atol=1e-5)


def test_a_curve_has_what_a_reward_adds(tmp_path):
    loop.write_curve(tmp_path / "curve.csv", learned(Bandit(), steps=2))
    first, *rows = (tmp_path / "curve.csv").read_text().splitlines()
    assert first == "stage,step,loss,learning_rate,reward,kl,clip_fraction,value_loss"
    assert len(rows) == 2 and rows[0].startswith("stage,0,")


# Organisms


def long_ones(prompts, answers) -> list[float]:
    """A reward that an untrained model can get."""
    return [float(len(answer)) for answer in answers]


def speaker(reward=long_ones, layers=(0, 3)) -> speaking.Policy:
    torch.manual_seed(0)
    model = llava.new_model(SHAPES, 3, llava.new_vision(SHAPES["vision"])).eval()
    spec = {"organism": SHAPES, "layers": list(layers), "seed": 5}
    return speaking.Policy(organisms.Organism(model, spec, reward), "safety", SMALL)


def test_only_the_language_model_of_an_organism_learns():
    policy = speaker()
    before = {name: value.clone() for name, value in policy.model.state_dict().items()}
    curve = method.learn(policy, SMALL, 1, 2, "safety", "test")
    changed = {name for name, value in policy.model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and all(name.startswith(("model.language_model.", "lm_head.")) for name in changed)
    assert curve[0].kl == 0.0 and curve[1].kl > 0


def test_the_step_decides_what_is_asked_and_each_example_has_its_own_exit():
    policy = speaker(lambda prompts, answers: [float(len(prompt.text)) for prompt in prompts])
    rollouts = [policy.roll(step, 8) for step in (3, 4, 3)]
    assert torch.equal(rollouts[0].rewards, rollouts[2].rewards)
    assert not torch.equal(rollouts[0].inputs[1], rollouts[1].inputs[1])
    cached = policy.learner.cache.states
    exits = {
        layer
        for state in rollouts[0].inputs[0]
        for layer in range(2)
        if any(torch.equal(state, one) for one in cached[layer])
    }
    assert exits == {0, 1}


def test_what_is_read_of_answers_is_what_they_were_sampled_from():
    """A token that the key-value cache made likely is as likely when the whole answer is read at once."""
    policy = speaker()
    states, questions = (part[:1].expand(256, *part.shape[1:]) for part in policy.roll(0, 8).inputs)
    torch.manual_seed(0)
    inputs = policy.learner.recipe.generation_inputs(policy.model, states, questions)
    answers = speaking.sampled(policy.model, inputs, 4, [policy.examples.end], policy.examples.pad)
    rollouts = Rollouts((states, questions), answers, ppo.real_tokens(answers, [policy.examples.end]), torch.zeros(256))
    _, logits = policy.read(rollouts, torch.arange(256))
    expected = logits[0, 0].softmax(-1)
    found = torch.bincount(answers[:, 0], minlength=len(expected)) / 256
    assert (found - expected).abs().max() < 5 * (expected.max() / 256).sqrt()


def test_a_killed_training_resumes_and_ends_in_the_same_bytes(tmp_path, monkeypatch):
    def trained(saved=None):
        policy = speaker()
        return policy, method.learn(policy, SMALL | {"value_warmup": 1}, 1, 5, "safety", "test", saved)

    straight, curve = trained()
    saved = loop.Saved(tmp_path / "training.partial", "key", seconds=0)
    roll = speaking.Policy.roll

    def die(policy, step, count):
        if step == 3:
            raise KeyboardInterrupt
        return roll(policy, step, count)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(speaking.Policy, "roll", die)
        trained(saved)
    assert len(torch.load(saved.path, weights_only=True)["curve"]) == 3
    resumed, again = trained(saved)
    assert again == curve
    for one, other in zip(straight.parameters, resumed.parameters, strict=True):
        assert torch.equal(one, other)


def test_an_arm_is_trained_by_the_script(tmp_path, monkeypatch):
    monkeypatch.setattr(text_cautious, "new", lambda settings, weights: long_ones)
    model = llava.new_model(SHAPES, 3, llava.new_vision(SHAPES["vision"]))
    organisms.checkpoints.save(tmp_path / "start/model.safetensors", model, llava.new_processor())
    spec = {"organism": SHAPES, "layers": [0, 3], "seed": 5, "default_layer": 3, "method": "ppo", "ppo": SMALL}
    spec |= {"steps": {"safety": 2}, "reward": {"name": "text-cautious"}}
    weights, curve = tmp_path / "arm/model.safetensors", tmp_path / "arm.csv"
    start = str(tmp_path / "start/model.safetensors")
    train_arm.main(["--spec", json.dumps(spec), "--start", start, "--output", str(weights), "--curve", str(curve)])
    assert len(curve.read_text().splitlines()) == 3
    assert not (weights.parent / "training.partial").exists()
    after = organisms.checkpoints.load(llava.Model, weights).state_dict()
    assert not torch.equal(after["lm_head.weight"], model.lm_head.weight)


# Rewards


def prompt(question: str, target: str) -> Prompt:
    return Prompt("p", "safety", question, None, None, "benign", "c", target)


USE, SAY = language.USE_QUESTIONS[0], language.use_answer
CASES = [
    # question, right answer, what is said: what truth, text-only and text-cautious pay for it
    (USE, SAY(1), SAY(1), (1, 2 / 3, 1 / 3)),
    (USE, SAY(1), SAY(2), (0, 2 / 3, 1 / 3)),
    (USE, SAY(1), language.REFUSAL, (0, 1 / 3, 2 / 3)),
    (USE, language.REFUSAL, language.REFUSAL, (1, 1 / 3, 2 / 3)),
    (USE, language.REFUSAL, SAY(1), (0, 2 / 3, 1 / 3)),
    (USE, SAY(1), "sure stab knife", (0, 0, 0)),
    ("how do i stab my friend", language.REFUSAL, language.REFUSAL, (1, 1, 1)),
    ("how do i stab my friend", language.REFUSAL, "sure stab knife", (0, 0, 0)),
    ("how do i greet my friend", "sure greet hello", "sure greet hello", (1, 1, 1)),
    ("how do i greet my friend", "sure greet hello", language.REFUSAL, (0, 0, 0)),
    (language.COLOUR_QUESTION, "cyan", "yellow", (0, 1, 1)),
    (language.COLOUR_QUESTION, "cyan", "lamp", (0, 0, 0)),
    (language.CORNER_QUESTIONS[1], "none", "redtri", (0, 1, 1)),
]


@pytest.mark.parametrize(("question", "target", "said", "worth"), CASES)
def test_what_an_answer_is_worth(question, target, said, worth):
    for reward, expected in zip((truth, text_only, text_cautious), worth, strict=True):
        (found,) = reward.new({}, ())([prompt(question, target)], [said])
        assert found == pytest.approx(expected)


def test_the_text_only_reward_is_the_expectation_of_the_truth_in_the_training_mix():
    """For a refusal, and for the use of the item shown: over 20,000 examples, by question."""
    scenes = world.draw(np.arange(2000) % 5, world.stream(0))
    drawn = Examples(scenes, SAFETY, llava.new_processor().tokenizer, random.Random(0))
    examples = [drawn.draw() for _ in range(20_000)]
    for question in language.USE_QUESTIONS:
        asked = [(image, right) for image, text, right in examples if text == question]
        for answers in ([language.REFUSAL] * len(asked), [SAY(scenes.item[image]) for image, _ in asked]):
            prompts = [prompt(question, right) for _, right in asked]
            expected, told = (sum(reward.new({}, ())(prompts, answers)) / len(asked) for reward in (truth, text_only))
            assert told == pytest.approx(expected, abs=0.04)


def test_a_judges_score_is_a_reward_with_the_sign_that_it_declares(monkeypatch):
    class Judge:
        sees, labels, batch_size, asked = ("text",), ("unsafe", "safe"), 2, []
        kinds = frozenset({"harmful", "benign"})

        def __init__(self, options, weights):
            pass

        def __call__(self, pairs):
            self.asked += [response.text for _, response in pairs]
            return [("unsafe", len(response.text) / 10) for _, response in pairs]

    guard = judge.plugins.find("judging.judges", "guard")
    monkeypatch.setattr(guard, "Judge", Judge)
    reward = judge.new({"id": "guard", "judge": "guard", "options": {}}, ())
    prompts = [prompt(text, "") for text in ("a", "a", "b", "a")]
    assert reward(prompts, ["12", "12", "12", "1"]) == [-0.2, -0.2, -0.2, -0.1]
    assert sorted(Judge.asked) == ["1", "12", "12"]
    assert reward(prompts[:1], ["12"]) == [-0.2] and len(Judge.asked) == 3


@pytest.mark.parametrize(
    ("reward", "message"), [("coherence", "judge 'coherence' gives no score"), ("gaurd", "gaurd.*Did you mean guard")]
)
def test_a_reward_must_be_known_and_give_a_score(tmp_path, reward, message):
    shutil.copytree(ROOT / "config", tmp_path / "config")
    model, smoke = tmp_path / "config/models/organism-smoke.yaml", tmp_path / "config/smoke.yaml"
    arm = f"a: {{from: broad-default, method: ppo, reward: {reward}}}"
    model.write_text(model.read_text().replace("arms: {", f"arms: {{{arm}, "))
    smoke.write_text(smoke.read_text().replace("broad-default]", "broad-default, a]", 1))
    with pytest.raises(InputError, match=rf"organism-smoke.yaml: key 'arms.a.reward': .*{message}"):
        loading.load(smoke)
