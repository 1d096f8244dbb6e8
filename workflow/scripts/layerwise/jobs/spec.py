"""What every spec is made of: settings, the code's fingerprint and pins; and the specs of downloads."""

from layerwise.files import canonical, file_digest
from layerwise.jobs.fingerprint import fingerprint, pins
from layerwise.paths import ROOT
from layerwise.study.sources import Source


def spec(script: str, kind: str, extra_modules: list[str], **settings: object) -> str:
    """The spec of a script: its settings, its code with that of further modules, and the pins of its kind of work."""
    code = fingerprint(script, tuple(extra_modules))
    return canonical({**settings, "code": code, "pins": list(pins(kind))})


def fetch(id: str, source: Source) -> str:
    """A download: the source alone, without code, since the checksum decides, and without hints for the plan.

    Mirrors are left out, so that a new one reruns nothing. Keys that not every source has are left out where they are
    not used.
    """
    unused = {key for key in ("parts", "name") if not getattr(source, key)}
    return canonical(
        {"id": id, "source": source.model_dump(exclude={"size_mb", "gated", "provenance", "mirrors", *unused})}
    )


class Untracked:
    """A value for a rule's command that decides no result: Snakemake records only parameters of plain types."""

    def __init__(self, value: object) -> None:
        self.text = canonical(value)

    def __str__(self) -> str:
        return self.text


def mirrors(source: Source) -> Untracked:
    """The other places of a download, for its rule."""
    return Untracked([mirror.model_dump(exclude_defaults=True) for mirror in source.mirrors])


def sources(*names: str) -> dict[str, str]:
    """sha256 of files of the project, by their path in it."""
    return {name: file_digest(ROOT / name) for name in names}
