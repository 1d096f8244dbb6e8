"""The engine: prompts at exit layers in, answers out.

Rows of several exit layers are decoded side by side (`decoding`), at shapes that follow from a row's own prompt and the
settings alone. So text does not depend on which prompts and layers are requested, on their order, or on an
interruption, in bf16 either. Images are preprocessed and encoded once for all their prompts and exit layers, as long as
memory lasts.
"""

import hashlib
import traceback
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from layerwise import pictures
from layerwise.errors import InputError
from layerwise.models import variants
from layerwise.models.decoding import Decoder, Dynamic, Lost, Row, Static
from layerwise.models.families import TILES, Family
from layerwise.models.margin import first_tokens
from layerwise.models.variants import Shown, Variant
from layerwise.records import Prompt

# Memory for preprocessed images, and as much again for their features at all exit layers. It affects no result.
HELD_BYTES = 2 << 30
CACHES: dict[str, type[Decoder]] = {"dynamic": Dynamic, "static": Static}


@dataclass(frozen=True)
class Task:
    """A prompt, the exit layers to answer it at, its image file, and the images that lend it features (`variants`)."""

    prompt: Prompt
    layers: tuple[int, ...]
    image: Path | None
    donors: tuple[Shown, ...] = ()

    @property
    def shown(self) -> Shown | None:
        """Its image, by checksum and file."""
        if self.image is None or self.prompt.image_sha256 is None:
            return None
        return self.prompt.image_sha256, self.image


@dataclass(frozen=True)
class Answer:
    """What a model said. `num_tokens` excludes the end-of-sequence token, which `finish_reason` reports.

    `margin` is None where the model names no `refusal_tokens`, or where its logits are no numbers.
    """

    prompt_id: str
    layer: int
    text: str
    num_tokens: int
    finish_reason: str
    margin: float | None = None


@dataclass(frozen=True)
class Failure:
    """Why there is no answer."""

    prompt_id: str
    layer: int
    error: str


def generate(
    family: Family,
    tasks: Iterable[Task],
    max_new_tokens: int,
    batch_size: int,
    system_prompt: str | None = None,
    cache: str = "dynamic",
    refusal_tokens: Sequence[str] = (),
    variant: Variant | None = None,
) -> Iterator[Sequence[Answer | Failure]]:
    """Greedy answers to all tasks at all their layers; each list is what was finished together.

    With `refusal_tokens`, the beginnings of the model's refusals, each answer has its refusal margin. With a `variant`,
    the language model sees features that it has changed. An error with one image or in one batch becomes a `Failure` of
    each of its rows; the other rows continue. Raises InputError for a model that cannot be decoded with this kind of
    `cache`, or has no such token.
    """
    refusal = first_tokens(family.processor.tokenizer, refusal_tokens)
    decoder = CACHES[cache](family, batch_size, max_new_tokens, refusal)
    tasks = sorted(tasks, key=lambda task: (task.prompt.image_sha256 or "", task.prompt.id))
    images = _Images(family, sorted({layer for task in tasks for layer in task.layers}), variant)
    groups: dict[tuple[bool, int], list[tuple[Task, list[int]]]] = defaultdict(list)
    for task in tasks:
        try:
            tokens = family.encode(task.prompt.text, images.preprocessed(task.shown), system_prompt)
            groups[task.image is None, len(tokens)].append((task, tokens))
        except Exception as error:
            yield _failures(((task, layer) for layer in task.layers), error)
    for _, encoded in sorted(groups.items(), key=lambda group: group[0]):
        batch: list[Row] = []
        for row in _rows(encoded, images):
            if isinstance(row, Failure):
                yield [row]
                continue
            batch.append(row)
            if len(batch) == decoder.at_once:
                decoder.add(batch)
                yield from _done(family, decoder)
                batch = []
        if batch:
            decoder.add(batch)
            yield from _done(family, decoder)
    decoder.rest()
    yield from _done(family, decoder)


def _rows(encoded: Sequence[tuple[Task, list[int]]], images: "_Images") -> Iterator[Row | Failure]:
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
                        yield Row((task, layer), tokens, found.get(layer))
            held, size = [], 0


def _done(family: Family, decoder: Decoder) -> Iterator[Sequence[Answer | Failure]]:
    """What a decoder has finished since it was last asked."""
    done, decoder.done = decoder.done, []
    answers: list[Answer | Failure] = []
    for said in done:
        task, layer = said.row.key
        if isinstance(said, Lost):
            answers += _failures([said.row.key], said.error)
            continue
        text = family.processor.tokenizer.decode(said.tokens, skip_special_tokens=True).strip()
        reason = "stop" if said.ended else "length"
        answers.append(Answer(task.prompt.id, layer, text, len(said.tokens), reason, said.margin))
    if answers:
        yield answers


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

    def __init__(self, family: Family, layers: list[int], variant: Variant | None = None) -> None:
        self.family, self.layers, self.variant = family, layers, variant
        self.encoded = layers if variant is None else sorted({*layers, family.default_layer})
        self.together = 1  # how many prompts' images to encode in one go: the first one shows how large they are
        self._preprocessed = _Held()
        self._encoded = _Held()

    def preprocessed(self, shown: Shown | None) -> dict[str, Tensor]:
        """An image as the encoder's inputs; empty without an image. Raises InputError naming the file."""
        if shown is None:
            return {}
        key, path = shown
        if key not in self._preprocessed:
            image = read_image(path, key)
            self._preprocessed.add(key, self.family.preprocess(self.variant.image(image) if self.variant else image))
        return self._preprocessed[key]

    @torch.inference_mode()
    def features(self, tasks: list[Task]) -> list[dict[int, Tensor]]:
        """The features of each task's image, by exit layer; empty without an image."""
        seen = iter(self.look([task.shown for task in tasks if task.shown]))
        found = [next(seen) if task.shown else {} for task in tasks]
        if self.variant is None:
            return found
        return [
            variants.varied(self.variant, task.layers, own, task.donors, self._tokens) if own else own
            for task, own in zip(tasks, found, strict=True)
        ]

    def look(self, images: Sequence[Shown]) -> list[dict[int, Tensor]]:
        """The features of images as the encoder gives them, by exit layer."""
        found: dict[str, dict[int, Tensor]] = {}
        new: dict[str, Shown] = {}
        for key, path in images:
            if key in self._encoded:
                found[key] = self._encoded[key]
            else:
                new[key] = (key, path)
        if new:
            by_layer = self.family.features([self.preprocessed(shown) for shown in new.values()], self.encoded)
            for place, key in enumerate(new):
                found[key] = {layer: features[place] for layer, features in by_layer.items()}
                self._encoded.add(key, found[key])
            self.together = min(TILES, max(1, HELD_BYTES // _bytes(found[key])))
        return [found[key] for key, _ in images]

    def _tokens(self, images: Sequence[Shown]) -> list[variants.Features]:
        return [variants.tokens_of(found) for found in self.look(images)]


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
    except (OSError, ValueError) as error:
        prompts = path.parents[2] / f"{path.parent.name}.jsonl"
        raise InputError(
            f"image {path} cannot be read: {error}. Delete {prompts}, and the next run builds both again."
        ) from error
    return pictures.decode(content, f"image {path}")
