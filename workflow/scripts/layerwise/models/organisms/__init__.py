"""Model organisms: one file per recipe, which shapes a small model of a genuine family for the synthetic world."""

from collections.abc import Collection
from typing import Any, Protocol

from torch import Tensor, nn
from transformers import PreTrainedModel, ProcessorMixin


class Recipe(Protocol):
    """What the file of a recipe offers. `Vision` and `Model` are the classes of its encoder and of its whole model.

    Settings are dicts with the keys of `study.recipes.Organism`, and of its `vision`. B is the batch, P the 25 patches.
    """

    Vision: type[PreTrainedModel]
    Model: type[PreTrainedModel]

    def new_vision(self, vision: dict) -> PreTrainedModel:
        """An untrained encoder. The blocks to be frozen start without attention, so that they do not mix the cells."""

    def new_model(self, organism: dict, default_layer: int, encoder: PreTrainedModel) -> PreTrainedModel:
        """A model with this vision encoder, whose projector and language model are untrained."""

    def new_processor(self) -> ProcessorMixin:
        """The processor that turns the world's pixels and words into the model's inputs."""

    def vision_states(self, encoder: PreTrainedModel, pixel_values: Tensor, layer: int, frozen: int = 0) -> Tensor:
        """States of the patches (B, P, width) after `layer` blocks; no gradient reaches the first `frozen` ones."""

    def vision_parameters(self, encoder: PreTrainedModel, layer: int, frozen: int = 0) -> list[nn.Parameter]:
        """The encoder's parameters to train: all before exit layer `layer`, or only its blocks from `frozen` on."""

    def exit_states(self, model: PreTrainedModel, pixel_values: Tensor, layers: Collection[int]) -> dict[int, Tensor]:
        """States of the patches (B, P, width) at each exit layer, for probes."""

    def language_states(
        self, model: PreTrainedModel, pixel_values: Tensor, layers: Collection[int]
    ) -> dict[int, Tensor]:
        """The language side's input from an image (B, tokens, width), at each exit layer."""

    def language_parameters(self, model: PreTrainedModel) -> list[nn.Parameter]:
        """The language side's parameters to train."""

    def answer_states(self, model: PreTrainedModel, states: Tensor, question: Tensor, answer: Tensor) -> Tensor:
        """Last hidden states (B, A, width) from which an answer's tokens (B, A) follow, after a question's (B, Q) and
        `language_states`; `model.lm_head` makes logits of them."""

    def generation_inputs(self, model: PreTrainedModel, states: Tensor, question: Tensor) -> dict[str, Any]:
        """The arguments of `model.generate` for a question's tokens (B, Q), after `language_states`."""
