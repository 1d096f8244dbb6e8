"""Variants of features: the image features of an exit, changed before the language model sees them.

They ask what an effect of an exit is due to: the layer, or any unfamiliar features; and which cells carry it. A model's
YAML names one under `features`; with `weights_of` it takes another model's weights. Features are those behind the
projector; a cell is one of their places, in the order of the language model.

- `norm-matched`: scaled to their mean norm at the default layer, for the same image
- `shuffled`: the cells in another order, the same for all images
- `blank`: of a grey image of the same size
- `other-image`: of another image of the data set, at the same exit
- `mean`: the mean over all images of the data set, at the same exit
- `interchange`: named cells taken from the default layer: of the same image, of its twin, or of another hazard

Which images lend their features follows from the prompts of the data set alone, and is part of a response's key.
"""

from bisect import bisect
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from layerwise.errors import InputError
from layerwise.models.families import TILES, Family
from layerwise.records import Prompt

CHANGES = ("norm-matched", "shuffled", "blank", "other-image", "mean", "interchange")
GREY = (127, 127, 127)
# An image, by checksum and file; what is known of its features, by exit layer; and how to get at those of others.
Shown = tuple[str, Path]
Features = Mapping[int, Tensor]
Look = Callable[[Sequence[Shown]], Sequence[Features]]


class Variant:
    """How features are changed; the base class changes nothing. `settings` as in `study.config.Features`."""

    def __init__(self, settings: Mapping[str, Any], default_layer: int) -> None:
        self.settings, self.default = settings, default_layer

    def donors(self, prompt: Prompt, others: Sequence[Prompt]) -> Sequence[Prompt]:
        """The prompts whose images lend their features; `others` are all of the data set with an image, by checksum."""
        return ()

    def image(self, image: Image.Image) -> Image.Image:
        """The image to encode."""
        return image

    def features(self, layer: int, own: Features, donors: Sequence[Shown], look: Look) -> Tensor:
        """The changed features (cells, width) at an exit; `own` has the exit's and the default layer's."""
        return own[layer]


class NormMatched(Variant):
    def features(self, layer: int, own: Features, donors: Sequence[Shown], look: Look) -> Tensor:
        norm, wanted = (own[at].norm(dim=-1).mean() for at in (layer, self.default))
        return own[layer] * (wanted / norm)


class Shuffled(Variant):
    def features(self, layer: int, own: Features, donors: Sequence[Shown], look: Look) -> Tensor:
        return own[layer][torch.randperm(len(own[layer]), generator=torch.Generator().manual_seed(0))]


class Blank(Variant):
    def image(self, image: Image.Image) -> Image.Image:
        return Image.new("RGB", image.size, GREY)


class OtherImage(Variant):
    def donors(self, prompt: Prompt, others: Sequence[Prompt]) -> Sequence[Prompt]:
        return [following(prompt, others)]

    def features(self, layer: int, own: Features, donors: Sequence[Shown], look: Look) -> Tensor:
        (other,) = look(donors)
        return alike(own[layer], other[layer])


class Mean(Variant):
    def __init__(self, settings: Mapping[str, Any], default_layer: int) -> None:
        super().__init__(settings, default_layer)
        self.means: dict[tuple[str, ...], Features] = {}  # of each data set

    def donors(self, prompt: Prompt, others: Sequence[Prompt]) -> Sequence[Prompt]:
        return list({other.image_sha256: other for other in others}.values())

    def features(self, layer: int, own: Features, donors: Sequence[Shown], look: Look) -> Tensor:
        key = tuple(sha256 for sha256, _ in donors)
        if key not in self.means:
            self.means[key] = self._mean(own, donors, look)
        return alike(own[layer], self.means[key][layer])

    def _mean(self, own: Features, donors: Sequence[Shown], look: Look) -> Features:
        sums = {layer: torch.zeros_like(features, dtype=torch.float32) for layer, features in own.items()}
        for start in range(0, len(donors), TILES):
            for found in look(donors[start : start + TILES]):
                for layer, total in sums.items():
                    total += alike(own[layer], found[layer])
        return {layer: (total / len(donors)).to(own[layer].dtype) for layer, total in sums.items()}


