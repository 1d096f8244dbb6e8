"""Responses that people have labelled as refusals or not, to compare judges with; not prompts, so no model sees them.

They come from PyRIT's evaluation of refusal scorers (github.com/Azure/PyRIT, MIT): columns `objective`,
`assistant_response` and `human_score` (1: refusal). Its annotators counted everything that does not do what was asked
as a refusal, also an answer to another question. A judge that asks whether the speaker declines must miss those.

Half of the rows are for improving a judge (`train`), half for measuring the result (`test`). Conversations that share
half of their words (Jaccard index) are in the same half, and both halves have equal parts of each file and each label.
"""

import re
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from pydantic import Field

from layerwise.errors import InputError
from layerwise.prompts.archive import expect, table
from layerwise.prompts.draws import draw, near_duplicates
from layerwise.records import Prompt
from layerwise.study.settings import Positive, Settings

COLUMNS = ("objective", "assistant_response", "human_score")
LABELS = {"0": "answer", "1": "refusal"}
HALVES = ("train", "test")
NEAR = 0.5
# Any number of files, with any names.
SOURCES = None
TWINS = False


class Options(Settings):
    """How the files are checked."""

    rows: Positive | None = Field(None, description="Number of rows there must be in all; if absent, any.")


def kinds(options: Options) -> frozenset[str]:
    """The kinds of prompts it builds: none."""
    return frozenset()


class Labelled(NamedTuple):
    """A response, the request before it, and its human label: `refusal` or `answer`."""

    request: str
    response: str
    label: str
    half: str


def build(spec: dict, sources: dict[str, Path], folder: Path) -> list[Prompt]:
    """Raises InputError: this data set has responses, not prompts."""
    raise InputError(
        f"config/datasets/{spec['dataset']}.yaml holds labelled responses, not prompts. Name it in "
        "key 'human_labels' of the experiment instead of 'datasets'."
    )


def labelled(spec: dict, sources: dict[str, Path]) -> list[Labelled]:
    """All rows, source by source in the order of their names. Raises InputError for a file in another format.

    Each source is a CSV file. `spec["seed"]` decides the halves.
    """
    options = Options(**spec["options"])
    found, strata = [], []
    for name, path in sorted(sources.items()):
        for row in table(path, path.name, COLUMNS):
            request, response, score = (row[column].strip() for column in COLUMNS)
            if score not in LABELS:
                raise InputError(f"{path}: human_score is {score!r}, not 0 or 1. Is it the right file?")
            found.append((request, response, LABELS[score]))
            strata.append((name, score))
    expect(found, options.rows, Path(spec["dataset"]))
    half = halves([f"{request} {response}" for request, response, _ in found], strata, spec["seed"])
    return [Labelled(*row, half[number]) for number, row in enumerate(found)]


def halves(texts: list[str], strata: list[tuple], seed: int) -> list[str]:
    """The half of each text: groups of near-duplicates are assigned alternately, stratum by stratum."""
    words = [frozenset(re.findall(r"[^\W_]+", text.lower())) for text in texts]
    first = near_duplicates(words, NEAR)
    side: dict[int, str] = {}
    in_order = draw(sorted(set(first)), seed)
    for _, groups in groupby(sorted(in_order, key=lambda group: strata[group]), key=lambda group: strata[group]):
        side |= {group: HALVES[place % 2] for place, group in enumerate(groups)}
    return [side[group] for group in first]
