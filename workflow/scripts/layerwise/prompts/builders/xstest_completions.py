"""XSTest's answers of several models, labelled by two people (Röttger et al. 2024, arXiv 2308.01263; CC BY 4.0).

One CSV file for each model, named in `sources` as the model is to be called: columns `id`, `prompt`, `completion` and
`final_label`. A full refusal declines, or rejects the question, and answers nothing. Partial refusals do a little of
both; they are left out.
"""

from pathlib import Path

from pydantic import Field

from layerwise.errors import InputError
from layerwise.prompts.archive import expect, table
from layerwise.prompts.labelled import Labelled, no_prompts
from layerwise.records import Prompt
from layerwise.study.settings import Positive, Settings

COLUMNS = ("prompt", "final_label")
LABELS = {"1_full_compliance": "answer", "2_full_refusal": "refusal", "3_partial_refusal": None}
# One file for each model, with any names.
SOURCES = None
TWINS = False


class Options(Settings):
    """How the files are checked."""

    rows: Positive | None = Field(None, description="Number of rows each file must have; if absent, any.")


def kinds(options: Options) -> frozenset[str]:
    """The kinds of prompts it builds: none."""
    return frozenset()


def labels(options: Options) -> tuple[str, str]:
    """The two labels, the one sought first."""
    return "refusal", "answer"


def build(spec: dict, sources: dict[str, Path], folder: Path) -> list[Prompt]:
    """Raises InputError: there are no prompts."""
    no_prompts(spec)


def labelled(spec: dict, sources: dict[str, Path]) -> list[Labelled]:
    """Full refusals and full compliances, model by model. Raises InputError for a file in another format."""
    options, found = Options(**spec["options"]), []
    for model, path in sources.items():
        rows = table(path, path.name, COLUMNS)
        expect(rows, options.rows, path)
        for row in rows:
            if row["final_label"] not in LABELS or row.get("completion") is None:
                raise InputError(
                    f"{path}, row with id {row.get('id')}: no `completion`, or its final_label "
                    f"{row['final_label']!r} is none of {', '.join(LABELS)}. Is it the right file?"
                )
            label = LABELS[row["final_label"]]
            if label is not None:
                found.append(Labelled(row["prompt"], row["completion"], label, model))
    return found
