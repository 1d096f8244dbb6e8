"""The base class of all models of YAML files, and the types that several of them share."""

import difflib
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from layerwise import plugins
from layerwise.paths import ID


class Settings(BaseModel):
    """A part of a YAML file: unknown keys are errors, values must have their declared type, and nothing changes after
    loading. A whole number counts as a number; a text or a truth value never does."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Mistake(ValueError):
    """A wrong value of a key below the one being checked, such as `arms.broad-none.steps`."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(text)
        self.place = tuple(key.split("."))


Identifier = Annotated[str, Field(pattern=rf"^{ID.pattern}$")]
Positive = Annotated[int, Field(gt=0)]
Whole = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern="^[a-z0-9_]+$")]


def _distinct(values: list[int]) -> list[int]:
    if len(set(values)) < len(values):
        raise ValueError("each may be named once")
    return sorted(values)


# Some of the 12 glyphs of the synthetic world's deep cue, so many that a hazard and its twin can be drawn from them and
# from the others.
Glyphs = Annotated[
    list[Annotated[int, Field(ge=0, lt=12)]], Field(min_length=2, max_length=10), AfterValidator(_distinct)
]


def found_in(room: str) -> AfterValidator:
    """A check that the room, such as `judging.judges`, has the file that a key names."""

    def there(name: str) -> str:
        plugins.module(room, name)
        return name

    return AfterValidator(there)


def hint(given: str, allowed: Iterable[str]) -> str:
    """The closest allowed value, as a question."""
    close = difflib.get_close_matches(given, list(allowed), n=1)
    return f". Did you mean {close[0]}?" if close else ""
