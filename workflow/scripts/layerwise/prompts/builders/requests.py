"""Everyday requests from our own table, each beside an image that has nothing to do with it.

All are harmless, so every refusal is over-refusal. Some are `alarming`, like those of XSTest (Röttger et al. 2024,
arXiv 2308.01263): harmless requests with a word that sounds like harm. The others are `plain`. At least half are
imperatives, the form of AdvBench's behaviours, so that the form does not reveal harm. The two kinds take turns.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field

from layerwise.errors import InputError
from layerwise.prompts import shipped
from layerwise.prompts.draws import draw, in_turn
from layerwise.prompts.images import images_beside
from layerwise.records import Prompt

COLUMNS = ("id", "request", "answer", "kind", "part")
PARTS = ("train", "test")
FORMS = ("alarming", "plain")
SOURCES = {"images": True}
TWINS = False


class Options(shipped.Shipped):
    """The table, with the columns id, request, answer, kind and part; and the part of it to ask."""

    part: Literal["train", "test"] = Field("test", description="The part of the table to ask.")


def kinds(options: Options) -> frozenset[str]:
    """The kinds of prompts it builds."""
    return frozenset({"benign"})


def build(spec: dict, sources: dict[str, Path], folder: Path) -> list[Prompt]:
    """Benign prompts, the two kinds in turn; each request is a cluster, and its target is the answer in the table.

    Source: `images`, a folder with numbered images. Raises InputError if the table is not the one the YAML file names.
    """
    options = Options(**spec["options"])
    rows = [row for row in _table(spec, options) if row["part"] == options.part]
    by_kind = [draw(_of_kind(rows, kind), spec["seed"], cluster=lambda row: row["id"]) for kind in FORMS]
    chosen = in_turn(by_kind)[: spec["size"]]
    ids = [f"{spec['dataset']}-{row['id']}" for row in chosen]
    return [
        Prompt(
            id=id,
            dataset=spec["dataset"],
            text=row["request"],
            kind="benign",
            cluster=f"request-{row['id']}",
            target=row["answer"],
            attributes={"category": row["kind"]},
            **fields,
        )
        for id, row, fields in zip(ids, chosen, images_beside(ids, spec, sources, folder), strict=True)
    ]


def _of_kind(rows: list[dict[str, str]], kind: str) -> list[dict[str, str]]:
    return [row for row in rows if row["kind"] == kind]


def _table(spec: dict, options: Options) -> list[dict[str, str]]:
    """The rows of the table. Raises InputError for another table than the YAML file names, and for an invalid word."""
    rows = shipped.rows(spec["dataset"], options, COLUMNS, id="id")
    for row in rows:
        for column, allowed in {"kind": FORMS, "part": PARTS}.items():
            if row[column] not in allowed:
                raise InputError(
                    f"{options.file}, row with id {row['id']}: {column} {row[column]!r} is neither "
                    f"{' nor '.join(allowed)}."
                )
    return rows
