"""Seeded draws that are the same on every machine, and near-duplicates."""

import hashlib
from collections.abc import Callable, Iterable
from itertools import combinations, zip_longest
from typing import Any

from layerwise.prompts.archive import Item
from layerwise.records import Prompt


def draw(
    items: Iterable[Item], seed: int, size: int | None = None, cluster: Callable[[Item], object] = str
) -> list[Item]:
    """The items of the first `size` clusters (None: of all) in a seeded order, with each cluster's items together.

    Clusters are sorted by sha256(`seed:cluster`). So the order of two clusters does not depend on others, it is the
    same in every language and version, and a larger size only adds to a smaller one.
    """
    clusters: dict[object, list[Item]] = {}
    for item in items:
        clusters.setdefault(cluster(item), []).append(item)
    order = sorted(clusters, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())
    return [item for name in order[:size] for item in clusters[name]]


def in_turn(groups: Iterable[Iterable[Item]]) -> list[Item]:
    """The first item of each group, then the second of each, and so on; exhausted groups drop out.

    So any beginning of the list has equal shares of all groups, as long as the smallest one lasts.
    """
    nothing: Any = object()
    rounds = zip_longest(*groups, fillvalue=nothing)
    return [item for items in rounds for item in items if item is not nothing]


def near_duplicates(words: list[frozenset[str]], share: float) -> list[int]:
    """For each text, given as its set of words, the index of the first text in its group of near-duplicates.

    Two texts are near-duplicates if they share this share of all their words (Jaccard index), or if both have no words;
    near-duplicates of near-duplicates belong to the same group.
    """
    first = list(range(len(words)))
    for one, other in combinations(range(len(words)), 2):
        shared, either = len(words[one] & words[other]), len(words[one] | words[other])
        if first[one] != first[other] and shared >= share * either:
            low, high = sorted((first[one], first[other]))
            first = [low if number == high else number for number in first]
    return first


def first_clusters(prompts: list[Prompt], limit: int | None) -> list[Prompt]:
    """The prompts of the first `limit` clusters, in order; all prompts without a limit."""
    clusters = list(dict.fromkeys(prompt.cluster for prompt in prompts))
    kept = set(clusters[:limit])
    return [prompt for prompt in prompts if prompt.cluster in kept]
