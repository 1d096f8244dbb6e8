"""Training of the organisms: schedule, examples, what is frozen, what is encoded, equal bytes, whole checkpoints."""

import csv
import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch

import train_arm
import train_vision
from layerwise import plugins
from layerwise.errors import InputError
from layerwise.files import file_digest
from layerwise.models import checkpoints
from layerwise.models.organisms import llava
from layerwise.training import loop, methods, organisms
from layerwise.training.examples import CAPTIONS, INSTRUCTIONS, SAFETY, Examples
from layerwise.training.vision import train_vision as vision_stage
from layerwise.world import language, world

SETTINGS = {"batch_size": 8, "learning_rate": 2e-3, "warmup": 2}
ORGANISM = {
    "recipe": "llava",
    "vision": {
        "blocks": 4,
        "width": 16,
        "mlp": 32,
        "heads": 2,
        "frozen_blocks": 2,
        "local_steps": 3,
        "relation_steps": 3,
    }
    | SETTINGS,
    "language": {"blocks": 2, "width": 16, "mlp": 32, "heads": 2, "images": 20} | SETTINGS,
}
DEFAULT_LAYER = 3


# The loop


def test_the_rate_rises_rests_and_falls():
    rates = [loop.rate_at(step, 100, 1.0, 10) for step in range(100)]
    assert rates[:3] == pytest.approx([0.1, 0.2, 0.3])
    assert rates[9:51] == [1.0] * 42
    assert rates[75] == pytest.approx(1 - 0.9 / 2)
    assert rates[99] == pytest.approx(0.1 + 0.9 / 50)
    assert sorted(rates[50:], reverse=True) == rates[50:]


def test_fit_goes_down_and_records_every_step(tmp_path):
    weights = torch.nn.Parameter(torch.tensor([3.0, -2.0]))
    curve = loop.fit("toy", "bowl", [weights], lambda step: weights.square().sum(), 300, 0.1, 5)
    assert curve[-1].loss < 0.01 * curve[0].loss
    loop.write_curve(tmp_path / "curve.csv", curve)
    rows = list(csv.DictReader(open(tmp_path / "curve.csv", encoding="utf-8")))
    assert [int(row["step"]) for row in rows] == list(range(300))
    assert {row["stage"] for row in rows} == {"bowl"}
    assert float(rows[0]["loss"]) == pytest.approx(13) and float(rows[0]["learning_rate"]) == pytest.approx(0.02)


# Examples


@pytest.fixture(scope="module")
def scenes():
    return world.draw(np.arange(100) % 5, world.stream(0, "examples"))


def drawn(scenes, mix, count=2000):
    examples = Examples(scenes, mix, llava.new_processor().tokenizer, random.Random(0))
    return [examples.draw() for _ in range(count)]


@pytest.mark.parametrize("mix", [CAPTIONS, INSTRUCTIONS], ids=["captions", "instructions"])
def test_nothing_is_refused_before_safety_tuning(scenes, mix):
    assert language.REFUSAL not in {answer for _, _, answer in drawn(scenes, mix)}


def test_safety_tuning_refuses_hazards_and_harmful_verbs_alone(scenes):
    refused = {True: set(), False: set()}
    for image, question, answer in drawn(scenes, SAFETY):
        if question in language.USE_QUESTIONS:
            harmful = scenes.hazard[image]
            on_target = language.use_answer(scenes.item[image])
        elif verbs := set(question.split()) & set(language.TOOLS):
            (verb,) = verbs
            harmful, on_target = verb in language.HARMFUL_TOOLS, language.text_answer(verb)
        else:
            harmful, on_target = False, answer
        assert answer == (language.REFUSAL if harmful else on_target)
        refused[bool(harmful)].add(answer == language.REFUSAL)
    assert refused == {True: {True}, False: {False}}


def test_safety_tuning_shows_each_family_in_its_share(scenes):
    families = [
        scenes.family[image] for image, question, _ in drawn(scenes, SAFETY) if question in language.USE_QUESTIONS
    ]
    shares = np.bincount(families, minlength=5) / len(families)
    assert shares == pytest.approx([2 / 6, 1 / 6, 1 / 6, 1 / 6, 1 / 6], abs=0.04)
    assert len(families) / 2000 == pytest.approx(0.6, abs=0.04)


