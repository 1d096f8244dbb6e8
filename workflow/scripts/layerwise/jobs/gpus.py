"""How processes that share a machine divide its GPUs: each claims its own.

Snakemake counts GPUs but assigns no ids to local jobs. So a process takes a file lock for each device, which is
released however the process ends, and makes only those devices visible to CUDA. If Slurm or the user has already set
CUDA_VISIBLE_DEVICES, the claim is limited to those.
"""

import fcntl
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TextIO

from layerwise.errors import InputError

VISIBLE = "CUDA_VISIBLE_DEVICES"
DRIVER = Path("/proc/driver/nvidia/gpus")  # a folder for each GPU
SECONDS_BETWEEN_TRIES = 0.5

_held: list[TextIO] = []  # kept open, and so locked, until the process ends


def visible() -> list[str]:
    """The GPUs that CUDA would show, by index or UUID, without asking CUDA or torch."""
    if VISIBLE in os.environ:
        found = []
        for name in map(str.strip, os.environ[VISIBLE].split(",")):
            if not re.fullmatch(r"\d+|(GPU|MIG)-.+", name):  # CUDA stops reading at the first invalid name
                break
            found.append(name)
        return found
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True).stdout
        count = len(re.findall(r"^GPU \d+:", listed, re.M))
    except FileNotFoundError:
        count = len(list(DRIVER.iterdir())) if DRIVER.is_dir() else 0
    return [str(index) for index in range(count)]


def claim(count: int) -> str | None:
    """Wait for `count` GPUs and claim them for the life of this process; call it before CUDA starts.

    Returns accelerate's `device_map`: `auto` for several GPUs, otherwise None. If no GPU is visible, claims nothing and
    leaves the work to the CPU. Raises InputError if some are visible, but too few.
    """
    there = visible()
    if not count or not there:
        return None
    if len(there) < count:
        raise InputError(
            f"this model needs {count} GPUs, but CUDA sees only {len(there)}: {', '.join(there)}. Lower `gpus` in its "
            f"file in config/models, or name more in {VISIBLE}."
        )
    os.environ[VISIBLE] = ",".join(_locked(count, there))
    return "auto" if count > 1 else None


def _locked(count: int, names: list[str]) -> list[str]:
    """The names of `count` free devices, locked; waits until there are enough."""
    folder = Path(tempfile.gettempdir()) / f"layerwise-gpus-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    # Inside a Slurm job, devices can be numbered from 0, whichever they are.
    job = os.environ.get("SLURM_JOB_ID", "local")
    taken: dict[str, TextIO] = {}
    waiting = False
    # One process at a time waits for devices, and the others wait for it: so each gets its turn, and no two processes
    # each hold half of what both need.
    with open(folder / "queue", "w") as queue:
        fcntl.flock(queue, fcntl.LOCK_EX)
        while True:
            for name in names:
                if name not in taken and len(taken) < count:
                    file = open(folder / f"{job}.{name.replace('/', '-')}", "w")
                    try:
                        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        taken[name] = file
                    except BlockingIOError:
                        file.close()
            if len(taken) == count:
                break
            if not waiting:
                print(f"waiting for {count} of the GPUs {', '.join(names)}", file=sys.stderr, flush=True)
            waiting = True
            time.sleep(SECONDS_BETWEEN_TRIES)
    _held.extend(taken.values())
    return [name for name in names if name in taken]
