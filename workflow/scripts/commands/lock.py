"""Write envs/*.yaml and envs/requirements.lock from the dependency groups in pyproject.toml.

python workflow/scripts lock              resolves them with pip, keeping all other locked versions (needs an index)
python workflow/scripts lock --upgrade    takes the newest version of every package that pyproject.toml does not pin
python workflow/scripts lock --check      checks that envs/ is up to date, and writes nothing (works offline)
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable

from layerwise.errors import InputError
from layerwise.files import atomic
from layerwise.jobs import fingerprint

ENVIRONMENT = """\
# For {kinds}. `make lock` writes this file from the pins in pyproject.toml.
channels: [conda-forge]
dependencies:
  - {python}
  - pip
  - pip:
"""
HEAD = """\
# The whole closure of the dependency groups in pyproject.toml, exactly pinned: what `make` installs.
# `make lock` writes this file. torch is named without a local version, and the packages of its CUDA build are left out,
# so that pip takes the build that fits the machine.
"""
# Packages that only a CUDA build of torch needs.
CUDA = re.compile(r"(nvidia|cuda)[-_].*|(pytorch[-_])?triton")


def main(argv: list[str]) -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument(
        "--upgrade", action="store_true", help="take the newest version of whatever pyproject.toml does not pin"
    )
    options.add_argument("--check", action="store_true", help="write nothing; fail if envs/ is out of date")
    arguments = options.parse_args(argv)
    project = fingerprint.project()
    folder = fingerprint.PROJECT.parent / "envs"
    lock = folder / "requirements.lock"
    groups = set(project["dependency-groups"]) - set(project["tool"]["layerwise"]["apart"])
    pins = sorted({pin for name in groups for pin in fingerprint.group(name)})
    locked = re.findall(r"(?m)^[^#\s]+==\S+", lock.read_text(encoding="utf-8")) if lock.exists() else []
    wanted = {
        folder / f"{name}.yaml": environment(kinds)
        for name, kinds in project["tool"]["layerwise"]["environments"].items()
    }
    others = set(folder.glob("*.yaml")) - wanted.keys()
    if arguments.check:
        old = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
        old += [lock] if set(map(normal, pins)) - set(map(normal, locked)) else []
        if old or others:
            raise InputError(
                f"envs/ is out of date: {', '.join(sorted(p.name for p in {*old, *others}))}. Run: make lock"
            )
        return
    pinned = {normal(pin).split("==")[0] for pin in pins}
    kept = [] if arguments.upgrade else [one for one in locked if normal(one).split("==")[0] not in pinned]
    wanted[lock] = HEAD + "".join(f"{one}\n" for one in resolve(pins, kept))
    for path, text in wanted.items():
        with atomic(path) as stream:
            stream.write(text)
    for path in others:
        path.unlink()


def environment(kinds: list[str]) -> str:
    """The file of a conda environment for some kinds of work."""
    pins = sorted({pin for kind in kinds for pin in fingerprint.group(kind)})
    head = ENVIRONMENT.format(kinds=", ".join(kinds), python=fingerprint.python())
    return head + "".join(f"      - {pin}\n" for pin in pins)


def normal(pin: str) -> str:
    """A pin in normal form for comparison, since pip accepts several spellings of a package's name."""
    return pin.lower().replace("_", "-")


def resolve(pins: Iterable[str], kept: Iterable[str]) -> list[str]:
    """The closure of pins, exactly pinned, sorted by name; packages in `kept` keep that version if they are needed.

    Raises:
        InputError: pip finds no compatible versions, or no package index.
    """
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--report", "-"]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
        constraints.write("\n".join(kept))
        constraints.flush()
        done = subprocess.run([*command, "--constraint", constraints.name, *pins], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise InputError(
            "pip could not resolve the pins in pyproject.toml; see its messages above. If a version kept from "
            "envs/requirements.lock is the cause, run: python workflow/scripts lock --upgrade"
        )
    packages = [package["metadata"] for package in json.loads(done.stdout)["install"]]
    found = {
        one["name"]: one["version"].partition("+")[0] for one in packages if not CUDA.fullmatch(one["name"].lower())
    }
    return [f"{name}=={found[name]}" for name in sorted(found, key=str.lower)]
