"""Batches in which no row depends on its neighbours: rows of one length, and always the same number of them.

Sums in a model depend on the shape of the batch.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence


def of_one_length(lengths: Sequence[int], size: int) -> Iterator[list[int]]:
    """Batches of `size` indices of rows that have one length; the last of a length repeats its first to be full."""
    groups: dict[int, list[int]] = defaultdict(list)
    for index, length in enumerate(lengths):
        groups[length].append(index)
    for indices in groups.values():
        for start in range(0, len(indices), size):
            batch = indices[start : start + size]
            yield batch + batch[:1] * (size - len(batch))
