"""The records that rules pass on: `Prompt`, `Response` and `Verdict`, one JSON object per line.

Writing is atomic (temporary file, fsync, rename): a reader sees the old file or the new one, never a torn one.
The fields are documented for readers in `results/README.md`.
"""

import dataclasses
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

from layerwise.errors import InputError
from layerwise.files import atomic


@dataclass(frozen=True)
class Prompt:
    """A question about an image.

    `image` is a path relative to the folder of the prompts file, or None; `cluster` names what repeats (the twin
    pair, the behaviour, the image); `target` is the on-target answer (harmful, benign) or the accepted answers (vqa).
    `attributes` say what is known of the scene or the source, to break results down by; they decide no response.
    """

    id: str
    dataset: str
    text: str
    image: str | None
    image_sha256: str | None
    kind: str
    cluster: str
    target: str | list[str] | None = None
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Response:
    """What a subject answered at one exit layer. `finish_reason` is `stop` (end of sequence) or `length`.

    `margin`, the refusal margin before the first word (`models.margin`), is None for a model without `refusal_tokens`.
    """

    key: str
    prompt_id: str
    subject: str
    layer: int
    text: str
    num_tokens: int
    finish_reason: str
    margin: float | None = None


@dataclass(frozen=True)
class Verdict:
    """What a judge said of one response: a label from its own list and, if the judge gives one, a score.

    `cut`: the response is longer than the judge reads at once, so its parts were judged.
    """

    key: str
    prompt_id: str
    subject: str
    layer: int
    judge: str
    label: str
    score: float | None = None
    cut: bool = False


class Answer(NamedTuple):
    """What a judge says of one response; a judge may also give the plain tuple, without `cut`.

    `cut`: the response is longer than the judge reads at once, so its parts were judged.
    """

    label: str
    score: float | None = None
    cut: bool = False


@dataclass(frozen=True)
class Control:
    """What a judge said of a response that was made up to test it; `right` is None if no label would be wrong."""

    judge: str
    control: str
    prompt_id: str
    label: str
    score: float | None
    right: bool | None = None


Record = TypeVar("Record", Prompt, Response, Verdict, Control)
KeyedRecord = TypeVar("KeyedRecord", Response, Verdict)  # the key decides whether a row still holds
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def read(path: Path, record: type[Record]) -> list[Record]:
    """All rows of a JSONL file. Raises InputError, naming file and line, for a line that is not a valid record."""
    rows = []
    fields = {field.name for field in dataclasses.fields(record)}
    with open(path, "rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                values = json.loads(line.decode())
                if b"\\u" in line:
                    values = json.loads(well_formed(_encode(values)))
                if not isinstance(values, dict) or set(values) - fields:
                    raise TypeError(f"expected the fields {', '.join(sorted(fields))}")
                rows.append(record(**values))
            except (ValueError, TypeError, RecursionError) as error:
                raise InputError(
                    f"{path}, line {number}: not a {record.__name__} record ({error}). "
                    "The file is damaged: delete it; the next run makes it again."
                ) from error
    return rows


def read_prompts(paths: Iterable[Path]) -> Iterator[tuple[Prompt, Path]]:
    """All prompts of several files, each with the folder that its image path is relative to.

    Raises InputError, naming file and id, for a duplicate id.
    """
    seen = set()
    for path in paths:
        for prompt in read(path, Prompt):
            if prompt.id in seen:
                raise InputError(f"{path}: duplicate prompt id '{prompt.id}'. Ids must be unique across all data sets.")
            seen.add(prompt.id)
            yield prompt, path.parent


def placed(prompt: Prompt, folder: Path) -> Prompt:
    """A prompt whose image is a path from here, for those who open it; `folder` is that of its file."""
    return prompt if prompt.image is None else dataclasses.replace(prompt, image=str(folder / prompt.image))


def dumps(row: Record) -> str:
    """A record as one line of JSON, without the newline; half a character is replaced, and that is said."""
    line = _encode(vars(row))
    if (sound := well_formed(line)) != line:
        id = row.id if isinstance(row, Prompt) else row.prompt_id
        print(f"'{id}' holds half a character (a lone surrogate): replaced by U+FFFD", file=sys.stderr, flush=True)
    return sound


def well_formed(text: str) -> str:
    """The text as UTF-8 can hold it: two halves of a character are joined, and a half alone becomes U+FFFD.

    Halves (surrogates) come out of escapes such as `\\ud83d` in JSON or YAML. Neither files nor tokenizers take them.
    """
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def write(path: Path, rows: Iterable[Record]) -> None:
    """Write records as JSONL, atomically."""
    with atomic(path) as stream:
        for row in rows:
            stream.write(dumps(row) + "\n")
