"""What `--use-conda` needs from outside, made of this machine: a channel with CPython and pip, and wheels of the lock.

The packages are what the tests run on: the interpreter itself, and the distributions that are installed beside it,
packed again as they came. So nothing is fetched, and what an environment is made of are the versions of the lock.
"""

import asyncio
import importlib.metadata
import json
import re
import sys
import tarfile
import zipfile
from io import BytesIO
from pathlib import Path

from rattler.index import index_fs
from rattler.platform import Subdir

VERSION = "{}.{}.{}".format(*sys.version_info)
LIBRARY = Path("lib") / "python{}.{}".format(*sys.version_info)
# Parts of the standard library that nothing here asks for, and what is installed on top of it.
LEFT_OUT = {"site-packages", "dist-packages", "__pycache__", "test", "tests", "idlelib", "tkinter", "turtledemo"}


def write_channel(folder: Path) -> None:
    """Write a channel with this CPython and the pip beside it, and index it."""
    _package(folder / str(Subdir.current()), "python", VERSION, _interpreter(), {"depends": []})
    pip = importlib.metadata.distribution("pip")
    files = {f"site-packages/{path}": pip.locate_file(path) for path in _files(pip)}
    entry_points = [f"{point.name} = {point.value}" for point in pip.entry_points if point.group == "console_scripts"]
    link = {"noarch": {"type": "python", "entry_points": entry_points}, "package_metadata_version": 1}
    files["info/link.json"] = json.dumps(link).encode()
    _package(folder / "noarch", "pip", pip.version, files, {"depends": ["python >=3.9"], "noarch": "python"})
    asyncio.run(index_fs(folder))


def write_wheels(folder: Path, lock: Path) -> None:
    """Write a wheel of every distribution of the lock, out of what is installed.

    Raises:
        importlib.metadata.PackageNotFoundError: one of them is not installed.
    """
    folder.mkdir(parents=True)
    for name in re.findall(r"(?m)^([\w.-]+)==", lock.read_text()):
        _wheel(folder, importlib.metadata.distribution(name))


def _interpreter() -> dict[str, Path]:
    base = Path(sys.base_prefix)
    files = {str(path.relative_to(base)): path for path in (base / LIBRARY).rglob("*")}
    files = {
        name: path for name, path in files.items() if not LEFT_OUT & set(Path(name).parts) and "/config-" not in name
    }
    files |= {f"lib/{path.name}": path for path in (base / "lib").glob("libpython*") if path.is_file()}
    executable = base / "bin" / LIBRARY.name
    files |= {f"bin/{name}": executable for name in (LIBRARY.name, "python3", "python")}
    return {name: path for name, path in files.items() if path.is_file()}


def _package(folder: Path, name: str, version: str, files: dict[str, Path | bytes], about: dict) -> None:
    """Write a conda package: its files, and an index and a list of them in info/."""
    build = {"name": name, "version": version, "build": "0", "build_number": 0, "subdir": folder.name}
    paths = [{"_path": path, "path_type": "hardlink"} for path in files if not path.startswith("info/")]
    info = {
        "info/index.json": json.dumps(build | about).encode(),
        "info/paths.json": json.dumps({"paths": paths, "paths_version": 1}).encode(),
    }
    folder.mkdir(parents=True)
    with tarfile.open(folder / f"{name}-{version}-0.tar.bz2", "w:bz2", compresslevel=1) as archive:
        for path, content in (info | files).items():
            if isinstance(content, bytes):
                entry = tarfile.TarInfo(path)
                entry.size = len(content)
                archive.addfile(entry, BytesIO(content))
            else:
                archive.add(content.resolve(), path)


def _files(distribution: importlib.metadata.Distribution) -> list[importlib.metadata.PackagePath]:
    """What a distribution put beside its metadata: no byte code, and nothing that an installer writes by itself."""
    own = {"INSTALLER", "REQUESTED", "RECORD", "direct_url.json"}
    inside = [path for path in distribution.files if ".." not in path.parts and path.suffix != ".pyc"]
    return [path for path in inside if not (path.parent.suffix == ".dist-info" and path.name in own)]


def _wheel(folder: Path, distribution: importlib.metadata.Distribution) -> None:
    """Pack an installed distribution as a wheel again. Its commands are those of its entry points."""
    tags = [tag.split("-") for tag in re.findall(r"(?m)^Tag: (\S+)", distribution.read_text("WHEEL"))]
    tag = "-".join(".".join(dict.fromkeys(parts)) for parts in zip(*tags, strict=True))
    files = _files(distribution)
    metadata = next(path.parent for path in files if path.match("*.dist-info/METADATA") and len(path.parts) == 2)
    name = metadata.stem.split("-")[0]
    with zipfile.ZipFile(folder / f"{name}-{distribution.version}-{tag}.whl", "w", zipfile.ZIP_STORED) as wheel:
        for path in files:
            wheel.write(distribution.locate_file(path), str(path))
        wheel.writestr(f"{metadata}/RECORD", "".join(f'"{path}",,\n' for path in [*files, f"{metadata}/RECORD"]))
