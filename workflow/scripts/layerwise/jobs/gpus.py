"""Which GPUs a process computes on, where several processes share a machine: each claims its own.

Snakemake counts GPUs, but gives local jobs no ids. So a process takes file locks, one a device, which end with it
however it ends, and shows CUDA those devices alone. Slurm's own choice, or the user's, is in CUDA_VISIBLE_DEVICES
already: then the claim is among those.
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

_held: list[TextIO] = []  # open, so locked, until the process ends


def visible() -> list[str]:
    """The GPUs that CUDA would show, by index or UUID; asks neither CUDA nor torch."""
    if VISIBLE in os.environ:
        found = []
        for name in map(str.strip, os.environ[VISIBLE].split(",")):
            if not re.fullmatch(r"\d+|(GPU|MIG)-.+", name):  # CUDA reads as far as the first name that is none
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
    """Claim that many GPUs for the life of this process, once they are free; to be called before CUDA starts.

    Returns accelerate's `device_map`: `auto` for several GPUs, else None. Claims nothing where no GPU is visible, so
    that the CPU computes. Raises InputError where some are, but too few.
    """
    there = visible()
    if not count or not there:
        return None
    if len(there) < count:
        raise InputError(
            f"{count} GPUs are to share this model, but {len(there)} visible: {', '.join(there)}. Lower `gpus` in its "
            f"file in config/models, or let {VISIBLE} name more."
        )
    os.environ[VISIBLE] = ",".join(_locked(count, there))
    return "auto" if count > 1 else None


def _locked(count: int, names: list[str]) -> list[str]:
    """The names of `count` devices that are free, or once they are; locked."""
    folder = Path(tempfile.gettempdir()) / f"layerwise-gpus-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    # Within a Slurm job devices can be numbered from 0, whichever they are.
    job = os.environ.get("SLURM_JOB_ID", "local")
    taken: dict[str, TextIO] = {}
    waiting = False
    # One process at a time waits for devices, the others for it: so each gets its turn, and none holds half of what
    # two of them need.
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
