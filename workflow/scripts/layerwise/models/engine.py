"""The engine: prompts at exit layers in, answers out, one batch at a time.

A batch holds prompts of one token length and always has the same number of rows; copies of its last row fill it up. In
bf16, greedy text depends on the shape of a batch. Because that shape is constant, text does not depend on which prompts
and layers are requested, on their order, or on an interruption. Nothing is padded, and rows of several exit layers
share a batch. Images are preprocessed and encoded once for all their prompts and exit layers, as long as memory lasts.
"""

import hashlib
import io
import traceback
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from layerwise.errors import InputError
from layerwise.models.families import TILES, Family
from layerwise.records import Prompt

# Memory for preprocessed images, and as much again for their features at all exit layers. It affects no result.
HELD_BYTES = 2 << 30


@dataclass(frozen=True)
class Task:
    """A prompt, the exit layers to answer it at, and its image file."""

    prompt: Prompt
    layers: tuple[int, ...]
    image: Path | None


@dataclass(frozen=True)
class Answer:
    """What a model said. `num_tokens` excludes the end-of-sequence token, which `finish_reason` reports."""

    prompt_id: str
    layer: int
    text: str
    num_tokens: int
    finish_reason: str


@dataclass(frozen=True)
class Failure:
    """Why there is no answer."""

    prompt_id: str
    layer: int
    error: str


@dataclass(frozen=True, eq=False)
class _Row:
    """One row of a batch: a task at one exit layer, its tokens, and its image's features there."""

    task: Task
    layer: int
    tokens: list[int]
    features: Tensor | None


def generate(
    family: Family, tasks: Iterable[Task], max_new_tokens: int, batch_size: int, system_prompt: str | None = None
) -> Iterator[Sequence[Answer | Failure]]:
    """Greedy answers to all tasks at all their layers; each list is a finished batch.

    An error with one image or in one batch becomes a `Failure` of each of its rows; the other rows continue.
    """
    tasks = sorted(tasks, key=lambda task: (task.prompt.image_sha256 or "", task.prompt.id))
    images = _Images(family, sorted({layer for task in tasks for layer in task.layers}))
    groups: dict[tuple[int, bool], list[tuple[Task, list[int]]]] = defaultdict(list)
    for task in tasks:
        try:
            tokens = family.encode(task.prompt.text, images.preprocessed(task), system_prompt)
            groups[len(tokens), task.image is None].append((task, tokens))
        except Exception as error:
            yield _failures(((task, layer) for layer in task.layers), error)
    for _, encoded in sorted(groups.items(), key=lambda group: group[0]):
        batch: list[_Row] = []
        for row in _rows(encoded, images):
            if isinstance(row, Failure):
                yield [row]
                continue
            batch.append(row)
            if len(batch) == batch_size:
                yield _answers(family, batch, max_new_tokens, batch_size)
                batch = []
        if batch:
            yield _answers(family, batch, max_new_tokens, batch_size)


def _rows(encoded: Sequence[tuple[Task, list[int]]], images: "_Images") -> Iterator[_Row | Failure]:
    """Rows of prompts of one length: layer by layer, for as many prompts at a time as have room for their features."""
    held: list[tuple[Task, list[int], dict[int, Tensor]]] = []
    size = start = 0
    while start < len(encoded):
        part = encoded[start : start + images.together]
        start += len(part)
        try:
            features = images.features([task for task, _ in part])
        except Exception as error:
            yield from _failures(((task, layer) for task, _ in part for layer in task.layers), error)
            continue
        held.extend((task, tokens, found) for (task, tokens), found in zip(part, features, strict=True))
        size += sum(_bytes(found) for found in features)
        if size >= HELD_BYTES or start >= len(encoded):
            for layer in images.layers:
                for task, tokens, found in held:
                    if layer in task.layers:
                        yield _Row(task, layer, tokens, found.get(layer))
            held, size = [], 0


