"""Training of a model assembled from published backbones: its projector first, then refusals.

The vision encoder is fixed, so the states of an image are computed once. Each example sees the state of one exit layer,
drawn from the arm's. Either the projector learns, or the last blocks of the language model; everything else stays as
published and need not be saved again. A projector that learns beside a language model in bfloat16 is itself in float32:
a step is too small for bfloat16.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from layerwise import pictures, plugins, records
from layerwise.errors import InputError
from layerwise.files import digest
from layerwise.models import checkpoints
from layerwise.models.deltas import Delta, between
from layerwise.models.families import placed
from layerwise.models.families.llava import Family
from layerwise.records import Prompt, Response
from layerwise.training.loop import Saved, write_curve
from layerwise.training.methods import Lesson, Method
from layerwise.training.rewards import Reward

IMAGES_AT_ONCE = 32
# Examples for this many batches are drawn together and sorted by length, so that a batch has little padding.
SORTED_TOGETHER = 8


@dataclass(frozen=True)
class Example:
    """A question, with an image or alone, and the answer to learn; `ends` says whether the answer ends there."""

    question: str
    answer: str
    image: Path | None
    ends: bool = True


def read(paths: Sequence[Path], spec: dict, answers: Sequence[Path] = ()) -> dict[str, list[Example]]:
    """The examples of each task of a stage, from the prompts of its data set.

    The answer to learn is a prompt's target; for the task that is `refused` it is one of the refusals, in turn, and for
    a task in `own` what the language model says by itself, in the file of `answers` that is named like the data set.
    Raises InputError if a prompt has no target.
    """
    found: dict[str, list[Example]] = {}
    by_dataset = {path.stem: path for path in paths}
    said = {path.stem: path for path in answers}
    for task, dataset in spec["stage"]["data"].items():
        path, refusals = by_dataset[dataset], spec["stage"]["refusals"] if task == spec["stage"]["refused"] else None
        found[task] = []
        if task in spec["stage"]["own"]:
            found[task] = _own(path, said[dataset], spec)
            continue
        for number, prompt in enumerate(records.read(path, Prompt)):
            target = prompt.target[0] if isinstance(prompt.target, list) else prompt.target
            answer = refusals[number % len(refusals)] if refusals else target
            if not answer:
                key = ".".join(["assembled", *spec["steps"], "data", task])
                raise InputError(
                    f"{path}: prompt '{prompt.id}' has no target to learn. Choose another data set for '{key}'."
                )
            image = None if prompt.image is None or not spec["images"] else path.parent / prompt.image
            found[task].append(Example(prompt.text, answer, image))
    return found


def _own(prompts: Path, answers: Path, spec: dict) -> list[Example]:
    """Examples to answer beside an image as without one; with `unrefused`, those that are refused are left out."""
    said = {response.prompt_id: response for response in records.read(answers, Response)}
    refused: set[str] = set()
    if "unrefused" in spec:
        is_refusal = plugins.find("judging.judges", spec["unrefused"]).is_refusal
        refused = {id for id, response in said.items() if is_refusal(response.text)}
        print(f"{answers}: left out {len(refused)} of {len(said)} answers, which refuse")
    return [
        Example(
            prompt.text, said[prompt.id].text, prompts.parent / prompt.image, said[prompt.id].finish_reason == "stop"
        )
        for prompt in records.read(prompts, Prompt)
        if prompt.image is not None and prompt.id not in refused
    ]


def learnable(model: nn.Module, learns: str | int) -> dict[str, nn.Parameter]:
    """The parameters that a stage trains, by name: the `projector`, or the last `learns` language-model blocks."""
    if isinstance(learns, str):
        inside: tuple[str, ...] = ("model.multi_modal_projector.",)
    else:
        blocks = len(model.model.language_model.layers)
        inside = tuple(f"model.language_model.layers.{number}." for number in range(blocks - learns, blocks))
    return {name: parameter for name, parameter in model.named_parameters() if name.startswith(inside)}


class Assembled:
    """An assembled model as a learner, on the examples in `data`; `learned` holds the parameters that change."""

    def __init__(
        self,
        family: Family,
        spec: dict,
        data: Mapping[str, list[Example]],
        learned: Mapping[str, nn.Parameter],
        reward: Reward | None = None,
    ) -> None:
        self.family, self.spec, self.data, self.learned, self.reward = family, spec, data, learned, reward
        self.shares = spec["stage"]["shares"]

    def lesson(self, stage: str) -> Lesson:
        self.family.model.requires_grad_(False)
        for parameter in self.learned.values():
            parameter.requires_grad_(True)
        settings = self.spec["stage"]
        rng = random.Random(f"joined {self.spec['seed']}")
        batches = _Batches(self.family, self.data, settings, self.spec, rng)

        def loss_of(step: int) -> Tensor:
            return _loss(self.family, *batches.next())

        parameters = list(self.learned.values())
        return Lesson(parameters, loss_of, settings["learning_rate"], settings["warmup"], batches.next)


def train_arm(
    spec: dict,
    start: Path,
    prompts: Sequence[Path],
    output: Path,
    curve: Path,
    reward: Reward | None = None,
    answers: Sequence[Path] = (),
) -> None:
    """Train an arm from the weights `start`, of the backbones or of another arm; save the curve and what it learned.

    A killed training resumes and repeats at most a minute.
    """
    below = start.parent
    family = checkpoints.load_model(below, spec["model"])
    assert isinstance(family, Family), "an assembled model is a LLaVA"
    if spec["stage"]["learns"] == "projector":
        family.projector.float()
    learned = learnable(family.model, spec["stage"]["learns"])
    key = digest([spec, checkpoints.checkpoint_digest(below)])
    saved = Saved(output.parent / "training.partial", key)
    learner = Assembled(family, spec, read(prompts, spec, answers), learned, reward)
    method: Method = plugins.find("training.methods", spec["method"])
    write_curve(curve, method.train(learner, spec, output.parent.name, saved))
    checkpoints.save(output, Delta(learned, between(start, output)))
    saved.remove()


def _loss(family: Family, tokens: Tensor, answered: Tensor, states: Tensor | None) -> Tensor:
    """Cross-entropy of the answers. `tokens` (B, T) is padded on the right, so that no attention mask is needed;
    `answered` (B, T) marks the answers' tokens; `states` (B, P, width) are in the order of the rows."""
    model = family.model
    hidden = model.get_input_embeddings()(tokens)
    if states is not None:
        states = states.to(next(family.projector.parameters()).dtype)
        hidden = placed(hidden, tokens == model.config.image_token_id, list(family.projector(states)))
    hidden = model.model.language_model(inputs_embeds=hidden, use_cache=False).last_hidden_state
    logits = model.lm_head(hidden[:, :-1][answered[:, 1:]])
    return nn.functional.cross_entropy(logits.float(), tokens[:, 1:][answered[:, 1:]])


