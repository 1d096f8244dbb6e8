"""A change of image features, as a model's YAML file gives it."""

from typing import Literal, Self

from pydantic import Field, model_validator

from layerwise import plugins
from layerwise.study.settings import Mistake, Settings, Whole, hint


class Features(Settings):
    """How image features are changed before the language model sees them: a control."""

    change: str = Field(description="The change: one of `CHANGES` in `models/variants.py`, which says what each does.")
    cells: list[Whole] | None = Field(
        None, min_length=1, description="For `interchange`: the cells that are taken from the default layer."
    )
    donor: Literal["same", "twin", "hazard"] | None = Field(
        None, description="For `interchange`: whose cells; those of the same image, of its twin, or of another hazard."
    )

    @model_validator(mode="after")
    def check(self) -> Self:
        changes = plugins.constant("models", "variants", "CHANGES")
        if self.change not in changes:
            close = hint(self.change, changes)
            raise Mistake("change", f"no change '{self.change}'; allowed: {', '.join(changes)}{close}")
        for key in ("cells", "donor"):
            if (getattr(self, key) is None) == (self.change == "interchange"):
                what = "needs it" if self.change == "interchange" else "has no use for it; remove the key"
                raise Mistake(key, f"change {self.change} {what}")
        return self
