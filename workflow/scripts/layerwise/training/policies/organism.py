"""The language model of an organism, asked the questions of a stage; only the image tells some right answers."""

import random

import torch
from torch import Tensor

from layerwise.records import Prompt
from layerwise.training import ppo
from layerwise.training.examples import LONGEST_ANSWER, Examples
from layerwise.training.organisms import STAGES, Organism
from layerwise.training.rollouts import Rollouts, sampled
from layerwise.world import language


class Policy:
    """The language model alone learns: the projector stays, and the encoder's states are cached."""

    def __init__(self, learner: Organism, stage: str, settings: dict) -> None:
        self.learner, self.model, self.stage = learner, learner.model, stage
        self.rng = random.Random()
        self.examples = Examples(learner.cache.scenes, STAGES[stage], learner.tokenizer, self.rng)
        self.width = self.model.lm_head.in_features
        self.model.requires_grad_(False)
        language_model = (self.model.model.language_model, self.model.lm_head)
        self.parameters = [parameter for part in language_model for parameter in part.parameters()]
        for parameter in self.parameters:
            parameter.requires_grad_(True)

    def roll(self, step: int, count: int) -> Rollouts:
        self.rng.seed(f"{self.stage} {self.learner.seed} rollouts {step}")
        images, questions, right = self.examples.batch(count)
        exits = torch.tensor([self.rng.randrange(len(self.learner.layers)) for _ in images])
        states = self.learner.cache.states[exits, images]
        with torch.no_grad():
            inputs = self.learner.recipe.generation_inputs(self.model, states, questions)
        answers = sampled(self.model, inputs, LONGEST_ANSWER, [self.examples.end], self.examples.pad)
        asked = [text.removesuffix(f" {language.QUESTION_END}") for text in self._texts(questions)]
        prompts = [
            Prompt(str(number), self.stage, question, None, None, "benign", str(number), target)
            for number, (question, target) in enumerate(zip(asked, self._texts(right), strict=True))
        ]
        assert self.learner.reward is not None, "the method declares that it is rewarded"
        rewards = torch.tensor(self.learner.reward(prompts, self._texts(answers)))
        return Rollouts((states, questions), answers, ppo.real_tokens(answers, [self.examples.end]), rewards)

    def read(self, rollouts: Rollouts, rows: Tensor) -> tuple[Tensor, Tensor]:
        states, questions = rollouts.inputs
        answers = rollouts.answers[rows]
        hidden = self.learner.recipe.answer_states(self.model, states[rows], questions[rows], answers)
        return hidden, self.model.lm_head(hidden)

    def _texts(self, tokens: Tensor) -> list[str]:
        """The words of tokens (B, T), without special ones."""
        return self.learner.tokenizer.batch_decode(tokens, skip_special_tokens=True)