@torch.inference_mode()
def _answers(family: Family, rows: list[_Row], max_new_tokens: int, batch_size: int) -> Sequence[Answer | Failure]:
    """Generate for at most `batch_size` rows of one token length."""
    filled = rows + rows[-1:] * (batch_size - len(rows))
    try:
        input_ids = torch.tensor([row.tokens for row in filled], device=family.model.device)
        features = None if rows[0].features is None else [row.features for row in filled]
        inputs = family.generation_inputs(input_ids, torch.ones_like(input_ids), features)
        config = family.model.generation_config
        ends = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
        padding = ends[0] if config.pad_token_id is None else config.pad_token_id
        output = family.model.generate(
            **inputs, max_new_tokens=max_new_tokens, do_sample=False, num_beams=1, pad_token_id=padding
        )
    except Exception as error:
        return _failures(((row.task, row.layer) for row in rows), error)
    # The output repeats the prompt if it was given as tokens.
    said = output[:, input_ids.shape[1] if "input_ids" in inputs else 0 :].tolist()
    answers = []
    for row, tokens in zip(rows, said, strict=False):
        length = next((place for place, token in enumerate(tokens) if token in ends), None)
        reason = "length" if length is None else "stop"
        text = family.processor.tokenizer.decode(tokens[:length], skip_special_tokens=True).strip()
        answers.append(Answer(row.task.prompt.id, row.layer, text, len(tokens[:length]), reason))
    return answers


def _failures(rows: Iterable[tuple[Task, int]], error: Exception) -> list[Failure]:
    """The same failure for several rows; an unexplained one also leaves its traceback in the log."""
    if isinstance(error, InputError):
        said = str(error)
    else:
        traceback.print_exception(error)
        said = f"{type(error).__name__}: {error}"
    return [Failure(task.prompt.id, layer, said) for task, layer in rows]


class _Images:
    """Images, each preprocessed and encoded once, by checksum; when memory is short, the least recently used go."""

    def __init__(self, family: Family, layers: list[int]) -> None:
        self.family = family
        self.layers = layers
        self.together = 1  # how many prompts' images to encode in one go: the first one shows how large they are
        self._preprocessed = _Held()
        self._encoded = _Held()

    def preprocessed(self, task: Task) -> dict[str, Tensor]:
        """The image of a task as the encoder's inputs; empty without an image. Raises InputError naming the file."""
        if task.image is None:
            return {}
        key = task.prompt.image_sha256
        if key not in self._preprocessed:
            self._preprocessed.add(key, self.family.preprocess(read_image(task.image, key)))
        return self._preprocessed[key]

    @torch.inference_mode()
    def features(self, tasks: list[Task]) -> list[dict[int, Tensor]]:
        """The features of each task's image, by exit layer; empty without an image."""
        found: dict[str | None, dict[int, Tensor]] = {None: {}}
        new: dict[str | None, Task] = {}
        for task in tasks:
            key = task.prompt.image_sha256
            if key in self._encoded:
                found[key] = self._encoded[key]
            elif task.image is not None:
                new[key] = task
        if new:
            by_layer = self.family.features([self.preprocessed(task) for task in new.values()], self.layers)
            for place, key in enumerate(new):
                found[key] = {layer: features[place] for layer, features in by_layer.items()}
                self._encoded.add(key, found[key])
            self.together = min(TILES, max(1, HELD_BYTES // _bytes(found[key])))
        return [found[task.prompt.image_sha256] for task in tasks]


class _Held(OrderedDict):
    """Tensors by image, within `HELD_BYTES`."""

    size = 0

    def add(self, key: str | None, tensors: dict[Any, Tensor]) -> None:
        self[key] = tensors
        self.size += _bytes(tensors)
        while self.size > HELD_BYTES and len(self) > 1:
            self.size -= _bytes(self.popitem(last=False)[1])

    def __getitem__(self, key: str | None) -> dict[Any, Tensor]:
        self.move_to_end(key)
        return super().__getitem__(key)


def _bytes(tensors: dict[Any, Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors.values())


def read_image(path: Path, sha256: str | None) -> Image.Image:
    """The image in a file with that checksum. Raises InputError naming the file."""
    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise ValueError("checksum mismatch with the prompts file")
        image = Image.open(io.BytesIO(content))
        image.load()
    except Exception as error:
        prompts = path.parents[2] / f"{path.parent.name}.jsonl"
        raise InputError(
            f"image {path} cannot be read: {error}. Delete {prompts}, and the next run builds both again."
        ) from error
    return image
