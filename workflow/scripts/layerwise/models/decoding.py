"""Greedy decoding: prompts with the features of their images in, the tokens of their answers out.

A model is only ever run at shapes that follow from a prompt's own length and the settings; batches are filled up with
copies of a row. So an answer depends on its own row alone, in bf16 too, where sums depend on the shape of a batch.
Nothing is padded: prompts are read in batches of one length. Of a checkpoint's generation settings, only the end of a
sequence counts. There are two kinds of key-value cache:

- `Dynamic`: a batch is read and answered before the next; its cache grows, and is copied, with every token.
- `Static`, for GPUs: a fixed number of slots, each with room for a whole row. Prompts are read a few at a time, take a
  slot each, beside rows of other lengths, and leave it to the next when they end. The shape of a step never changes, so
  on a GPU it is recorded once, as a CUDA graph, and replayed: its hundreds of kernels cost one launch.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicCache, DynamicLayer

from layerwise.errors import InputError
from layerwise.models import margin
from layerwise.models.families import Family

# Prompts that `Static` reads at a time. Part of the result, as is the next line.
READ = 8
# Slots have room for a multiple of this many tokens.
STRIDE = 128
# `Static` has fewer slots than asked for where a row takes more tokens than this, in the same memory.
USUAL = 768
# Arguments of a model whose last place holds for all later tokens as well.
LASTING = ("cross_attention_mask",)


@dataclass(frozen=True, eq=False)
class Row:
    """A prompt to answer, by a key of the caller's: its tokens, and its image's features unless it has none."""

    key: Any
    tokens: list[int]
    features: Tensor | None


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


class Start(NamedTuple):
    """Prompts that were read: what the model says of their next tokens, and what it remembers.

    `logits` (rows, vocabulary); `positions` (…, rows, 1) of the next tokens; `lasting`, arguments for all of them.
    """

    logits: Tensor
    cache: Cache
    positions: Tensor
    lasting: dict[str, Tensor]


def new_cache(model: torch.nn.Module) -> DynamicCache:
    """An empty cache, of the kinds of layers that a language model has."""
    return DynamicCache(config=model.config.get_text_config())


def read(family: Family, rows: Sequence[Row], size: int) -> Start:
    """Read prompts of one length, filled up to `size`."""
    filled = [*rows, *[rows[-1]] * (size - len(rows))]
    tokens = torch.tensor([row.tokens for row in filled], device=family.model.device)
    inputs: dict[str, Any] = {
        "position_ids": torch.arange(tokens.shape[1], device=tokens.device).expand(size, -1),
        "past_key_values": new_cache(family.model),
    }
    seen = None if rows[0].features is None else [row.features for row in filled]
    inputs |= family.generation_inputs(tokens, torch.ones_like(tokens), seen)
    logits = family.model(**inputs, use_cache=True, logits_to_keep=1).logits[:, -1]
    lasting = {name: value[:, -1:] for name, value in inputs.items() if name in LASTING}
    return Start(logits, inputs["past_key_values"], inputs["position_ids"][..., -1:] + 1, lasting)


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
        self.done.extend(Lost(row, error) for row in rows)


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
        count = slots(self.size, length)
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

    def _begin(self, slots: "Slots", rows: Sequence[Row], start: Start) -> None:
        """Give rows that were read a slot each, unless they end at once."""
        tokens = start.logits.argmax(-1)[: len(rows)].tolist()
        going = [number for number, token in enumerate(tokens) if not self._ended([token])]
        if going:
            slots.fill([(rows[number], [tokens[number]]) for number in going], start, going)
        for number in set(range(len(rows))).difference(going):
            self._say(rows[number], [tokens[number]])

    def _step(self, slots: "Slots") -> None:
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


def room(prompt: int, max_new_tokens: int) -> int:
    """The tokens that a slot has room for, from those of the prompt."""
    return -(-(prompt + max_new_tokens) // STRIDE) * STRIDE


def slots(size: int, length: int) -> int:
    """How many slots of that length there are for a batch of `size`."""
    return max(1, min(size, size * USUAL // length))


class Slots:
    """Rows that are being answered side by side, each at a place of its own; all have room for `shape[0]` tokens.

    `going` holds the row in a slot and the tokens it has said. A slot without a row computes what nobody reads.
    """

    def __init__(self, model: torch.nn.Module, shape: tuple[int, bool], count: int, like: Start) -> None:
        self.model, self.shape, self.count = model, shape, count
        self.going: dict[int, tuple[Row, list[int]]] = {}
        device = model.device
        self.tokens = torch.zeros(count, 1, dtype=torch.long, device=device)
        self.places = torch.zeros(count, dtype=torch.long, device=device)
        self.positions = like.positions.new_zeros(*like.positions.shape[:-2], count, 1)
        self.hidden = torch.finfo(model.dtype).min
        self.mask = torch.full((count, 1, 1, shape[0]), self.hidden, dtype=model.dtype, device=device)
        self.lasting = {name: value.new_zeros(count, *value.shape[1:]) for name, value in like.lasting.items()}
        fixed = getattr(model.config.get_text_config(), "cross_attention_layers", ())
        layers = [
            SlotLayer(layer, count, None if number in fixed else shape[0], self.places)
            for number, layer in enumerate(like.cache.layers)
        ]
        self.cache = Cache(layers=layers)
        self.advance: Callable[[], object] = self._advance
        if device.type == "cuda" and len({parameter.device for parameter in model.parameters()}) == 1:
            self.advance = recorded(self._advance)

    @property
    def room(self) -> int:
        return self.count - len(self.going)

    def fill(self, rows: Sequence[tuple[Row, list[int]]], start: Start, numbers: list[int]) -> None:
        """Give each row, with its first token, a slot; `numbers` are their places in `start`."""
        free = [slot for slot in range(self.count) if slot not in self.going][: len(rows)]
        self.going |= dict(zip(free, rows, strict=True))
        length = len(rows[0][0].tokens)
        self.tokens[free] = self.tokens.new_tensor([tokens for _, tokens in rows])
        self.places[free] = length
        self.positions[..., free, :] = start.positions[..., numbers, :]
        self.mask[free] = self.hidden
        self.mask[free, ..., :length] = 0
        for name, value in start.lasting.items():
            self.lasting[name][free] = value[numbers]
        for layer, read in zip(self.cache.layers, start.cache.layers, strict=True):
            layer.fill(free, read, numbers)

    def step(self) -> list[int]:
        """One token more of each row, by slot."""
        self.advance()
        return self.tokens[:, 0].tolist()

    def _advance(self) -> None:
        self.mask.scatter_(3, self.places[:, None, None, None], 0)
        logits = self.model(
            input_ids=self.tokens,
            attention_mask=self.mask,
            position_ids=self.positions,
            past_key_values=self.cache,
            use_cache=True,
            **self.lasting,
        ).logits[:, -1]
        self.tokens.copy_(logits.argmax(-1, keepdim=True))
        self.positions.add_(1)
        self.places.add_(1).clamp_(max=self.shape[0] - 1)


class SlotLayer(CacheLayerMixin):
    """The keys and values (slots, heads, length, width) of one block, like those of a prompt that was read.

    Each step writes at every slot's place. Without a `length`, they are the image's: read, and never written.
    """

    is_sliding = False
    is_compileable = True

    def __init__(self, like: DynamicLayer, count: int, length: int | None, places: Tensor) -> None:
        super().__init__()
        self.is_initialized = like.is_initialized
        self.places = places
        if like.is_initialized:
            shape = (count, like.keys.shape[1], length or like.keys.shape[2])
            # Zeros, not whatever was there: hidden places are multiplied by zero, and NaN would survive it.
            self.keys = like.keys.new_zeros(*shape, like.keys.shape[3])
            self.values = like.values.new_zeros(*shape, like.values.shape[3])
            self.slots = torch.arange(count, device=like.keys.device)

    def fill(self, slots: list[int], read: DynamicLayer, rows: list[int]) -> None:
        """Copy the rows of a prompt's layer into slots."""
        if self.is_initialized:
            length = read.keys.shape[2]
            self.keys[slots, :, :length] = read.keys[rows]
            self.values[slots, :, :length] = read.values[rows]

    def update(self, key_states: Tensor, value_states: Tensor, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        places = self.places.to(self.keys.device)
        self.keys[self.slots, :, places] = key_states[:, :, 0]
        self.values[self.slots, :, places] = value_states[:, :, 0]
        return self.keys, self.values

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        raise NotImplementedError("its shape is given from the start")

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.get_max_length(), 0

    def get_seq_length(self) -> int:
        return self.get_max_length()

    def get_max_length(self) -> int:
        return self.keys.shape[2]


def recorded(step: Callable[[], object]) -> Callable[[], object]:
    """A CUDA graph of a step that reads and writes the same memory each time."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(2):  # libraries set themselves up, which a graph cannot hold
            step()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay
