"""Seeded draws that are the same everywhere, and near-duplicates."""

import hashlib
from collections.abc import Callable, Iterable
from itertools import combinations, zip_longest
from typing import Any

from layerwise.prompts.archive import Item
from layerwise.records import Prompt


def draw(
    items: Iterable[Item], seed: int, size: int | None = None, cluster: Callable[[Item], object] = str
) -> list[Item]:
    """Items in a seeded order, those of a cluster together, and of the first `size` clusters only (None: of all).

    Clusters stand in the order of sha256(`seed:cluster`). So two keep their order whatever others there are, it is the
    same in every language and version, and a larger size adds to a smaller one.
    """
    clusters: dict[object, list[Item]] = {}
    for item in items:
        clusters.setdefault(cluster(item), []).append(item)
    order = sorted(clusters, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())
    return [item for name in order[:size] for item in clusters[name]]


def in_turn(groups: Iterable[Iterable[Item]]) -> list[Item]:
    """The first item of each group, then the second of each, and so on; groups that are used up drop out.

    So however many of the first are taken, the groups have equal shares of them, as long as the smallest lasts.
    """
    nothing: Any = object()
    rounds = zip_longest(*groups, fillvalue=nothing)
    return [item for items in rounds for item in items if item is not nothing]


def near_duplicates(words: list[frozenset[str]], share: float) -> list[int]:
    """For each text, given as its set of words, the number of the first one that it hangs together with, or its own.

    Two are near-duplicates if they have this share of the words that are in either (Jaccard index), or no word at all.
    """
    first = list(range(len(words)))
    for one, other in combinations(range(len(words)), 2):
        shared, either = len(words[one] & words[other]), len(words[one] | words[other])
        if first[one] != first[other] and shared >= share * either:
            low, high = sorted((first[one], first[other]))
            first = [low if number == high else number for number in first]
    return first


def first_clusters(prompts: list[Prompt], limit: int | None) -> list[Prompt]:
    """The prompts of the first `limit` clusters, in their order; all without a limit."""
    clusters = list(dict.fromkeys(prompt.cluster for prompt in prompts))
    kept = set(clusters[:limit])
    return [prompt for prompt in prompts if prompt.cluster in kept]
