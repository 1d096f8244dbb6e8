"""PyRIT's evaluation of refusal scorers (github.com/Azure/PyRIT, MIT): responses labelled as refusals or not.

Columns: `objective`, `assistant_response` and `human_score` (1: refusal). Its annotators counted everything that does
not do what was asked as a refusal, also an answer to another question. A judge that asks whether the speaker declines
must miss those. Who said what is not recorded.
"""

from pathlib import Path

from pydantic import Field

from layerwise.errors import InputError
from layerwise.prompts.archive import expect, table
from layerwise.prompts.labelled import Labelled, no_prompts
from layerwise.records import Prompt
from layerwise.study.settings import Positive, Settings

COLUMNS = ("objective", "assistant_response", "human_score")
LABELS = {"0": "answer", "1": "refusal"}
# Any number of files, with any names.
SOURCES = None
TWINS = False


class Options(Settings):
    """How the files are checked."""

    rows: Positive | None = Field(None, description="Number of rows there must be in all; if absent, any.")


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
    """All rows, source by source in the order of their names. Raises InputError for a file in another format.

    Each source is a CSV file.
    """
    options, found = Options(**spec["options"]), []
    for _, path in sorted(sources.items()):
        for row in table(path, path.name, COLUMNS):
            request, response, score = (row[column].strip() for column in COLUMNS)
            if score not in LABELS:
                raise InputError(f"{path}: human_score is {score!r}, not 0 or 1. Is it the right file?")
            found.append(Labelled(request, response, LABELS[score], ""))
    expect(found, options.rows, Path(spec["dataset"]))
    return found
