"""Training of assembled models: what is learned and what is not, kills, and checkpoints that hold deltas alone."""

import dataclasses
import json
import random
import shutil

import pytest
import torch
from safetensors.torch import load_file
from test_backbones import dinov2, llama

import models
import own_answers
import smallmodels
import train_arm as script
from layerwise import records
from layerwise.errors import InputError
from layerwise.models import backbones, checkpoints
from layerwise.models.deltas import Delta, chain
from layerwise.records import Prompt, Response
from layerwise.training import assembled, loop, methods

STAGE = {
    **{"learns": "projector", "data": {"questions": "lessons"}, "shares": {"questions": 1.0}, "own": []},
    **{"refused": None, "refusals": [], "batch_size": 4, "learning_rate": 1e-2, "warmup": 2},
}
MODEL = models.settings(3, "llava_dinov2") | {"system_prompt": None}
REFUSING = {"refused": "questions", "refusals": ["w50 w51"], "learns": 1}


def spec_of(steps: int = 6, stage: dict | None = None, **more) -> dict:
    common = {"seed": 0, "layers": [2], "images": True, "method": "sft", "steps": {"projector": steps}}
    return common | {"model": MODEL} | more | {"stage": STAGE | (stage or {})}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A small assembled model."""
    folder, tokenizer = tmp_path_factory.mktemp("models") / "m.backbones", smallmodels.tokenizer()
    model, processor = backbones.assemble(
        dinov2(), llama(len(tokenizer)), tokenizer, "<image>", 28, (0.5,) * 3, (0.5,) * 3, default_layer=2, seed=0
    )
    checkpoints.save(folder / "model.safetensors", model, processor)
    return folder


@pytest.fixture(scope="module")
def lessons(tmp_path_factory):
    """Eight questions, each with an image and an answer of its own."""
    folder, rows = tmp_path_factory.mktemp("prompts"), []
    for number in range(8):
        sha256 = models.save_picture(folder / f"{number}.png", models.picture(number))
        text, target = f"w{number} {'w9 ' * (number % 3)}?", [f"w{number + 20}"]
        rows.append(Prompt(f"p{number}", "lessons", text, f"{number}.png", sha256, "vqa", str(number), target))
    records.write(folder / "lessons.jsonl", rows)
    return folder / "lessons.jsonl"


def load(folder):
    return checkpoints.load_model(folder, models.settings(3, "llava_dinov2"))


def trained(folder, lessons, spec, saved=None):
    family = load(folder)
    learned = assembled.learnable(family.model, spec["stage"]["learns"])
    learner = assembled.Assembled(family, spec, assembled.read([lessons], spec), learned)
    curve = methods.supervised(learner, spec, "test", saved)
    return family, learned, curve


def test_the_projector_alone_learns_and_the_answers_are_learned(whole, lessons):
    family, learned, curve = trained(whole, lessons, spec_of(80, {"learning_rate": 0.05}))
    before = load(whole).model.state_dict()
    changed = {name for name, value in family.model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == set(learned) == {name for name in before if "multi_modal_projector" in name}
    first, last = (sum(point.loss for point in part) / 10 for part in (curve[:10], curve[-10:]))
    assert last < first - 0.02


def test_alignment_changes_the_last_blocks_and_nothing_else(whole, lessons):
    spec = spec_of(stage=REFUSING)
    family, learned, _ = trained(whole, lessons, spec)
    before = load(whole).model.state_dict()
    changed = {name for name, value in family.model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == set(learned)
    assert all(name.startswith("model.language_model.layers.1.") for name in learned)


def test_the_loss_is_the_models_own(whole, lessons):
    """With padding on the right and no mask, the mean loss over answers is what transformers computes row by row."""
    family = load(whole)
    batches = assembled._Batches(
        family, assembled.read([lessons], spec_of()), spec_of()["stage"], spec_of(), random.Random(3)
    )
    tokens, answered, states = batches.next()
    assert len({row.sum().item() for row in answered}) == 1 and (tokens[:, -1] == batches.end).all()
    losses = []
    with torch.no_grad():
        for row, said, state in zip(tokens, answered, states, strict=True):
            length = int(said.nonzero()[-1]) + 1
            embeddings = family.model.get_input_embeddings()(row[None, :length])
            embeddings[0, row[:length] == family.model.config.image_token_id] = family.projector(state)
            labels = torch.where(said, row, -100)[None, :length]
            losses.append(family.model(inputs_embeds=embeddings, labels=labels).loss)
        found = assembled._loss(family, tokens, answered, states)
    torch.testing.assert_close(found, torch.stack(losses).mean())


def test_refusals_are_taught_in_turn_and_without_images_no_example_has_one(lessons):
    spec = spec_of(stage={"refused": "questions", "refusals": ["a", "b"]}, images=False)
    found = assembled.read([lessons], spec)["questions"]
    assert [example.answer for example in found] == ["a", "b"] * 4
    assert {example.image for example in found} == {None}
    assert all(example.image.exists() for example in assembled.read([lessons], spec_of())["questions"])


@pytest.fixture
def own(whole, lessons, tmp_path):
    """What the language model answers to the questions by itself, as the workflow asks it."""
    decoding = {"max_new_tokens": 5, "batch_size": 4, "cache": "dynamic"}
    spec = {"subject": "m.backbones", "model": MODEL, "decoding": decoding, "only": {}}
    given = {"spec": json.dumps(spec), "weights": whole / "model.safetensors", "prompts": lessons}
    given["output"] = tmp_path / "m.own" / "lessons.jsonl"
    own_answers.main([str(part) for key, value in given.items() for part in (f"--{key}", value)])
    return given["output"]


def test_a_projector_may_learn_to_leave_the_language_models_own_answers_as_they_are(whole, lessons, own):
    family = load(whole)
    spec = spec_of(stage={"own": ["questions"]})
    examples = assembled.read([lessons], spec, [own])["questions"]
    asked = {prompt.id: prompt for prompt in records.read(lessons, Prompt)}
    answers = {answer.prompt_id: answer for answer in records.read(own, Response)}
    assert len(examples) == len(answers) == 8
    for example, prompt in zip(examples, asked.values(), strict=True):
        answer = answers[prompt.id]
        assert (example.question, example.answer) == (prompt.text, answer.text) and example.image.exists()
        tokens = torch.tensor([family.encode(prompt.text, {})])
        said = family.model.generate(tokens, attention_mask=tokens == tokens, max_new_tokens=5, do_sample=False)
        text = family.processor.tokenizer.decode(said[0, tokens.shape[1] :], skip_special_tokens=True).strip()
        assert text == answer.text, "without the image"
    cut = next(example for example in examples if not example.ends)
    batches = assembled._Batches(family, {"questions": [cut]}, spec["stage"], spec, random.Random(0))
    tokens, answered, _ = batches.next()
    assert batches.end not in tokens[answered], "an answer that was cut short does not teach where to end"


def test_answers_that_refuse_may_be_left_out(lessons, own):
    answers = records.read(own, Response)
    refusing = [dataclasses.replace(answer, text="I cannot help with that.") for answer in answers[:3]]
    records.write(own, refusing + answers[3:])
    spec = spec_of(stage={"own": ["questions"]})
    kept, left = (
        [
            example.answer
            for example in assembled.read([lessons], spec_of(stage=spec["stage"], **more), [own])["questions"]
        ]
        for more in ({}, {"unrefused": "refusal"})
    )
    assert kept[:3] == ["I cannot help with that."] * 3 and left == kept[3:]


def test_a_projector_learns_in_float32_beside_a_language_model_in_bfloat16(whole, lessons, tmp_path):
    spec = spec_of(method="pretrain", model=MODEL | {"dtype": "bfloat16"})
    output = tmp_path / "arm" / "model.safetensors"
    shutil.copytree(whole, tmp_path / whole.name)
    start = tmp_path / whole.name / "model.safetensors"
    assembled.train_arm(spec, start, [lessons], output, tmp_path / "curve.csv")
    learned = load_file(output)
    assert {value.dtype for value in learned.values()} == {torch.float32}
    assert any((value != value.bfloat16().float()).any() for value in learned.values()), "steps that bfloat16 loses"
    family = checkpoints.load_model(output.parent, spec["model"])
    assert {parameter.dtype for parameter in family.model.parameters()} == {torch.bfloat16}


def test_a_prompt_without_a_target_cannot_be_learned(lessons, tmp_path):
    row = Prompt("p", "lessons", "w1", None, None, "harmful", "c")
    records.write(tmp_path / "lessons.jsonl", [row])
    with pytest.raises(InputError, match=r"prompt 'p' has no target.*'assembled.projector.data.questions'"):
        assembled.read([tmp_path / "lessons.jsonl"], spec_of())


def test_a_training_that_was_killed_goes_on_and_ends_in_the_same_bytes(whole, lessons, tmp_path, monkeypatch):
    spec = spec_of(layers=[0, 1, 2, 3])
    _, straight, curve = trained(whole, lessons, spec)
    saved = loop.Saved(tmp_path / "training.partial", "key", seconds=0)
    taken = []

    def die(*arguments) -> torch.Tensor:
        taken.append(1)
        if len(taken) == 4:
            raise KeyboardInterrupt
        return loss(*arguments)

    loss = assembled._loss
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(assembled, "_loss", die)
        trained(whole, lessons, spec, saved)
    assert len(torch.load(saved.path, weights_only=True)["curve"]) == 3
    _, resumed, again = trained(whole, lessons, spec, saved)
    assert again == curve
    assert all(torch.equal(resumed[name], value) for name, value in straight.items())


@pytest.mark.parametrize("spoil", ["key", "bytes"])
def test_what_was_saved_for_another_training_or_is_torn_does_not_count(whole, lessons, tmp_path, spoil):
    saved = loop.Saved(tmp_path / "training.partial", "key", seconds=0)
    _, _, curve = trained(whole, lessons, spec_of(), saved)
    if spoil == "key":
        saved = loop.Saved(saved.path, "other")
    else:
        saved.path.write_bytes(saved.path.read_bytes()[:100])
    assert trained(whole, lessons, spec_of(stage={"learning_rate": 1e-3}), saved)[2][0].loss == curve[0].loss


def test_the_script_lays_what_an_arm_learned_over_what_it_started_from(whole, lessons, tmp_path):
    digests = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        shutil.copytree(whole, folder / whole.name)
        start = folder / whole.name / "model.safetensors"
        for name, method, stage in (("base", "pretrain", {}), ("tuned", "sft", REFUSING)):
            spec = spec_of(stage=stage, method=method, model=MODEL)
            output, curve = folder / name / "model.safetensors", folder / f"{name}.csv"
            given = ["--spec", json.dumps(spec), "--start", str(start), "--prompts", str(lessons)]
            script.main([*given, "--output", str(output), "--curve", str(curve)])
            start = output
        assert chain(folder / "tuned") == [folder / part for part in (whole.name, "base", "tuned")]
        assert {path.name for path in (folder / "tuned").iterdir()} == {"model.safetensors", "below.json"}
        assert curve.read_text().count("\n") == 7
        digests.append(checkpoints.checkpoint_digest(folder / "tuned"))
    assert digests[0] == digests[1]


def test_a_delta_laid_over_its_checkpoints_is_the_trained_model(whole, lessons):
    base, arm = whole.with_name("m.narrow-none.s1"), whole.with_name("m.narrow-default.s1")
    family, learned, _ = trained(whole, lessons, spec_of())
    checkpoints.save(base / "model.safetensors", Delta(learned, f"../{whole.name}"))
    spec = spec_of(stage=REFUSING)
    tuned, blocks, _ = trained(base, lessons, spec)
    checkpoints.save(arm / "model.safetensors", Delta(blocks, f"../{base.name}"))
    assert chain(arm) == [whole, base, arm] and json.loads((arm / "below.json").read_text()) == {
        "below": "../m.narrow-none.s1"
    }
    assert all(
        torch.equal(value, tuned.model.state_dict()[name]) for name, value in load(arm).model.state_dict().items()
    )
    assert (arm / "model.safetensors").stat().st_size < 0.5 * (whole / "model.safetensors").stat().st_size
    digests = {checkpoints.checkpoint_digest(folder) for folder in (whole, base, arm)}
    assert len(digests) == 3
    moved = whole.parent.with_name("moved")
    shutil.copytree(whole.parent, moved)
    assert checkpoints.checkpoint_digest(moved / arm.name) == checkpoints.checkpoint_digest(arm)
    shutil.rmtree(moved / base.name)
    with pytest.raises(InputError, match=r"below.json names .*m.narrow-none.s1, which holds no model.safetensors"):
        load(moved / arm.name)