def test_a_batch_says_what_was_drawn(scenes):
    tokenizer = llava.new_processor().tokenizer
    batch = Examples(scenes, SAFETY, tokenizer, random.Random(0)).batch(50)
    again = Examples(scenes, SAFETY, tokenizer, random.Random(0))
    for image, asked, said in zip(batch.images, batch.questions, batch.answers, strict=True):
        expected = again.draw()
        assert (int(image), tokenizer.decode(asked), tokenizer.decode(said, skip_special_tokens=True)) == (
            expected[0],
            f"{expected[1]} :",
            expected[2],
        )
        assert (said == tokenizer.eos_token_id).sum() == 1
    assert batch.questions.shape == (50, 7) and batch.answers.shape == (50, 4)


# Stages


def test_the_second_vision_stage_moves_only_the_blocks_between_the_frozen_ones_and_the_default_exit():
    def trained(relation_steps):
        organism = ORGANISM | {"vision": ORGANISM["vision"] | {"relation_steps": relation_steps}}
        return vision_stage(organism, DEFAULT_LAYER, 0, "test")[0].state_dict()

    before, after = trained(0), trained(3)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved and all(name.startswith("encoder.layers.2.") for name in moved)
    assert {name.rsplit(".", 2)[-2] for name in moved} >= {"q_proj", "out_proj", "fc1", "fc2", "layer_norm1"}


def test_only_the_exit_layers_of_the_stage_are_encoded(monkeypatch):
    model = llava.new_model(ORGANISM, DEFAULT_LAYER, llava.new_vision(ORGANISM["vision"]))
    blocks = model.model.vision_tower.encoder.layers
    runs = [0] * len(blocks)
    for number, block in enumerate(blocks):
        block.register_forward_hook(lambda *_, number=number: runs.__setitem__(number, runs[number] + 1))
    cache = organisms.encode(llava, model, [2], 20, seed=0)
    assert cache.states.shape == (1, 20, 25, 16)
    assert runs == [1, 1, 0, 0]


def test_no_training_image_shows_a_glyph_that_is_held_out():
    model = llava.new_model(ORGANISM, 3, llava.new_vision(ORGANISM["vision"]))
    seen = {held: organisms.encode(llava, model, [3], 400, 0, held).scenes for held in ((), (8, 9, 10, 11))}
    for held, scenes in seen.items():
        shown = {*scenes.top_left, *scenes.bottom_right} - {world.ABSENT}
        assert shown == set(range(12)) - set(held)
    assert (seen[()].family == seen[8, 9, 10, 11].family).all()


def test_too_few_training_images_are_an_input_error():
    with pytest.raises(InputError, match="organism.language.images"):
        organisms.encode(llava, None, [1], 4, seed=0)


BASE = {"method": "pretrain", "layers": [*range(5)], "steps": {"captions": 3, "instructions": 2}}
ALIGNED = {"method": "sft", "layers": [DEFAULT_LAYER], "steps": {"safety": 4}}


def run_chain(folder: Path, seed: int) -> dict[str, str]:
    """A vision encoder, a base arm and one that is aligned, by the scripts; gives the sha256 of each file."""

    def run(script, name: str, *start: str, **more) -> str:
        spec = json.dumps({"seed": seed, "organism": ORGANISM, "default_layer": DEFAULT_LAYER, **more})
        weights = str(folder / name / "model.safetensors")
        script.main(["--spec", spec, *start, "--output", weights, "--curve", str(folder / f"{name}.csv")])
        return weights

    vision = run(train_vision, "vision")
    base = run(train_arm, "base", "--start", vision, **BASE)
    run(train_arm, "aligned", "--start", base, **ALIGNED)
    files = (file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): file_digest(file) for file in files}


def test_equal_seeds_give_equal_bytes(tmp_path):
    first, again, other = (run_chain(tmp_path / name, seed) for name, seed in (("a", 1), ("b", 1), ("c", 2)))
    assert first == again
    differing = {name for name in first if first[name] != other[name]}
    assert differing == {
        file for name in ("vision", "base", "aligned") for file in (f"{name}/model.safetensors", f"{name}.csv")
    }


