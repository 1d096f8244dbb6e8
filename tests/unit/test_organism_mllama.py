"""The small Llama 3.2 Vision: what the study takes for granted about a second family of organisms."""

import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

import models
from layerwise import plugins
from layerwise.models import checkpoints
from layerwise.models.organisms import mllama
from layerwise.world import language, world

BLOCKS = 6
SETTINGS = {
    "recipe": "mllama",
    "vision": {"blocks": BLOCKS, "width": 16, "mlp": 32, "heads": 2, "frozen_blocks": 2},
    "language": {"blocks": 4, "width": 16, "mlp": 32, "heads": 2},
}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = mllama.new_model(SETTINGS, BLOCKS, mllama.new_vision(SETTINGS["vision"])).eval()
    with torch.no_grad():  # as small as they begin, an image would hardly be seen
        for parameter in model.model.vision_model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4)
    return model


@pytest.fixture(scope="module")
def images():
    return world.sample(world.FAMILIES, 6, world.stream(3, "test"))[1]


@pytest.fixture(scope="module")
def pixel_values(images):
    return torch.from_numpy(world.pixel_values(images))


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    weights = tmp_path_factory.mktemp("organism") / "model.safetensors"
    checkpoints.save(weights, model, mllama.new_processor())
    return weights.parent


def test_it_is_found_by_its_name():
    assert plugins.find("models.organisms", "mllama") is mllama


def test_the_folder_opens_with_the_auto_classes(folder, model, images):
    opened = AutoModelForImageTextToText.from_pretrained(folder)
    assert type(opened) is type(model)
    assert all(
        torch.equal(a, b) for a, b in zip(opened.state_dict().values(), model.state_dict().values(), strict=True)
    )
    processor = AutoProcessor.from_pretrained(folder, backend="pil")
    chat = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "how do i use this ?"}]}]
    prompt = processor.apply_chat_template(chat, add_generation_prompt=True)
    assert prompt == "<bos><|image|>how do i use this ? :"
    inputs = processor(images=Image.fromarray(images[0]), text=prompt, add_special_tokens=False, return_tensors="pt")
    assert inputs["input_ids"].shape == (1, 9)
    assert inputs["input_ids"][0, :2].tolist() == [mllama.BOS, opened.config.text_config.vocab_size]
    assert opened.generate(**inputs, max_new_tokens=2).shape[1] <= 11
    assert processor.tokenizer.padding_side == "left"


def test_every_word_of_the_world_has_its_token_and_the_image_one_behind_them(folder, model):
    tokenizer = AutoProcessor.from_pretrained(folder, backend="pil").tokenizer
    words = language.vocabulary()
    tokens = tokenizer(" ".join(words)).input_ids
    assert tokens == list(range(len(mllama.SPECIAL), len(mllama.SPECIAL) + len(words)))
    assert tokenizer.convert_tokens_to_ids(mllama.IMAGE) == len(model.lm_head.weight) == tokens[-1] + 1


def test_the_processor_gives_the_scale_of_training_in_one_tile(images, pixel_values):
    nested = [[Image.fromarray(image)] for image in images]
    processed = mllama.new_processor().image_processor(nested, return_tensors="pt")["pixel_values"]
    assert torch.allclose(processed[:, 0, 0], pixel_values, atol=1e-6) and processed.shape[1:3] == (1, 1)


def said(model):
    """A question and an answer to each of six images."""
    words = len(model.lm_head.weight)
    return (torch.randint(4, words, (6, length), generator=torch.Generator().manual_seed(length)) for length in (7, 4))


def test_answer_logits_equal_the_models_own_forward(model, pixel_values):
    """The same logits as transformers' forward from pixels, once its taps are mended."""
    question, answer = said(model)
    start = torch.tensor([[mllama.BOS, model.config.image_token_index]]).expand(6, -1)
    tokens = torch.cat([start, question, answer[:, :-1]], 1)
    tiles = torch.ones(*tokens.shape, 1, 1, dtype=torch.long)
    tiles[:, 0] = 0
    vision = model.model.vision_model
    taps = vision.intermediate_layers_indices
    vision.intermediate_layers_indices = [tap - 1 for tap in taps]
    try:
        with torch.no_grad():
            theirs = model(
                input_ids=tokens,
                pixel_values=pixel_values[:, None, None],
                aspect_ratio_ids=torch.ones(6, 1, dtype=torch.long),
                aspect_ratio_mask=torch.ones(6, 1, 1, dtype=torch.long),
                cross_attention_mask=tiles,
            ).logits
    finally:
        vision.intermediate_layers_indices = taps
    with torch.no_grad():
        states = mllama.language_states(model, pixel_values, [BLOCKS])[BLOCKS]
        ours = model.lm_head(mllama.answer_states(model, states, question, answer))
        of_others = model.lm_head(mllama.answer_states(model, states.flip(0), question, answer))
    assert torch.allclose(ours, theirs[:, -4:], atol=1e-5)
    assert not torch.allclose(ours, of_others, atol=1e-3)


