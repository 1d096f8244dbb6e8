"""What is passed from rule to rule: `Prompt`, `Response` and `Verdict`, one JSON object a line.

Writing is atomic (temporary file, fsync, rename): a reader sees the old file or the new one, never a torn one.
The fields are documented for readers in `results/README.md`.
"""

import dataclasses
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from layerwise.errors import InputError
from layerwise.files import atomic


@dataclass(frozen=True)
class Prompt:
    """A question about an image.

    `image` is a path relative to the folder of the prompts file, or None; `cluster` names what repeats (the twin
    pair, the behaviour, the image); `target` is the on-target answer (harmful, benign) or the accepted answers (vqa).
    """

    id: str
    dataset: str
    text: str
    image: str | None
    image_sha256: str | None
    kind: str
    cluster: str
    target: str | list[str] | None = None


@dataclass(frozen=True)
class Response:
    """What a model answered at one exit layer. `finish_reason` is `stop` (end of sequence) or `length`."""

    key: str
    prompt_id: str
    subject: str
    layer: int
    text: str
    num_tokens: int
    finish_reason: str


@dataclass(frozen=True)
class Verdict:
    """What a judge said of one response: a label from the judge's own list, and a score in [0, 1] where it has one."""

    key: str
    prompt_id: str
    subject: str
    layer: int
    judge: str
    label: str
    score: float | None = None


@dataclass(frozen=True)
class Control:
    """What a judge said of a response that was made up to try it."""

    judge: str
    control: str
    prompt_id: str
    label: str
    score: float | None


Record = TypeVar("Record", Prompt, Response, Verdict, Control)
KeyedRecord = TypeVar("KeyedRecord", Response, Verdict)  # of one response, with a key that says whether it still holds
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def read(path: Path, record: type[Record]) -> list[Record]:
    """All rows of a JSONL file. Raises InputError, naming file and line, for a line that is not such a record."""
    rows = []
    fields = {field.name for field in dataclasses.fields(record)}
    with open(path, encoding="utf-8") as stream:
        for number, line in enumerate(stream, 1):
            try:
                values = json.loads(line)
                if not isinstance(values, dict) or set(values) - fields:
                    raise TypeError(f"expected the fields {', '.join(sorted(fields))}")
                rows.append(record(**values))
            except (json.JSONDecodeError, TypeError) as error:
                raise InputError(
                    f"{path}, line {number}: not a {record.__name__} record ({error}). "
                    "The file is damaged: delete it, and the next run makes it again."
                ) from error
    return rows


def read_prompts(paths: Iterable[Path]) -> Iterator[tuple[Prompt, Path]]:
    """All prompts of several files, each with the folder that its image is relative to.

    Raises InputError, naming file and id, for an id that comes twice.
    """
    seen = set()
    for path in paths:
        for prompt in read(path, Prompt):
            if prompt.id in seen:
                raise InputError(
                    f"{path}: the prompt id '{prompt.id}' comes twice. Ids must differ over all data sets."
                )
            seen.add(prompt.id)
            yield prompt, path.parent


def dumps(row: Record) -> str:
    """One record as one line of JSON, without the line end."""
    return _encode(vars(row))


def write(path: Path, rows: Iterable[Record]) -> None:
    """Write records as JSONL, atomically."""
    with atomic(path) as stream:
        for row in rows:
            stream.write(dumps(row) + "\n")