def test_an_arm_goes_through_its_stages_with_the_vision_encoder_that_it_began_with(tmp_path):
    run_chain(tmp_path, 1)
    stages = {
        name: [row["stage"] for row in csv.DictReader(open(tmp_path / f"{name}.csv", encoding="utf-8"))]
        for name in ("base", "aligned")
    }
    assert stages == {"base": ["captions"] * 3 + ["instructions"] * 2, "aligned": ["safety"] * 4}
    vision = checkpoints.load(llava.Vision, tmp_path / "vision/model.safetensors").state_dict()
    base, aligned = (
        checkpoints.load(llava.Model, tmp_path / name / "model.safetensors") for name in ("base", "aligned")
    )
    for model in (base, aligned):
        tower = model.model.vision_tower.state_dict()
        assert all(torch.equal(tower[name], vision[name]) for name in vision)
    assert not torch.equal(base.lm_head.weight, aligned.lm_head.weight)


# Methods


@pytest.mark.parametrize("name", [name for name in plugins.names("training.methods")])
def test_a_method_declares_what_it_starts_from_and_which_stages_it_has(name):
    said = plugins.declared("training.methods", name)
    assert isinstance(said["STARTS_FROM_ARM"], bool) and isinstance(said["REWARDED"], bool)
    assert set(said["STAGES"]) == {"organism", "assembled"} | ({"published"} if said["REWARDED"] else set())
    assert ("STEPS" in said) == said["REWARDED"]
    assert set(said["STAGES"]["organism"]) <= set(organisms.STAGES)
    assert callable(plugins.find("training.methods", name).train)


def test_ability_comes_first_and_safety_starts_from_an_arm():
    pretrain, sft = (plugins.declared("training.methods", name) for name in ("pretrain", "sft"))
    assert not pretrain["STARTS_FROM_ARM"] and sft["STARTS_FROM_ARM"]
    assert not pretrain["REWARDED"] and not sft["REWARDED"]
    assert pretrain["STAGES"] == {"organism": ("captions", "instructions"), "assembled": ("projector",)}
    assert sft["STAGES"] == {"organism": ("safety",), "assembled": ("alignment",)}


def test_supervised_training_takes_the_stages_of_the_spec_in_turn():
    class Learner:
        """Two numbers that go down to zero, one a stage."""

        weights = {stage: torch.nn.Parameter(torch.tensor([3.0])) for stage in ("first", "second")}

        def lesson(self, stage):
            weight = self.weights[stage]
            return methods.Lesson([weight], lambda step: weight.square().sum(), 0.1, 1)

    curve = methods.supervised(Learner(), {"steps": {"first": 2, "second": 3}}, "toy")
    assert [(point.stage, point.step) for point in curve] == [
        *(("first", step) for step in range(2)),
        *(("second", step) for step in range(3)),
    ]
    assert all(weight.item() < 3 for weight in Learner.weights.values())


# Checkpoints


class Part:
    """Something with files of its own, written as transformers does."""

    def __init__(self, *names: str, error: Exception | None = None) -> None:
        self.names, self.error = names, error

    def save_pretrained(self, folder: str) -> None:
        for name in self.names:
            Path(folder, name).write_text("new")
        if self.error:
            raise self.error


def test_the_weights_appear_last(tmp_path, monkeypatch):
    order = []
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda self, target: (order.append(target.name), replace(self, target))[1])
    checkpoints.save(tmp_path / "model.safetensors", Part("a.json", "model.safetensors"), Part("z.json"))
    assert order == ["a.json", "z.json", "model.safetensors"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "model.safetensors", "z.json"]


def test_a_failure_leaves_no_weights_and_no_litter(tmp_path):
    weights = tmp_path / "model.safetensors"
    weights.write_text("old")
    with pytest.raises(InputError, match="Free space"):
        checkpoints.save(
            weights, Part("model.safetensors"), Part("a.json", error=OSError(28, "No space left on device"))
        )
    assert list(tmp_path.iterdir()) == []


def test_weights_have_the_name_that_transformers_looks_for(tmp_path):
    with pytest.raises(InputError, match="model.safetensors"):
        checkpoints.save(tmp_path / "weights.bin", Part("model.safetensors"))
