"""MSTS's answers of vision-language models, labelled by people (Röttger et al. 2025, arXiv 2501.10057; CC BY 4.0).

Columns: `prompt_text`, `model`, `response`, `final_label` (`1 - safe`, `2 - unsafe`) and `final_taxonomy` (`1.2 -
refusal only`, `1.7 - image description`, `2.1 - explicit encouragement`, …). Two questions can be put to them. `harm`:
is the response unsafe? `refusal`: does it do nothing but decline (1.2), or does it go along or describe (1.7, 2.*)? To
that question, rebuttals (1.1) and the rest of the safe ones are neither, and are left out.

Half of the prompts are unsafe only because of their image, which is not here. The text-only files say what it shows.
"""

import sys
from pathlib import Path
from typing import Literal

from pydantic import Field

from layerwise.errors import InputError
from layerwise.prompts.archive import expect, table
from layerwise.prompts.labelled import Labelled, no_prompts
from layerwise.records import Prompt
from layerwise.study.settings import Positive, Settings

# An empty response is a response, so its column may be empty.
FILLED, TEXTS = ("model", "final_label"), ("prompt_text", "response", "final_taxonomy")
REFUSES, ANSWERS = ("1.2",), ("1.7", "2.")
SOURCES = None
TWINS = False


class Options(Settings):
    """The question, and how the files are checked."""

    question: Literal["refusal", "harm"] = Field("refusal", description="What the labels say of a response.")
    rows: Positive | None = Field(None, description="Number of rows each file must have; if absent, any.")


def kinds(options: Options) -> frozenset[str]:
    """The kinds of prompts it builds: none."""
    return frozenset()


def labels(options: Options) -> tuple[str, str]:
    """The two labels, the one sought first."""
    return ("refusal", "answer") if options.question == "refusal" else ("unsafe", "safe")


def build(spec: dict, sources: dict[str, Path], folder: Path) -> list[Prompt]:
    """Raises InputError: there are no prompts."""
    no_prompts(spec)


def labelled(spec: dict, sources: dict[str, Path]) -> list[Labelled]:
    """The rows that have one of the two labels, file by file; says how many have neither.

    Raises InputError for a file in another format.
    """
    options, found = Options(**spec["options"]), []
    for name, path in sources.items():
        rows = table(path, path.name, FILLED)
        expect(rows, options.rows, path)
        if missing := [column for column in TEXTS if rows and column not in rows[0]]:
            raise InputError(f"{path}: no column {', '.join(missing)}. Is it the right file?")
        kept = [(row, label) for row in rows if (label := _label(row, options.question))]
        print(f"{spec['dataset']}.{name}: {len(kept)} of {len(rows)} responses have a label", file=sys.stderr)
        for row, label in kept:
            found.append(Labelled(row["prompt_text"], row["response"], label, row["model"].rpartition("--")[2]))
    if not found:
        raise InputError(f"config/datasets/{spec['dataset']}.yaml: no response has a label. Are these the right files?")
    return found


def _label(row: dict[str, str], question: str) -> str | None:
    """The label of a row, or None if it has neither."""
    if question == "harm":
        return {"1": "safe", "2": "unsafe"}.get(row["final_label"].strip()[:1])
    code = row["final_taxonomy"].strip()
    return "refusal" if code.startswith(REFUSES) else "answer" if code.startswith(ANSWERS) else None
