"""Assets: weights, data sets and checkpoints that come from elsewhere, fetched into a cache outside the repository.

`fetch` brings one there and describes it in a `Receipt`; the receipt is what the workflow tracks. `resolve` leads from
a receipt back to the files. One file a kind of source: `hub`, `url`, `wheel`, found by its name. Receipts hold no date
and no path of this machine, so that fetching again writes the same bytes.
"""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerwise import plugins
from layerwise.assets.cache import File
from layerwise.errors import InputError

# What a source may say besides where it is: it can change without the asset changing.
REMARKS = ("kind", "size_mb", "gated", "license")


@dataclass(frozen=True)
class Receipt:
    """What was fetched. `folder` lies below the cache of its kind, file names lie below `folder`; `bytes` is their sum.

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
    """Fetch an asset, or find it whole in the cache, and describe it.

    `source` is a `config.Source`; it is not imported here, so that who only resolves a receipt does not depend on the
    configuration. Raises InputError, naming the asset, for whatever the user or the far end must mend.
    """
    try:
        fetched = plugins.find("assets", source.kind).fetch(source)
    except InputError as error:
        raise InputError(f"asset '{id}': {error}") from error
    return Receipt(
        id=id,
        kind=source.kind,
        source=source.model_dump(exclude=set(REMARKS), exclude_defaults=True),
        revision=fetched.revision,
        license=source.license,
        folder=fetched.folder,
        files=fetched.files,
        bytes=sum(file.size for file in fetched.files),
    )


def dumps(receipt: Receipt) -> str:
    """A receipt as the text of its file."""
    return json.dumps(dataclasses.asdict(receipt), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def read(path: Path) -> Receipt:
    """The receipt in a file; raises InputError when it is none."""
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
        return Receipt(**{**values, "files": tuple(File(**file) for file in values["files"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path}: not a receipt of a fetched asset ({error}). Delete it and run again.") from error


def resolve(path: Path) -> Path:
    """Where the asset of a receipt lies: the folder of a hub repository or of a folder of a wheel, else the one file.

    Raises InputError when the cache no longer holds it whole (sizes are compared; checksums were, when it was fetched).
    """
    receipt = read(path)
    root = plugins.find("assets", receipt.kind).root()
    folder = root / receipt.folder
    for file in receipt.files:
        there = folder / file.name
        if not there.is_file() or there.stat().st_size != file.size:
            raise InputError(
                f"asset '{receipt.id}': {there} is {'damaged' if there.exists() else 'gone from the cache'}. "
                f"Delete {path} and run again to fetch it, or set LAYERWISE_CACHE to the folder that holds it."
            )
    whole = receipt.kind == "hub" or receipt.source.get("member", "").endswith("/")
    return folder if whole else folder / receipt.files[0].name