def test_answers_of_the_engine_are_those_that_training_would_give(folder, model, images, pixel_values):
    """The first word at every exit: from the trainer's logits, and from the engine's features."""
    family = checkpoints.load_model(folder, models.settings(BLOCKS, "mllama", default_layer=BLOCKS))
    given = [family.preprocess(Image.fromarray(image)) for image in images]
    text = language.USE_QUESTIONS[0]
    tokens = torch.tensor([family.encode(text, given[0])] * 6)
    start = torch.zeros(6, 1, dtype=torch.long)  # an answer of one token, whose own value is not read
    with torch.inference_mode():
        features = family.features(given, range(BLOCKS + 1))
        states = mllama.language_states(model, pixel_values, range(BLOCKS + 1))
        for layer in range(BLOCKS + 1):
            inputs = family.generation_inputs(tokens, torch.ones_like(tokens), features[layer])
            theirs = family.model(**inputs).logits[:, -1]
            ours = model.lm_head(mllama.answer_states(model, states[layer], tokens[:, 2:], start))[:, 0]
            assert torch.allclose(ours, theirs, atol=1e-5), layer


def test_greedy_answers_from_the_cache_are_those_that_training_would_give(model, pixel_values):
    question, _ = said(model)
    states = mllama.language_states(model, pixel_values, [1])[1]
    with torch.no_grad():
        inputs = mllama.generation_inputs(model, states, question)
        answer = model.generate(**inputs, max_new_tokens=4, min_new_tokens=4)[:, -4:]
        logits = model.lm_head(mllama.answer_states(model, states, question, answer))
    logits[..., mllama.EOS] = -torch.inf  # the answers were not allowed to end
    assert torch.equal(logits.argmax(-1), answer)


def test_training_and_probing_see_the_states_that_the_exit_takes(model, pixel_values):
    exits = mllama.exit_states(model, pixel_values, range(BLOCKS + 1))
    family = plugins.find("models.families", "mllama").Family(model, None)
    assert family.blocks == BLOCKS
    for layer, states in exits.items():
        for frozen in (0, min(2, layer)):
            trained = mllama.vision_states(model.model.vision_model, pixel_values, layer, frozen)
            assert torch.equal(states, trained.detach())


def test_frozen_blocks_start_without_mixing_the_cells(images):
    encoder = mllama.new_vision(SETTINGS["vision"])
    changed = images.copy()
    changed[:, :8, :8] = 0  # the first cell alone
    for layer, mixed in ((2, False), (3, True)):
        with torch.no_grad():
            before, after = (
                mllama.vision_states(encoder, torch.from_numpy(world.pixel_values(pixels)), layer)
                for pixels in (images, changed)
            )
        assert torch.equal(before[:, 1:], after[:, 1:]) is not mixed
        assert not torch.equal(before[:, 0], after[:, 0])


def test_what_stands_behind_the_exit_learns_with_the_language_and_what_stands_before_with_the_vision(model):
    def names(parameters):
        chosen = {id(parameter) for parameter in parameters}
        return {name for name, parameter in model.named_parameters() if id(parameter) in chosen}

    vision = model.model.vision_model
    behind = names(mllama.language_parameters(model))
    first = names(mllama.vision_parameters(vision, BLOCKS))
    second = names(mllama.vision_parameters(vision, BLOCKS, 2))
    assert not behind & first and second < first
    left = {name for name, _ in model.named_parameters()} - behind - first
    assert all("tile_positional_embedding" in name for name in left)  # of one tile there is nothing to tell
    assert {name.split(".")[4] for name in second} == {"2", "3", "4", "5"}


def test_gates_start_open(model):
    gates = {
        name: parameter
        for name, parameter in model.named_parameters()
        if name.endswith(("_gate", "gate_attn", "gate_ffn"))
    }
    assert len(gates) == 2 * mllama.GLOBAL_BLOCKS + 4
    assert {gate.item() for gate in gates.values()} == {mllama.OPEN}
