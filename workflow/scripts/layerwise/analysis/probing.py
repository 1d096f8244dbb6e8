"""The probes of every exit layer of one subject: what can be read from its features, and how far they drift.

An organism is probed on fresh images of the synthetic world: the two cues, the item, and the drift of its projected
features. A published model has no known cues; its drift is measured on the images of the prompts.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from layerwise import plugins
from layerwise.analysis import probes, stats
from layerwise.models import engine
from layerwise.models.families import TILES, Family
from layerwise.models.organisms import Recipe
from layerwise.records import read_prompts
from layerwise.world import world
from layerwise.world.language import ITEMS

COLUMNS = ["subject", "layer", "probe", "metric", "value", "low", "high", "n", "cell"]
CUES = {
    "shallow": (world.SHALLOW_HAZARD, world.SHALLOW_SAFE),
    "deep": (world.DEEP_HAZARD, world.DEEP_SAFE),
}
BATCH = 64  # the fastest on a CPU


def probe(family: Family, spec: dict, prompts: Sequence[Path]) -> pd.DataFrame:
    """All probes of a subject, with the columns COLUMNS; `prompts` are read only for a published model."""
    with torch.inference_mode():
        rows = list(of_organism(family, spec) if spec["organism"] else on_prompts(family, spec, prompts))
    table = pd.DataFrame([dict(zip(COLUMNS[1:], row, strict=False)) for row in rows], columns=COLUMNS)
    return table.assign(subject=spec["subject"]).astype({"cell": "Int64"})


def of_organism(family: Family, spec: dict) -> Iterator[tuple]:
    """The rows of an organism: layer, probe, metric, value, low, high, n; of single cells also the cell."""
    layers, count = range(family.blocks + 1), spec["probes"]["test_images"]
    for cue in CUES:
        train, test = (Seen(family, spec, cue, part) for part in ("train", "test"))
        for layer in layers:
            found = probes.cue_probe(train.pooled(layer), train.hazard, test.pooled(layer), test.hazard)
            yield layer, cue, "auc", *found, count
    # All else is read from the images of the last cue, the deep one.
    first, second = (int(row * world.GRID + column) for row, column in world.DEEP_CORNERS)
    for layer in layers:
        pairs = [probes.compared(one.cell(layer, first), one.cell(layer, second)) for one in (train, test)]
        yield layer, "deep_pairwise", "auc", *probes.cue_probe(pairs[0], train.hazard, pairs[1], test.hazard), count
        single = probes.cell_probes(train.states[layer].numpy(), train.hazard, test.states[layer].numpy(), test.hazard)
        for cell, found in enumerate(single):
            yield layer, "deep_cell", "auc", *found, count, cell
        wanted = np.column_stack([np.eye(len(ITEMS))[train.item], train.hazard])
        predicted = probes.ridge(train.cells(layer), wanted, test.cells(layer))
        yield layer, "deep_cells", "auc", *stats.auc(predicted[:, -1], test.hazard), count
        yield layer, "item", "accuracy", *probes.accuracy(predicted[:, :-1], test.item), count
    yield from drift(family, [family.preprocess(Image.fromarray(image)) for image in test.images])


class Seen:
    """Fresh images with or without a cue, and the encoder's states of their cells at every exit layer."""

    def __init__(self, family: Family, spec: dict, cue: str, part: str) -> None:
        rng = world.stream(spec["seed"], "probes", cue, part)
        scenes, images = world.sample(CUES[cue], spec["probes"][f"{part}_images"], rng)
        self.hazard, self.item, self.images = scenes.hazard, scenes.item, images
        pixels = torch.from_numpy(world.pixel_values(images))
        recipe: Recipe = plugins.find("models.organisms", spec["organism"]["recipe"])
        layers, device = range(family.blocks + 1), family.model.device
        batches = [recipe.exit_states(family.model, part.to(device), layers) for part in pixels.split(BATCH)]
        self.states = {layer: torch.cat([batch[layer] for batch in batches]).float().cpu() for layer in layers}

    def pooled(self, layer: int) -> np.ndarray:
        """(images, width): the mean over the cells."""
        return self.states[layer].mean(1).numpy()

    def cell(self, layer: int, number: int) -> np.ndarray:
        """(images, width): one cell."""
        return self.states[layer][:, number].numpy()

    def cells(self, layer: int) -> np.ndarray:
        """(images, cells * width): all cells side by side."""
        return self.states[layer].flatten(1).numpy()


def on_prompts(family: Family, spec: dict, prompts: Sequence[Path]) -> Iterator[tuple]:
    """The rows of any other model: its drift on the first images of the prompts; none if no prompt has an image."""
    paths = {
        prompt.image_sha256: folder / prompt.image
        for prompt, folder in read_prompts(prompts)
        if prompt.image is not None and prompt.image_sha256 is not None
    }
    chosen = islice(sorted(paths), spec["probes"]["test_images"])
    images = [family.preprocess(engine.read_image(paths[sha256], sha256)) for sha256 in chosen]
    if images:
        yield from drift(family, images)


def drift(family: Family, images: list[dict]) -> Iterator[tuple]:
    """The rows of both drifts, from preprocessed images."""
    layers = range(family.blocks + 1)
    parts = []
    for start in range(0, len(images), TILES):
        found = family.features(images[start : start + TILES], layers)
        tokens = {layer: [getattr(one, "tokens", one) for one in features] for layer, features in found.items()}
        parts.append(probes.drift(tokens, family.default_layer))
    for name, values in zip(("drift_cosine", "drift_norm"), map(np.concatenate, zip(*parts, strict=True)), strict=True):
        for layer, interval in zip(layers, probes.mean_over_images(values), strict=True):
            yield layer, name, "mean", *interval, len(images)
