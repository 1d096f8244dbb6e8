"""Slots: rows that are decoded side by side at a constant shape, each at a place of its own in a key-value cache."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicLayer

from layerwise.models.reading import Row, Start

# Slots have room for a multiple of this many tokens. Part of the result, as is the next line.
STRIDE = 128
# There are fewer slots than asked for where a row takes more tokens than this, in the same memory.
USUAL = 768


def room(prompt: int, max_new_tokens: int) -> int:
    """The tokens that a slot has room for, from those of the prompt."""
    return -(-(prompt + max_new_tokens) // STRIDE) * STRIDE


def many(size: int, length: int) -> int:
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
        self._step: Callable[[], object] = self.advance
        if device.type == "cuda" and len({parameter.device for parameter in model.parameters()}) == 1:
            self._step = recorded(self.advance)

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
        self._step()
        return self.tokens[:, 0].tolist()

    def advance(self) -> None:
        """A step of all slots, on the device alone."""
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
            for slot, row in zip(slots, rows, strict=True):  # plain copies: an index of rows would take much longer
                self.keys[slot, :, :length] = read.keys[row]
                self.values[slot, :, :length] = read.values[row]

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
