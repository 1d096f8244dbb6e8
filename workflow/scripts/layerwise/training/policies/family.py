"""The language model of an assembled or published model, asked questions of data sets."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from layerwise import pictures
from layerwise.models.families import TILES, Family
from layerwise.records import Prompt
from layerwise.training import ppo
from layerwise.training.rollouts import Rollouts, sampled


class Policy:
    """What learns is the learner's choice, within the language model; features are computed anew at each step."""

    def __init__(self, learner: Any, stage: str, settings: dict) -> None:
        self.learner, self.family, self.longest = learner, learner.family, settings["max_new_tokens"]
        self.model, self.rng = self.family.model, random.Random()
        self.model.requires_grad_(False)
        self.parameters = list(learner.learned.values())
        for parameter in self.parameters:
            parameter.requires_grad_(True)
        self.head: nn.Linear = self.model.get_output_embeddings()
        self.width = self.head.in_features
        self.tokenizer = self.family.processor.tokenizer
        self.ends, self.pad = self.model.generation_config.eos_token_id, self.model.generation_config.pad_token_id
        # In an answer, the placeholder of an image would ask for another image.
        self.never = [self.tokenizer.convert_tokens_to_ids(self.family.processor.image_token)]

    def roll(self, step: int, count: int) -> Rollouts:
        spec, rng = self.learner.spec, self.rng
        rng.seed(f"{spec['seed']} rollouts {step}")
        tasks = rng.choices(list(self.learner.shares), list(self.learner.shares.values()), k=count)
        drawn = [rng.choice(self.learner.data[task]) for task in tasks]
        exits = [rng.choice(spec["layers"]) for _ in drawn]
        images = [preprocessed(self.family, example.image) for example in drawn]
        system = spec["model"].get("system_prompt")
        asked = [
            self.family.encode(example.question, image, system) for example, image in zip(drawn, images, strict=True)
        ]
        length = max(map(len, asked))
        tokens = torch.tensor([[self.pad] * (length - len(row)) + row for row in asked])
        given = torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in asked])
        features = features_at(self.family, images, exits)
        inputs = (tokens.to(self.model.device), given.to(self.model.device), features)
        with torch.no_grad():
            start = self.family.generation_inputs(*inputs)
        answers = sampled(self.model, start, self.longest, self.ends, self.pad, self.never)
        prompts = [
            Prompt(f"{i}", task, one.question, None, None, "harmful", f"{i}")
            for i, (task, one) in enumerate(zip(tasks, drawn, strict=True))
        ]
        said = self.tokenizer.batch_decode(answers, skip_special_tokens=True)
        rewards = torch.tensor(self.learner.reward(prompts, said), device=answers.device)
        return Rollouts(inputs, answers, ppo.real_tokens(answers, self.ends), rewards)

    def read(self, rollouts: Rollouts, rows: Tensor) -> tuple[Tensor, Tensor]:
        tokens, given, features = rollouts.inputs
        answers = rollouts.answers[rows]
        before = answers[:, :-1]
        inputs = self.family.generation_inputs(
            torch.cat([tokens[rows], before], 1),
            torch.cat([given[rows], torch.ones_like(before)], 1),
            features and [features[row] for row in rows.tolist()],
        )
        seen: list[Tensor] = []
        hook = self.head.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0]))
        logits = self.model(**inputs, logits_to_keep=answers.shape[1]).logits
        hook.remove()
        return seen[0], logits


def preprocessed(family: Family, path: Path | None) -> dict[str, Tensor]:
    """The vision encoder's inputs for an image file; empty without one."""
    if path is None:
        return {}
    return family.preprocess(pictures.decode(path.read_bytes(), str(path)))


@torch.no_grad()
def features_at(family: Family, images: Sequence[dict[str, Tensor]], exits: Sequence[int]) -> list | None:
    """The features of each image at its own exit layer; None if there is no image.

    A row without an image among others with one gets no features: a (0, width) tensor.
    """
    found: list = [None] * len(images)
    there = [number for number, image in enumerate(images) if image]
    for start in range(0, len(there), TILES):
        part = there[start : start + TILES]
        by_layer = family.features([images[number] for number in part], sorted({exits[number] for number in part}))
        for place, number in enumerate(part):
            found[number] = by_layer[exits[number]][place].clone()
    if not there:
        return None
    nothing = found[there[0]][:0]
    return [nothing if one is None else one for one in found]
