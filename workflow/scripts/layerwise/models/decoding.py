"""Greedy decoding: prompts with the features of their images in, the tokens of their answers out.

A model is only ever run at shapes that follow from a prompt's own length and the settings; batches are filled up with
copies of a row. So an answer depends on its own row alone, in bf16 too, where sums depend on the shape of a batch.
Nothing is padded: prompts are read in batches of one length. Of a checkpoint's generation settings, only the end of a
sequence counts. There are two kinds of key-value cache:

- `Dynamic`: a batch is read and answered before the next; its cache grows, and is copied, with every token.
- `Static`, for GPUs: a fixed number of slots, each with room for a whole row. Prompts are read a few at a time, take a
  slot each, beside rows of other lengths, and leave it to the next when they end. The shape of a step never changes, so
  on a GPU it is recorded once, as a CUDA graph, and replayed: its hundreds of kernels cost one launch. All families
  here give the same texts with both.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from transformers.cache_utils import DynamicLayer

from layerwise.errors import InputError
from layerwise.models import margin
from layerwise.models.families import Family
from layerwise.models.reading import Row, Start, new_cache, read
from layerwise.models.slots import Slots, many, room

# Prompts that `Static` reads at a time. Part of the result.
READ = 8


class Said(NamedTuple):
    """The tokens of an answer, and whether it ended by itself; the token that ends it is not among them.

    `margin` is the refusal margin before the first of them (`margin`), for a decoder that measures it.
    """

    row: Row
    tokens: list[int]
    ended: bool
    margin: float | None


class Lost(NamedTuple):
    """A row without an answer, and why."""

    row: Row
    error: Exception


class Decoder:
    """Answers rows, at most `size` at a time, each with at most `max_new_tokens`; results gather in `done`.

    An error loses the rows that were computed together, and no others. `refusal`: the tokens that refusals begin with.
    """

    def __init__(self, family: Family, size: int, max_new_tokens: int, refusal: Sequence[int] = ()) -> None:
        self.family, self.model, self.size, self.max_new_tokens = family, family.model, size, max_new_tokens
        self.refusal, self.margins = refusal, dict[Row, float | None]()
        ends = self.model.generation_config.eos_token_id
        self.ends = set(ends if isinstance(ends, list) else [ends])
        self.done: list[Said | Lost] = []

    @property
    def at_once(self) -> int:
        """How many rows `add` takes."""
        raise NotImplementedError

    def add(self, rows: Sequence[Row]) -> None:
        """Take rows of one length, all with an image or all without; answer them now or later."""
        raise NotImplementedError

    def rest(self) -> None:
        """Answer the rows that are left."""

    def _read(self, rows: Sequence[Row], size: int) -> Start:
        """Read prompts of one length, filled up to `size`, and note their margins."""
        start = read(self.family, rows, size)
        if self.refusal:
            self.margins.update(zip(rows, margin.stored(start.logits, self.refusal), strict=False))
        return start

    def _ended(self, tokens: list[int]) -> bool:
        return tokens[-1] in self.ends or len(tokens) == self.max_new_tokens

    def _say(self, row: Row, tokens: list[int]) -> None:
        length = next((place for place, token in enumerate(tokens) if token in self.ends), None)
        self.done.append(Said(row, tokens[:length], length is not None, self.margins.pop(row, None)))

    def _lose(self, rows: Iterable[Row], error: Exception) -> None:
        for row in rows:
            self.margins.pop(row, None)
            self.done.append(Lost(row, error))


class Dynamic(Decoder):
    @property
    def at_once(self) -> int:
        return self.size

    @torch.inference_mode()
    def add(self, rows: Sequence[Row]) -> None:
        try:
            for row, tokens in zip(rows, self._answers(self._read(rows, self.size)), strict=False):
                self._say(row, tokens)
        except Exception as error:
            self._lose(rows, error)

    def _answers(self, start: Start) -> list[list[int]]:
        """The tokens of each row, which go on after its end until all have ended."""
        logits, positions = start.logits, start.positions
        said: list[list[int]] = [[] for _ in range(self.size)]
        while True:
            tokens = logits.argmax(-1, keepdim=True)
            for one, (token,) in zip(said, tokens.tolist(), strict=True):
                one.append(token)
            if len(said[0]) == self.max_new_tokens or all(self.ends.intersection(one) for one in said):
                return said
            step = {"input_ids": tokens, "position_ids": positions, "past_key_values": start.cache, **start.lasting}
            logits = self.model(**step, use_cache=True).logits[:, -1]
            positions = positions + 1


class Static(Decoder):
    """Raises InputError for a language model that does not attend to all that was said before."""

    def __init__(self, family: Family, size: int, max_new_tokens: int, refusal: Sequence[int] = ()) -> None:
        super().__init__(family, size, max_new_tokens, refusal)
        if any(type(layer) is not DynamicLayer for layer in new_cache(self.model).layers):
            raise InputError(
                "this language model attends within a window, or has a memory of another kind, for which there is no "
                "static cache. Set `cache: dynamic` in the model's YAML."
            )
        self.slots: Slots | None = None

    @property
    def at_once(self) -> int:
        return READ

    @torch.inference_mode()
    def add(self, rows: Sequence[Row]) -> None:
        length = room(len(rows[0].tokens), self.max_new_tokens)
        shape = (length, rows[0].features is None)
        if self.slots is not None and self.slots.shape != shape:
            self.rest()
        count = many(self.size, length)
        for first in range(0, len(rows), count):
            part = rows[first : first + count]
            while self.slots is not None and self.slots.room < len(part):
                self._step(self.slots)
            try:
                start = self._read(part, READ)
                self.slots = self.slots or Slots(self.model, shape, count, start)
                self._begin(self.slots, part, start)
            except Exception as error:
                self._lose(part, error)

    @torch.inference_mode()
    def rest(self) -> None:
        while self.slots is not None and self.slots.going:
            self._step(self.slots)
        self.slots = None

    def _begin(self, slots: Slots, rows: Sequence[Row], start: Start) -> None:
        """Give rows that were read a slot each, unless they end at once."""
        tokens = start.logits.argmax(-1)[: len(rows)].tolist()
        going = [number for number, token in enumerate(tokens) if not self._ended([token])]
        if going:
            slots.fill([(rows[number], [tokens[number]]) for number in going], start, going)
        for number in set(range(len(rows))).difference(going):
            self._say(rows[number], [tokens[number]])

    def _step(self, slots: Slots) -> None:
        try:
            said = slots.step()
        except Exception as error:
            self._lose((row for row, _ in slots.going.values()), error)
            self.slots = None
            return
        for slot, (row, tokens) in list(slots.going.items()):
            tokens.append(said[slot])
            if self._ended(tokens):
                self._say(row, tokens)
                del slots.going[slot]