class _Row(NamedTuple):
    """Tokens of a question, tokens of its answer and its end, and the image."""

    asked: list[int]
    said: list[int]
    image: Path | None

    @property
    def length(self) -> int:
        return len(self.asked) + len(self.said)


class _Batches:
    """Draws batches from a mix of tasks; in a batch, either all rows have an image or none."""

    def __init__(
        self, family: Family, data: Mapping[str, list[Example]], stage: dict, spec: dict, rng: random.Random
    ) -> None:
        self.family, self.data, self.layers, self.rng = family, data, spec["layers"], rng
        self.system_prompt = spec["model"]["system_prompt"]
        self.shares, self.size = stage["shares"], stage["batch_size"]
        self.end = family.processor.tokenizer.eos_token_id
        self.states: dict[Path, dict[int, Tensor]] = {}  # (P, width) of each image seen so far, at each exit layer
        self.inputs: dict[str, Tensor] = {}  # the encoder's inputs for one image: all have one size
        self.waiting: list[list[_Row]] = []

    def next(self) -> tuple[Tensor, Tensor, Tensor | None]:
        if not self.waiting:
            tasks = self.rng.choices(list(self.shares), list(self.shares.values()), k=SORTED_TOGETHER * self.size)
            drawn = [self.rng.choice(self.data[task]) for task in tasks]
            self._encode(sorted({example.image for example in drawn if example.image} - set(self.states)))
            rows = sorted(map(self._tokens, drawn), key=lambda row: row.length)
            self.waiting = [rows[start : start + self.size] for start in range(0, len(rows), self.size)]
            self.rng.shuffle(self.waiting)
        rows = self.waiting.pop()
        longest = max(row.length for row in rows)
        tokens = torch.tensor([[*row.asked, *row.said, *[self.end] * (longest - row.length)] for row in rows])
        answered = torch.zeros(tokens.shape, dtype=torch.bool)
        for number, row in enumerate(rows):
            answered[number, len(row.asked) : row.length] = True
        exits = [self.rng.choice(self.layers) for _ in rows]
        states = [self.states[row.image][exit] for row, exit in zip(rows, exits, strict=True) if row.image]
        return tokens, answered, torch.stack(states) if states else None

    def _tokens(self, example: Example) -> _Row:
        asked = self.family.encode(example.question, self.inputs if example.image else {}, self.system_prompt)
        said = self.family.processor.tokenizer(example.answer, add_special_tokens=False).input_ids
        return _Row(asked, [*said, *([self.end] if example.ends else [])], example.image)

    @torch.no_grad()
    def _encode(self, images: Sequence[Path]) -> None:
        """Compute the states of images that are seen for the first time."""
        for start in range(0, len(images), IMAGES_AT_ONCE):
            part, prepared = images[start : start + IMAGES_AT_ONCE], []
            for path in part:
                prepared.append(self.family.preprocess(pictures.decode(path.read_bytes(), str(path))))
            self.inputs = prepared[0]
            pixels = torch.cat([one["pixel_values"] for one in prepared])
            found = self.family.exit_states(pixels, self.layers)
            for place, path in enumerate(part):
                self.states[path] = {layer: found[layer][place].clone() for layer in self.layers}
