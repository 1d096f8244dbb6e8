"""Run an experiment from start to end, and report the time it took.

Only one run at a time works in a folder; locks and jobs left by a killed run are removed first. Further options are
passed on to snakemake.
"""

import argparse
import contextlib
import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

from layerwise.jobs import failures, gpus
from layerwise.paths import SNAKEFILE, Run

# Set for all processes of a run to the folder of the run.
MARK = "LAYERWISE_RUN"


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--experiment", default="bench", help="name of a file in config/, without .yaml (default: bench)"
    )
    parser.add_argument("--cores", default="all", help="number of cores, or all (the default)")
    arguments, rest = parser.parse_known_args(argv)
    run = Run(arguments.experiment)

    lock = open(".run.lock", "a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read().strip() or "another process"
        sys.exit(f"error: {holder} is running in this folder. Wait for it or stop it; nothing was changed.")
    lock.truncate(0)
    lock.write(f"process {os.getpid()} (make, experiment {run.experiment})")
    lock.flush()

    end_orphans()
    os.environ[MARK] = str(Path.cwd())
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(SNAKEFILE)]
    command += ["--config", f"experiment={run.experiment}"]
    if any(Path(".snakemake", "locks").glob("*")):
        if other := snakemake_here():
            sys.exit(f"error: process {other}, a snakemake, is running in this folder. Wait for it or stop it.")
        print("An earlier run was interrupted; resuming where it stopped.", flush=True)
        unlocked = subprocess.run([*command, "--unlock", "--quiet"], capture_output=True, text=True)
        if unlocked.returncode:
            sys.exit(unlocked.stderr)
    # Snakemake treats a resource without a limit as unlimited.
    limits = ["--resources", f"gpu={len(there)}"] if (there := gpus.visible()) else []
    failures.try_again(Path(run.results))
    started = time.monotonic()
    status = subprocess.run(
        [*command, "--cores", arguments.cores, *limits, "--quiet", "host", "reason", "rules", *rest]
    ).returncode
    minutes, seconds = divmod(round(time.monotonic() - started), 60)
    print(f"{run.experiment}: {'done' if status == 0 else 'FAILED'} after {minutes} min {seconds:02d} s")
    if status == 0 and Path(run.complete).exists():
        print(f"The paper: {run.paper}\nThe explorer: {run.explorer}, to be opened in a browser")
    return status


def end_orphans() -> None:
    """End the jobs that a killed run left behind: they would write files that this run also writes. Rows are kept."""
    orphans = [
        process
        for process in psutil.process_iter(["environ", "create_time"])
        if (process.info["environ"] or {}).get(MARK) == str(Path.cwd())
    ]
    # Parents first: the shell around a job would take its end for a failure.
    for process in sorted(orphans, key=lambda process: process.info["create_time"]):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(orphans)


def snakemake_here() -> int | None:
    """The process id of a snakemake that works in this folder, if there is one."""
    for process in psutil.process_iter(["cmdline", "cwd"]):
        command = process.info["cmdline"] or []
        if process.info["cwd"] == str(Path.cwd()) and any("snakemake" in Path(word).name for word in command[:3]):
            return process.pid
    return None
