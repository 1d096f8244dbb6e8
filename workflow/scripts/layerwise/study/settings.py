"""The base of every model of a YAML file, and the types that several share."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from layerwise.study.yamlfile import ID


class Settings(BaseModel):
    """A part of a YAML file: unknown keys are errors, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Identifier = Annotated[str, Field(pattern=rf"^{ID.pattern}$")]


Positive = Annotated[int, Field(gt=0)]
Whole = Annotated[int, Field(ge=0, strict=True)]
