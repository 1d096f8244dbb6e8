"""Copies of the project that a test may edit and run, and what a dry run of one plans."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("Snakefile", "Makefile", "CITATION.cff", "pyproject.toml", "config", "envs", "paper", "profiles", "workflow")
# What says when a run was made, and how long it took.
TIMED = ("costs.csv", "complete.txt", "ro-crate-metadata.json")
BUILT = shutil.ignore_patterns("__pycache__", "*.pdf")


class Project:
    """One copy of the project in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def new(cls, folder: Path) -> "Project":
        """A copy of the sources, with nothing built."""
        folder.mkdir(parents=True)
        for part in PARTS:
            source = ROOT / part
            copy = shutil.copytree if source.is_dir() else shutil.copy2
            copy(source, folder / part, **({"ignore": BUILT} if source.is_dir() else {}))
        return cls(folder)

    def copy(self, folder: Path) -> "Project":
        """A copy of sources and results, with their times."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Project(folder)

    def snakemake(self, *arguments: str, experiment: str = "smoke", **environment: str) -> subprocess.CompletedProcess:
        """Run snakemake in this copy, with the interpreter of the tests."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        command = [sys.executable, "-m", "snakemake", "--config", f"experiment={experiment}", *arguments]
        return subprocess.run(
            command,
            cwd=self.folder,
            env={**os.environ, "PATH": path, **environment},
            capture_output=True,
            text=True,
        )

    def run(self, *arguments: str, experiment: str = "smoke", **environment: str) -> str:
        """Run snakemake to a good end; returns what it said."""
        done = self.snakemake("--cores", "2", *arguments, experiment=experiment, **environment)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
        return done.stdout + done.stderr

    def script(self, name: str, *arguments: str, experiment: str = "smoke") -> subprocess.CompletedProcess:
        """Run a command that asks about a finished experiment."""
        command = [sys.executable, "workflow/scripts", name, *arguments, "--experiment", experiment]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True)

    def planned(self, *arguments: str, experiment: str = "smoke") -> set[str]:
        """The jobs that a dry run plans, each as its rule with its wildcards."""
        done = self.snakemake("--dry-run", *arguments, experiment=experiment)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
        jobs = set()
        for block in re.split(r"\n(?=(?:local)?rule )", done.stdout + done.stderr):
            if rule := re.match(r"(?:local)?rule ([\w-]+):\n", block):
                wildcards = re.search(r"^ +wildcards: (.*)$", block, re.M)
                values = [part.split("=", 1)[1] for part in wildcards[1].split(", ")] if wildcards else []
                jobs.add(" ".join([rule[1], *values]))
        return jobs - {"all"}

    def forget(self, *parts: str) -> None:
        """Remove parts of the results and all that is made from them, so that a run has to make them again."""
        for part in parts:
            shutil.rmtree(self.folder / "results/smoke" / part)
        shutil.rmtree(self.folder / "figures/smoke")
        for path in [*(self.folder / "results/smoke").glob("*.*"), self.folder / "paper/smoke.pdf"]:
            path.unlink()

    def built(self) -> dict[str, Path]:
        """What a run makes, by its path in the project; without what says how long it took."""
        places = [self.folder / place for place in ("results/smoke", "figures/smoke", "paper/smoke.pdf")]
        files = [file for place in places for file in ([place] if place.is_file() else place.rglob("*"))]
        names = {file.relative_to(self.folder).as_posix(): file for file in files if file.is_file()}
        return {name: file for name, file in names.items() if file.name not in TIMED}

    def differences(self, other: "Project") -> list[str]:
        """Files made here that another copy lacks or has with other bytes, and what an unfinished job left there."""
        there = other.built()
        different = [
            name
            for name, file in self.built().items()
            if name not in there or there[name].read_bytes() != file.read_bytes()
        ]
        return different + [name for name in there if name.endswith((".partial", ".status.json"))]

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace one piece of text in a file; it must be there."""
        file = self.folder / path
        text = file.read_text()
        assert old in text, f"{path} has no {old!r}"
        file.write_text(text.replace(old, new, 1))
