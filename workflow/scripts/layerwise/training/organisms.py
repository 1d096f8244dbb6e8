"""The language side of an organism learns on cached features: captions, questions, instructions, then safety.

The vision encoder is fixed, so its states are computed once. Each example sees the state of one exit layer, drawn from
the arm's.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from layerwise import plugins
from layerwise.errors import InputError
from layerwise.files import digest
from layerwise.models import checkpoints
from layerwise.models.organisms import Recipe
from layerwise.training.examples import CAPTIONS, INSTRUCTIONS, SAFETY, Examples
from layerwise.training.loop import Saved, write_curve
from layerwise.training.methods import Lesson, Method
from layerwise.world import world

if TYPE_CHECKING:  # what a reward is decides nothing for the arms that learn from none
    from layerwise.training.rewards import Reward

IMAGES_AT_ONCE = 256


@dataclass(frozen=True)
class Cache:
    """The scenes of the training images, and the language side's input from them: (layers, images, tokens, width)."""

    scenes: world.Scenes
    states: Tensor


def encode(
    recipe: Recipe, model: nn.Module, layers: Sequence[int], count: int, seed: int, held_out: Sequence[int] = ()
) -> Cache:
    """`count` images of the world, all families equally often, none with a glyph `held_out`, at the exit layers."""
    if count < len(world.FAMILIES):
        raise InputError(f"key 'organism.language.images': {count} images cannot cover all families; give 5 or more.")
    rng = world.stream(seed, "language")
    glyphs = [glyph for glyph in world.EVERY_GLYPH if glyph not in held_out]
    scenes = world.draw(np.arange(count) % len(world.FAMILIES), rng, glyphs)
    images = world.render(scenes, world.noise(count, rng))
    parts = []
    for start in range(0, count, IMAGES_AT_ONCE):
        pixel_values = torch.from_numpy(world.pixel_values(images[start : start + IMAGES_AT_ONCE]))
        states = recipe.language_states(model, pixel_values, layers)
        parts.append(torch.stack([states[layer] for layer in layers]))
    return Cache(scenes, torch.cat(parts, 1))


STAGES = {"captions": CAPTIONS, "instructions": INSTRUCTIONS, "safety": SAFETY}


class Organism:
    """An organism as a learner: the language side of `model` learns on the features of `spec["layers"]`.

    A method that learns from rewards needs a `reward`.
    """

    def __init__(self, model: nn.Module, spec: dict, reward: Reward | None = None) -> None:
        self.model, self.layers, self.seed, self.reward = model, spec["layers"], spec["seed"], reward
        self.recipe: Recipe = plugins.find("models.organisms", spec["organism"]["recipe"])
        self.settings = spec["organism"]["language"]
        shown = (self.settings["images"], self.seed, spec.get("held_out", ()))
        self.cache = encode(self.recipe, model, self.layers, *shown)
        self.tokenizer = self.recipe.new_processor().tokenizer

    def lesson(self, stage: str) -> Lesson:
        rng = random.Random(f"{stage} {self.seed}")
        examples = Examples(self.cache.scenes, STAGES[stage], self.tokenizer, rng)

        def loss_of(step: int) -> Tensor:
            batch = examples.batch(self.settings["batch_size"])
            exits = torch.tensor([rng.randrange(len(self.layers)) for _ in batch.images])
            states = self.cache.states[exits, batch.images]
            hidden = self.recipe.answer_states(self.model, states, batch.questions, batch.answers)
            logits = self.model.lm_head(hidden)
            return nn.functional.cross_entropy(logits.flatten(0, 1), batch.answers.flatten(), ignore_index=examples.pad)

        parameters = self.recipe.language_parameters(self.model)
        return Lesson(parameters, loss_of, self.settings["learning_rate"], self.settings["warmup"])


def train_arm(
    spec: dict, start: Path, prompts: Sequence[Path], output: Path, curve: Path, reward: Reward | None = None
) -> None:
    """Train an arm from the weights `start`, of the encoder or of another arm; save the curve and a whole model.

    A killed training on a reward resumes and repeats at most a minute.
    """
    assert not prompts, "an organism learns in its world"
    recipe: Recipe = plugins.find("models.organisms", spec["organism"]["recipe"])
    method: Method = plugins.find("training.methods", spec["method"])
    if method.STARTS_FROM_ARM:
        model = checkpoints.load(recipe.Model, start)
    else:
        torch.manual_seed(spec["seed"])
        encoder = checkpoints.load(recipe.Vision, start)
        model = recipe.new_model(spec["organism"], spec["default_layer"], encoder)
    saved = None
    if method.REWARDED:  # a supervised training takes seconds
        saved = Saved(output.parent / "training.partial", digest([spec, checkpoints.checkpoint_digest(start.parent)]))
    write_curve(curve, method.train(Organism(model, spec, reward), spec, output.parent.name, saved))
    checkpoints.save(output, model, recipe.new_processor())
    if saved:
        saved.remove()
