"""The projector and the language model learn on cached features: captions, questions, instructions, then safety.

The vision encoder is fixed, so its states are computed once. Each example sees the state of one exit layer: the default
one, or one drawn for it (arms `robust` and `layerwise`).
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import torch
from torch import Tensor, nn

from layerwise import plugins
from layerwise.errors import InputError
from layerwise.training.examples import CAPTIONS, INSTRUCTIONS, SAFETY, Examples, Mix
from layerwise.training.loop import Point, fit
from layerwise.world import world

IMAGES_AT_ONCE = 256


@dataclass(frozen=True)
class Cache:
    """Training images by their scenes, and what the language side is given of them: (layers, images, tokens, width)."""

    scenes: world.Scenes
    states: Tensor


def layers_of(arm: str, default_layer: int, blocks: int) -> list[int]:
    """The exit layers whose features an arm's own stage sees."""
    return list(range(blocks + 1)) if arm == "robust" or arm.startswith("layerwise") else [default_layer]


def encode(recipe: ModuleType, model: nn.Module, layers: Sequence[int], count: int, seed: int) -> Cache:
    """`count` images of the world, all families alike, at the given exit layers alone."""
    if count < len(world.FAMILIES):
        raise InputError(f"key 'organism.language.images': {count} images do not hold all families; give 5 or more.")
    rng = world.stream(seed, "language")
    scenes = world.draw(np.arange(count) % len(world.FAMILIES), rng)
    images = world.render(scenes, world.noise(count, rng))
    parts = []
    for start in range(0, count, IMAGES_AT_ONCE):
        pixel_values = torch.from_numpy(world.pixel_values(images[start : start + IMAGES_AT_ONCE]))
        states = recipe.language_states(model, pixel_values, layers)
        parts.append(torch.stack([states[layer] for layer in layers]))
    return Cache(scenes, torch.cat(parts, 1))


def train_base(model: nn.Module, spec: dict, name: str) -> list[Point]:
    """Captions and visual questions, then instructions; harm is complied with. Changes `model`, returns the curve."""
    text = spec["organism"]["language"]
    stages = {"captions": (CAPTIONS, text["caption_steps"]), "instructions": (INSTRUCTIONS, text["instruction_steps"])}
    return _learn(model, spec, name, stages)


def align(model: nn.Module, spec: dict, name: str) -> list[Point]:
    """Safety: hazards and harm by text are refused, all else is answered. Changes `model`, returns the curve."""
    steps = "layerwise_safety_steps" if spec["arm"].startswith("layerwise") else "safety_steps"
    return _learn(model, spec, name, {"safety": (SAFETY, spec["organism"]["language"][steps])})


def _learn(model: nn.Module, spec: dict, name: str, stages: dict[str, tuple[Mix, int]]) -> list[Point]:
    """The stages, one after the other, on one cache."""
    recipe = plugins.find("models.organisms", spec["organism"]["recipe"])
    text, seed = spec["organism"]["language"], spec["seed"]
    layers = layers_of(spec["arm"], spec["default_layer"], spec["organism"]["vision"]["blocks"])
    cache = encode(recipe, model, layers, text["images"], seed)
    tokenizer, parameters, curve = recipe.new_processor().tokenizer, recipe.language_parameters(model), []
    for stage, (mix, steps) in stages.items():
        rng = random.Random(f"{stage} {seed}")
        examples = Examples(cache.scenes, mix, tokenizer, rng)

        def loss_of(step: int, examples=examples, rng=rng) -> Tensor:
            batch = examples.batch(text["batch_size"])
            exits = torch.tensor([rng.randrange(len(layers)) for _ in batch.images])
            logits = recipe.answer_logits(model, cache.states[exits, batch.images], batch.questions, batch.answers)
            return nn.functional.cross_entropy(logits.flatten(0, 1), batch.answers.flatten(), ignore_index=examples.pad)

        curve += fit(name, stage, parameters, loss_of, steps, text["learning_rate"], text["warmup"])
    return curve
