"""A file that several places have: they are tried in order, and one checksum decides.

Whichever place delivers it, the file lies at `mirrored/<first digits of its sha256>/<name>`, and its receipt is the
same. So a download from another mirror, years later, changes nothing that depends on it.
"""

import os
import shutil
import sys
from pathlib import Path

from layerwise import plugins
from layerwise.assets import cache
from layerwise.assets.cache import Fetched, describe, writing
from layerwise.errors import InputError
from layerwise.files import file_digest
from layerwise.study.sources import Source


def root() -> Path:
    return cache.root() / "mirrored"


def fetch(source: Source) -> Fetched:
    """The file of a source that has mirrors. Raises InputError, naming every place, if none delivers it."""
    assert source.sha256 is not None and source.file_name is not None, "a source with mirrors is one file"
    folder = root() / source.sha256[:16]
    target = folder / source.file_name
    with writing(folder):
        if not target.exists() or file_digest(target) != source.sha256:
            _take(_delivered(source), target)
    return Fetched(str(folder.relative_to(root())), describe(folder, [target.name]), source.revision or source.version)


def _delivered(source: Source) -> Path:
    """The file in the cache of the first place that delivers it."""
    failures = []
    for place in (source, *source.mirrors):
        kind = plugins.find("assets", place.kind)
        try:
            fetched = kind.fetch(place)
        except InputError as error:
            failures.append(f"{place.where}: {error}")
            print(f"not delivered by {failures[-1]}", file=sys.stderr, flush=True)
            continue
        print(f"delivered by {place.where}", file=sys.stderr, flush=True)
        return kind.root() / fetched.folder / fetched.files[0].name
    raise InputError(f"none of the {len(failures)} places delivers it. " + " | ".join(failures))


def _take(file: Path, target: Path) -> None:
    """Give a file of the cache its place here: as a second name where the disk allows it, otherwise as a copy."""
    aside = target.with_name(f"{target.name}.part")
    aside.unlink(missing_ok=True)
    try:
        os.link(file.resolve(), aside)
    except OSError:
        cache.make_room(target.parent, file.stat().st_size)
        shutil.copyfile(file, aside)
    aside.replace(target)
