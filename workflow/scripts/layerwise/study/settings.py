"""The base of every model of a YAML file, and the types that several share."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from layerwise import plugins
from layerwise.paths import ID


class Settings(BaseModel):
    """A part of a YAML file: unknown keys are errors, values have the type that they are declared with, and nothing
    changes after loading. A whole number counts as a number; a text or a truth value never does."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Mistake(ValueError):
    """What is wrong with the value of a key below the one that is being checked, such as `arms.broad-none.steps`."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(text)
        self.place = tuple(key.split("."))


Identifier = Annotated[str, Field(pattern=rf"^{ID.pattern}$")]
Positive = Annotated[int, Field(gt=0)]
Whole = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern="^[a-z0-9_]+$")]


def found_in(room: str) -> AfterValidator:
    """Of a key that names a file in a room, such as `judging.judges`: whether it is there."""

    def there(name: str) -> str:
        plugins.module(room, name)
        return name

    return AfterValidator(there)
