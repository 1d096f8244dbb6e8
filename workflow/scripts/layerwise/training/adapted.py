"""Adaptation of a published model: low-rank matrices beside weights of its language model learn (Hu et al. 2022).

What they learned is a delta on the published weights, which stay in the cache.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn

from layerwise import plugins, records
from layerwise.errors import InputError
from layerwise.files import digest
from layerwise.models import checkpoints
from layerwise.models.deltas import DOWN, UP, Delta, between
from layerwise.models.families import Family
from layerwise.records import Prompt
from layerwise.training.assembled import Example
from layerwise.training.loop import Saved, write_curve
from layerwise.training.methods import Method
from layerwise.training.rewards import Reward

ADAPTER = "default"  # peft's name of an adapter


class Adapted:
    """A published model as a learner, on the questions in `data`; `learned` holds the matrices, by name."""

    def __init__(
        self, family: Family, spec: dict, data: Mapping[str, list[Example]], reward: Reward | None = None
    ) -> None:
        self.family, self.spec, self.data, self.reward = family, spec, data, reward
        self.shares = spec["adapter"]["shares"]
        self.learned = inject(family.model.model.language_model, spec["adapter"], spec["seed"])


def train_arm(
    spec: dict, start: Path, prompts: Sequence[Path], output: Path, curve: Path, reward: Reward | None = None
) -> None:
    """Train an arm from published weights, `start` being their receipt, or from another arm's; save what it learned.

    A killed training resumes and repeats at most a minute.
    """
    below = start if start.suffix == ".json" else start.parent
    family = checkpoints.load_model(below, spec["model"])
    learner = Adapted(family, spec, questions(prompts, spec), reward)
    key = digest([spec, checkpoints.checkpoint_digest(below)])
    saved = Saved(output.parent / "training.partial", key)
    method: Method = plugins.find("training.methods", spec["method"])
    write_curve(curve, method.train(learner, spec, output.parent.name, saved))
    checkpoints.save(output, Delta(factors(learner.learned, spec["adapter"]), between(start, output)))
    saved.remove()


def questions(paths: Sequence[Path], spec: dict) -> dict[str, list[Example]]:
    """The questions of each task, from the prompts of its data set, without right answers."""
    by_dataset, found = {path.stem: path for path in paths}, {}
    for task, dataset in spec["adapter"]["data"].items():
        path = by_dataset[dataset]
        found[task] = [
            Example(prompt.text, "", path.parent / prompt.image if prompt.image and spec["images"] else None)
            for prompt in records.read(path, Prompt)
        ]
    return found


def inject(language_model: nn.Module, settings: dict, seed: int) -> dict[str, nn.Parameter]:
    """Put matrices beside a language model's layers; returns them by name. At first they change no output.

    `settings` are those of `study.recipes.Adapter`. Raises InputError if the model has no such layers.
    """
    torch.manual_seed(seed)
    config = LoraConfig(r=settings["rank"], lora_alpha=settings["alpha"], target_modules=settings["modules"])
    try:
        inject_adapter_in_model(config, language_model, ADAPTER)
    except ValueError as error:
        raise InputError(f"key 'adapter.modules': {error}") from error
    learned = {name: parameter for name, parameter in language_model.named_parameters() if ".lora_" in name}
    for parameter in learned.values():
        parameter.data = parameter.data.float()  # a step is too small for bfloat16
    return learned


def factors(learned: Mapping[str, nn.Parameter], settings: dict) -> dict[str, Tensor]:
    """The matrices as a delta's tensors, the scale in the second of each pair."""
    found: dict[str, Tensor] = {}
    for suffix, scale in ((DOWN, 1.0), (UP, settings["alpha"] / settings["rank"])):
        end = f"{suffix}.{ADAPTER}.weight"
        for name, parameter in learned.items():
            if name.endswith(end):
                found[f"model.language_model.{name.removesuffix(end)}.weight{suffix}"] = parameter.detach() * scale
    return found