class Interchange(Variant):
    def donors(self, prompt: Prompt, others: Sequence[Prompt]) -> Sequence[Prompt]:
        """A prompt without a twin, or without another hazard in its data set, keeps its own image's cells."""
        if self.settings["donor"] == "same":
            return [prompt]
        if self.settings["donor"] == "hazard":
            return [following(prompt, [other for other in others if other.kind == "harmful"])]
        twins = (other for other in others if other.cluster == prompt.cluster and other.kind != prompt.kind)
        return [next(twins, prompt)]

    def features(self, layer: int, own: Features, donors: Sequence[Shown], look: Look) -> Tensor:
        (donor,) = look(donors)
        cells, changed = self.settings["cells"], own[layer].clone()
        if max(cells) >= len(changed):
            raise InputError(
                f"key 'features.cells' of the model's YAML names cell {max(cells)}, but its images have the cells 0 to "
                f"{len(changed) - 1}."
            )
        changed[cells] = alike(own[layer], donor[self.default])[cells]
        return changed


KINDS: Sequence[type[Variant]] = (NormMatched, Shuffled, Blank, OtherImage, Mean, Interchange)


def variant(settings: Mapping[str, Any] | None, default_layer: int) -> Variant | None:
    """The variant that a model's `features` name, if they name one."""
    if settings is None:
        return None
    return dict(zip(CHANGES, KINDS, strict=True))[settings["change"]](settings, default_layer)


def donors(found: Variant | None, asked: Iterable[tuple[Prompt, Path | None]]) -> dict[str, tuple[Shown, ...]]:
    """By prompt id, the images that lend their features to it; a prompt without an image gets and gives none."""
    if found is None:
        return {}
    files: dict[str, Shown] = {}
    by_dataset: dict[str, list[Prompt]] = {}
    for prompt, image in asked:
        if image is not None and prompt.image_sha256 is not None:
            files[prompt.id] = prompt.image_sha256, image
            by_dataset.setdefault(prompt.dataset, []).append(prompt)
    lent = {}
    for others in by_dataset.values():
        others.sort(key=place)
        for prompt in others:
            lent[prompt.id] = tuple(files[donor.id] for donor in found.donors(prompt, others))
    return lent


@torch.inference_mode()
def attempt(found: Variant, family: Family) -> None:
    """Change the features of a grey image, so that a cell that is not there is one error, and not one for each row."""
    inputs = family.preprocess(Image.new("RGB", (64, 64), GREY))
    own = {layer: seen[0] for layer, seen in family.features([inputs], [family.default_layer]).items()}
    varied(found, own, own, [("", Path())], lambda shown: [tokens_of(own)] * len(shown))


def varied(found: Variant, layers: Iterable[int], own: Mapping[int, Any], donors: Sequence[Shown], look: Look) -> dict:
    """The changed features of an image at each exit layer, in the family's own type (`families.Family.features`)."""
    tokens = tokens_of(own)
    changed = {layer: found.features(layer, tokens, donors, look) for layer in layers}
    return {
        layer: one if isinstance(own[layer], Tensor) else own[layer].with_tokens(one) for layer, one in changed.items()
    }


def tokens_of(features: Mapping[int, Any]) -> Features:
    """What the language model sees of an image, (cells, width) at each exit layer, whatever the family's type."""
    return {layer: getattr(one, "tokens", one) for layer, one in features.items()}


def place(prompt: Prompt) -> tuple[str, str]:
    """What prompts are ordered by: the checksum of the image, which is as good as a draw, then the id."""
    return prompt.image_sha256 or "", prompt.id


def following(prompt: Prompt, others: Sequence[Prompt]) -> Prompt:
    """The next of other prompts, ordered by `place`, with another image and cluster; the prompt itself if none has."""
    start = bisect(others, place(prompt), key=place)
    for other in (*others[start:], *others[:start]):
        if other.cluster != prompt.cluster and other.image_sha256 != prompt.image_sha256:
            return other
    return prompt


def alike(own: Tensor, other: Tensor) -> Tensor:
    """Another image's features; raises InputError if they do not have the shape of the image's own."""
    if own.shape != other.shape:
        raise InputError(
            f"key 'features' of the model's YAML: images of this data set have {len(own)} and {len(other)} cells, so "
            "one cannot take another's. Choose a data set whose images have one size."
        )
    return other
