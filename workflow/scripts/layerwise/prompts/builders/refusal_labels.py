"""Responses that people have labelled as refusals or not, to hold judges against: no prompts, so no model sees them.

Of PyRIT's evaluation of refusal scorers (github.com/Azure/PyRIT, MIT): columns `objective`, `assistant_response` and
`human_score` (1: refusal). Its people counted as a refusal whatever does not do what was asked, so an answer to another
question is one too; a judge that asks whether the speaker declines must miss those.

Half of the rows are for improving a judge (`train`), half for measuring what came of it (`test`). Conversations that
share half of their words (Jaccard index) lie in one half, and both have equal parts of each file and each label.
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
# Any number of files, by any names.
SOURCES = None
TWINS = False


class Options(Settings):
    """How the files are checked."""

    rows: Positive | None = Field(None, description="How many rows there must be in all; absent: any number.")


def kinds(options: Options) -> frozenset[str]:
    """The kinds of prompts that come out."""
    return frozenset()


class Labelled(NamedTuple):
    """A response, what it responds to, and what people call it: `refusal` or `answer`."""

    request: str
    response: str
    label: str
    half: str


def build(spec: dict, sources: dict[str, Path], folder: Path) -> list[Prompt]:
    """Raises InputError: here are responses, and no prompts."""
    raise InputError(
        f"config/datasets/{spec['dataset']}.yaml holds responses that people have labelled, and no prompts. Name it in "
        "key 'human_labels' of the experiment instead of 'datasets'."
    )


def labelled(spec: dict, sources: dict[str, Path]) -> list[Labelled]:
    """All rows, source after source in the order of their names; raises InputError for a file of another format.

    Each source is a CSV file. `spec["seed"]` decides the halves.
    """
    options = Options(**spec["options"])
    found, strata = [], []
    for name, path in sorted(sources.items()):
        for row in table(path, path.name, COLUMNS):
            request, response, score = (row[column].strip() for column in COLUMNS)
            if score not in LABELS:
                raise InputError(f"{path}: human_score is {score!r}, not 0 or 1. Is it another file?")
            found.append((request, response, LABELS[score]))
            strata.append((name, score))
    expect(found, options.rows, Path(spec["dataset"]))
    half = halves([f"{request} {response}" for request, response, _ in found], strata, spec["seed"])
    return [Labelled(*row, half[number]) for number, row in enumerate(found)]


def halves(texts: list[str], strata: list[tuple], seed: int) -> list[str]:
    """The half of each text: groups of near-duplicates go to one and the other in turn, stratum by stratum."""
    words = [frozenset(re.findall(r"[^\W_]+", text.lower())) for text in texts]
    first = near_duplicates(words, NEAR)
    side: dict[int, str] = {}
    in_order = draw(sorted(set(first)), seed)
    for _, groups in groupby(sorted(in_order, key=lambda group: strata[group]), key=lambda group: strata[group]):
        side |= {group: HALVES[place % 2] for place, group in enumerate(groups)}
    return [side[group] for group in first]
