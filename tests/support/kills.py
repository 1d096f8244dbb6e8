"""Kills runs of the smoke experiment at random moments: `make kills`, or `make kills ROUNDS=20 SEED=0`.

A round starts from a finished experiment of which a random stage and all that comes after it were removed. It gives
the command of `make reproduce`, kills a part of the run at a random moment, and gives the same command again, without
any work by hand. The files in the end must be those of a run that was never disturbed, byte by byte.

How often a response is computed is counted by the engine itself: in the copy that is run it notes each row of a batch
before it computes it.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import IO

import psutil

from project import Project

COMMAND = [sys.executable, "workflow/scripts", "run", "--experiment", "smoke", "--cores", "2"]
VICTIMS = ("snakemake", "job", "both", "group")

# A stage's folders, and the scripts that fill them.
STAGES = {
    ("prompts",): ("build_prompts",),
    ("models", "judges"): ("train_vision", "train_arm", "train_judge"),
    ("responses", "probes"): ("generate", "probe"),
    ("verdicts", "controls"): ("judge",),
    ("tables",): ("metrics", "validity", "assess", "figure", "table", "number", "paper"),
}
SNAKEMAKE_STARTS = 2.0  # seconds

NOTED = "rows.txt"
BATCH = "    filled = [*rows, *[rows[-1]] * (size - len(rows))]\n"
NOTE = f"""    import sys
    from pathlib import Path
    subject = Path(sys.argv[-1]).parent.name
    with open("{NOTED}", "a") as noted:
        noted.writelines(f"{{subject}} {{row.key[1]}} {{row.key[0].prompt.id}}\\n" for row in rows)
"""


@dataclass
class Round:
    """What a round came to. `again`: responses computed twice, in the cell that has most of them."""

    number: int
    killed: str
    redone_from: str
    during: str
    seconds: float
    first: int
    second: int
    went_on: float
    again: int
    different: str


def start(folder: Path, said: IO | int = subprocess.DEVNULL) -> subprocess.Popen:
    """The run that a user would start, in a process group of its own; what it says goes to `said`."""
    return subprocess.Popen(COMMAND, cwd=folder, stdout=said, stderr=subprocess.STDOUT, start_new_session=True)


def below(run: subprocess.Popen, *words: str) -> list[psutil.Process]:
    """The processes of a run with one of these words (the end of one) as the program or its first arguments."""
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in psutil.Process(run.pid).children(recursive=True):
            if any(word.endswith(words) for word in command(process)):
                found.append(process)
    return found


def command(process: psutil.Process) -> list[str]:
    """The program of a process and its first arguments; nothing of one that has ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.cmdline()[:3]
    return []


def victims(run: subprocess.Popen, script: str) -> list[psutil.Process]:
    """The processes of a run that execute a script, as soon as there are any; none where it ends before."""
    while run.poll() is None:
        if found := below(run, f"scripts/{script}"):
            return found
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(0.02)
    return []


def reference(folder: Path) -> Project:
    """The smoke experiment, run to its end, with an engine that notes what it computes."""
    project = Project.new(folder)
    project.edit("workflow/scripts/layerwise/models/reading.py", BATCH, NOTE + BATCH)
    project.run()
    return project


def play(finished: Project, folder: Path, number: int, seed: int) -> Round:
    """One round, in a copy of the finished experiment."""
    draw = random.Random(f"{seed} {number}")
    project = finished.copy(folder)
    (folder / NOTED).unlink()
    first = draw.randrange(len(STAGES))
    lost = [part for stage in list(STAGES)[first:] for part in stage]
    project.forget(*lost)
    script, wait = moment(draw, finished, [name for names in list(STAGES.values())[first:] for name in names])
    kind = VICTIMS[number % len(VICTIMS)]

    run, started = start(folder), time.monotonic()
    if script != "snakemake":
        victims(run, f"{script}.py")
    with contextlib.suppress(subprocess.TimeoutExpired):
        run.wait(wait)
    during = kill(run, kind)
    seconds = time.monotonic() - started
    status = run.wait()

    started = time.monotonic()
    again = subprocess.run(COMMAND, cwd=folder, capture_output=True, text=True)
    went_on = time.monotonic() - started
    if again.returncode:
        print(again.stdout[-2000:] + again.stderr[-4000:], file=sys.stderr)
    return Round(
        number,
        kind,
        lost[0],
        during,
        round(seconds, 1),
        status,
        again.returncode,
        round(went_on, 1),
        computed_twice(folder / NOTED),
        ", ".join(finished.differences(project)),
    )


def moment(draw: random.Random, finished: Project, scripts: list[str]) -> tuple[str, float]:
    """A random moment of what is to come: so many seconds after a script has started. Each second is as likely."""
    seconds: Counter[str] = Counter({"snakemake": SNAKEMAKE_STARTS})
    for path in (finished.folder / "logs/smoke").rglob("*.log.json"):
        cost = json.loads(path.read_text())
        if cost["script"] in scripts:
            seconds[cost["script"]] = max(seconds[cost["script"]], cost["wall_seconds"])
    script = draw.choices(list(seconds), list(seconds.values()))[0]
    return script, draw.uniform(0, seconds[script])


def kill(run: subprocess.Popen, kind: str) -> str:
    """Kill what the kind says; returns which scripts were at work. Without a job at work its snakemake is killed."""
    scripts = [f"{name}.py" for names in STAGES.values() for name in names]
    snakemake, jobs = below(run, "snakemake"), below(run, *scripts)
    during = sorted({Path(word).stem for job in jobs for word in command(job) if word.endswith(".py")})
    if kind == "group" and run.poll() is None:
        os.killpg(run.pid, signal.SIGKILL)
    chosen = {"snakemake": snakemake, "job": jobs or snakemake, "both": snakemake + jobs, "group": []}[kind]
    for process in chosen:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    return " ".join(during) or "none"


def computed_twice(noted: Path) -> int:
    """Responses that were computed more than once, in the cell (a model at an exit layer) that has most of them."""
    rows = Counter(noted.read_text().splitlines()) if noted.exists() else Counter()
    cells = Counter(row.rsplit(" ", 1)[0] for row, times in rows.items() if times > 1)
    return max(cells.values(), default=0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    names = [field.name.replace("_", " ") for field in fields(Round)]
    with tempfile.TemporaryDirectory() as folder:
        finished = reference(Path(folder) / "finished")
        print(*names, sep="\t", flush=True)
        rounds = []
        for number in range(given.rounds):
            rounds.append(play(finished, Path(folder) / f"round {number}", number, given.seed))
            print(*astuple(rounds[-1]), sep="\t", flush=True)
    wrong = [one.number for one in rounds if one.second or one.different]
    good, most = given.rounds - len(wrong), max(one.again for one in rounds)
    print(f"{good} of {given.rounds} ended as if undisturbed; at most {most} responses of a cell computed twice")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
