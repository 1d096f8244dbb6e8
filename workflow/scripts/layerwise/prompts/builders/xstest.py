"""XSTest (Röttger et al. 2024, arXiv 2308.01263): safe questions that sound unsafe, and unsafe contrasts.

A refusal of a safe question is over-refusal. Questions have no image; with `image: blank` or `noise` in the YAML file,
each is asked beside an image, so that the vision encoder's exit plays a part.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from layerwise.errors import InputError
from layerwise.prompts.archive import attributes, expect, padded, table
from layerwise.prompts.draws import draw
from layerwise.records import Prompt
from layerwise.study.settings import Positive, Settings

KINDS = {"safe": "benign", "unsafe": "harmful"}
SOURCES = {"prompts": True}
TWINS = False


class Options(Settings):
    """Which questions are asked."""

    labels: Annotated[list[Literal["safe", "unsafe"]], Field(min_length=1)] = Field(
        ["safe", "unsafe"], description="`safe` questions (kind benign), `unsafe` questions (kind harmful) or both."
    )
    rows: Positive | None = Field(None, description="Number of rows the file must have; if absent, any.")


def kinds(options: Options) -> frozenset[str]:
    """The kinds of prompts it builds."""
    return frozenset(KINDS[label] for label in options.labels)


def build(spec: dict, sources: dict[str, Path], folder: Path) -> list[Prompt]:
    """Prompts without images, in the order drawn; each question is a cluster. Source: `prompts` (CSV).

    Raises InputError for a row with another label.
    """
    options = Options(**spec["options"])
    path = sources["prompts"]
    rows = table(path, "xstest_prompts.csv", ["id", "prompt", "label"], id="id")
    expect(rows, options.rows, path)
    for row in rows:
        if row["label"] not in KINDS:
            raise InputError(
                f"{path}, row with id {row['id']}: label {row['label']!r} is neither safe nor unsafe. Fetch it again."
            )
    asked = [row for row in rows if row["label"] in options.labels]
    return [
        Prompt(
            id=f"{spec['dataset']}-{padded(row['id'], 3)}",
            dataset=spec["dataset"],
            text=row["prompt"],
            image=None,
            image_sha256=None,
            kind=KINDS[row["label"]],
            cluster=f"xstest-{padded(row['id'], 3)}",
            attributes=attributes(row, "type", "focus", "note"),
        )
        for row in draw(asked, spec["seed"], spec["size"], cluster=lambda row: row["id"])
    ]
