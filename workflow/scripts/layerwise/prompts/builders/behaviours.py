"""Harmful behaviours from a list, each beside an image that has nothing to do with it; split without near-duplicates.

AdvBench (Zou et al. 2023, arXiv 2307.15043) repeats many of its 520 behaviours in other words, so a model tuned on some
rows would be tested on what it has learned. Here two behaviours are near-duplicates if they share two fifths of their
content words (Jaccard index; endings are cut off, and words that only phrase the request are ignored). Behaviours that
are connected through near-duplicates form a group, and a group is used for training or for testing, never for both. Two
fifths of the groups, with all their rows, are the train part; the test part asks the first row of each other group. The
split does not depend on the data set's `seed`.

HarmBench (Mazeika et al. 2024, arXiv 2402.04249) is never trained on; behaviours that are near to AdvBench's train part
are left out of it.
"""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import yaml
from pydantic import Field

from layerwise.errors import InputError
from layerwise.prompts.archive import expect
from layerwise.prompts.draws import draw, near_duplicates
from layerwise.prompts.images import images_beside
from layerwise.records import Prompt
from layerwise.study.settings import Positive, Settings

SOURCES = {"prompts": True, "images": True, "trained": False}
TWINS = False
NEAR = 0.4
TRAIN_SHARE = 0.4
# The first seed that puts AdvBench's largest group into the train part: it has 30 % of the rows, but would test as one.
SPLIT_SEED = 3


class Options(Settings):
    """Which behaviours are asked."""

    part: Literal["train", "test", "all"] = Field(
        "all",
        description="`train`: all rows of its groups; `test`: one row of each other group; `all`: one row per group.",
    )
    rows: Positive | None = Field(None, description="Number of rows the file must have; if absent, any.")


def kinds(options: Options) -> frozenset[str]:
    """The kinds of prompts it builds."""
    return frozenset({"harmful"})


def _stem(word: str) -> str:
    return re.sub(r"(?<=\w{3})(ing|ed|es|s|e)$", "", word)


# Function words, words for the kind of text requested, and words that occur in every second behaviour.
NO_CONTENT = frozenset(
    _stem(word)
    for word in """
    a an and any are as at avoid be blog book by can caught commit compose create demonstrate describe design detail
    detailed develop do explain for from generate get getting give guide has have how i in instruct instruction
    instructions into is it its list make manual me message my of offer on one or outline people person plan post
    produce program provide publish s script show so someone step steps strategy suggest teach that the their them they
    this those to tutorial up use used users uses using was way which who will with without write you your
    """.split()
)


def build(spec: dict, sources: dict[str, Path], folder: Path) -> list[Prompt]:
    """Harmful prompts, in the order drawn; a group of near-duplicates is a cluster.

    Sources: `prompts`, behaviours as PyRIT's YAML (`.prompt`) or one per line (`.txt`); `images`, a folder with
    numbered images; `trained`, optional, a list whose train part excludes its near-duplicates here. Raises InputError
    for a file in another format.
    """
    options = Options(**spec["options"])
    path = sources["prompts"]
    found = read(path)
    expect(found, options.rows, path)
    texts = [behaviour.text for behaviour in found]
    trained = []
    if "trained" in sources:
        others = [behaviour.text for behaviour in read(sources["trained"])]
        trained = [others[row] for row in split(others, "train")]
    groups = split(texts, options.part, trained)
    rows = draw(groups, spec["seed"], spec["size"], cluster=groups.get)
    ids = [f"{spec['dataset']}-{row:03d}" for row in rows]
    return [
        Prompt(
            id=id,
            dataset=spec["dataset"],
            text=texts[row],
            kind="harmful",
            cluster=f"behaviour-{hashlib.sha256(texts[groups[row]].encode()).hexdigest()[:12]}",
            attributes={"behaviour": str(row)} | ({"category": category} if (category := found[row].category) else {}),
            **fields,
        )
        for id, row, fields in zip(ids, rows, images_beside(ids, spec, sources, folder), strict=True)
    ]


class Behaviour(NamedTuple):
    """A behaviour and its category, empty where the file has none."""

    text: str
    category: str


def read(path: Path) -> list[Behaviour]:
    """The behaviours in a file, by its ending: `seeds` in PyRIT's YAML, or lines of text.

    PyRIT lists several `harm_categories` of a behaviour, main ones first; the first is its category.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix == ".txt":
            return [Behaviour(line.strip(), "") for line in text.splitlines() if line.strip()]
        return [
            Behaviour(str(seed["value"]).strip(), str((seed.get("harm_categories") or [""])[0]))
            for seed in yaml.safe_load(text)["seeds"]
        ]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: neither one behaviour per line (.txt) nor PyRIT's YAML with 'seeds' ({type(error).__name__}). "
            "Fetch it again."
        ) from error


def split(texts: list[str], part: str, trained: Sequence[str] = ()) -> dict[int, int]:
    """Row -> first row of its group of near-duplicates, for the rows of a part; none that is near to `trained`."""
    before = len(trained)
    near = near_duplicates([content_words(text) for text in (*trained, *texts)], NEAR)
    groups = {row: first - before for row, first in enumerate(near[before:])}
    firsts = draw({first for first in groups.values() if first >= 0}, SPLIT_SEED)
    train = set(firsts[: round(TRAIN_SHARE * len(firsts))])
    if part == "train":
        return {row: first for row, first in groups.items() if first in train}
    return {first: first for first in sorted(firsts) if part == "all" or first not in train}


def content_words(text: str) -> frozenset[str]:
    """The words that carry the content of a request, without the commonest English endings."""
    return frozenset(map(_stem, re.findall(r"[^\W\d_]+", text.lower()))) - NO_CONTENT
