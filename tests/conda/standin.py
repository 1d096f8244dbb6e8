"""A stand-in for conda's command line, over py-rattler: not conda, but what Snakemake's --use-conda asks of it.

Environments are solved and linked by rattler, a solver and an installer of conda packages. Only the commands that
Snakemake calls are here, with conda's own options; the `pip:` part of an environment goes to the pip in it, as with
conda. It is told where channels lie by `CONDA_CHANNEL_ALIAS`, as conda is.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from rattler import Channel, ChannelConfig, Gateway, VirtualPackage, install, solve
from rattler.platform import Subdir

VERSION = "24.7.1"
ACTIVATE = 'export CONDA_PREFIX="$1" PATH="$1/bin:$PATH"\n'


def lay(root: Path) -> None:
    """Make a folder that looks like conda's: `bin/conda` calls this file, `bin/activate` is to be sourced."""
    (root / "bin").mkdir(parents=True)
    (root / "bin/activate").write_text(ACTIVATE)
    command = root / "bin/conda"
    command.write_text(f'#!/bin/sh\nCONDA_ROOT="{root}" exec "{sys.executable}" "{Path(__file__).resolve()}" "$@"\n')
    command.chmod(0o755)


def main(argv: list[str]) -> int:
    root = Path(os.environ["CONDA_ROOT"])
    if argv == ["--version"]:
        print(f"conda {VERSION}")
    elif argv == ["info", "--json"]:
        print(json.dumps({"conda_prefix": str(root), "conda_version": VERSION, "platform": str(Subdir.current())}))
    elif argv == ["config", "--get", "channel_priority", "--json"]:
        print(json.dumps({"get": {"channel_priority": "strict"}}))
    elif argv[:2] == ["env", "create"]:
        return create(argv[2:], root)
    elif argv != ["clean", "-y", "--tarballs"]:  # rattler keeps none
        sys.exit(f"error: this stand-in for conda has no command {' '.join(argv)}")
    return 0


def create(argv: list[str], root: Path) -> int:
    """`conda env create`: solve, link, and let the environment's pip do the rest; --dry-run only solves."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("--no-default-packages", action="store_true")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--prefix", type=Path, required=True)
    arguments = parser.parse_args(argv)
    described = yaml.safe_load(arguments.file.read_text())
    config = ChannelConfig(channel_alias=os.environ["CONDA_CHANNEL_ALIAS"])
    channels = [Channel(name, config) for name in described["channels"]]
    specs = [spec for spec in described["dependencies"] if isinstance(spec, str)]
    pins = [pin for part in described["dependencies"] if isinstance(part, dict) for pin in part["pip"]]
    records = asyncio.run(
        solve(
            channels,
            specs,
            gateway=Gateway(root / "repodata"),
            platforms=[Subdir.current(), Subdir("noarch")],
            virtual_packages=VirtualPackage.detect(),
        )
    )
    print("\n".join(f"{record.name.normalized}={record.version}" for record in records))
    if arguments.dry_run:
        return 0
    asyncio.run(install(records, arguments.prefix, cache_dir=root / "pkgs", show_progress=False))
    if not pins:
        return 0
    with tempfile.NamedTemporaryFile("w", suffix=".requirements.txt") as requirements:
        requirements.write("\n".join(pins))
        requirements.flush()
        python = arguments.prefix / "bin/python"
        return subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", requirements.name]).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
