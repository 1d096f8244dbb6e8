"""What every script shares: common options, progress lines, the cost of the job, errors as one message."""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from layerwise.errors import InputError
from layerwise.files import atomic

Item = TypeVar("Item")
SECONDS_BETWEEN_LINES = 10.0


def parser(description: str) -> argparse.ArgumentParser:
    """An argument parser with the options of all scripts: `--spec` and `--costs`."""
    options = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--spec", type=json.loads, required=True, help="canonical JSON of whatever decides the result")
    options.add_argument("--costs", type=Path, help="JSON file for this job's CPU seconds and peak memory")
    return options


def run(main: Callable[[list[str]], None]) -> None:
    """Run a script's main. An InputError becomes one message and exit status 1; the cost is recorded at the end."""
    started = time.perf_counter()
    arguments = sys.argv[1:]
    try:
        main(arguments)
        record_costs(arguments, time.perf_counter() - started)
    except InputError as error:
        sys.exit(f"error: {error}")


def record_costs(arguments: list[str], wall_seconds: float) -> None:
    """Write what this process and its children used to the file given with `--costs`, if any."""
    known = argparse.ArgumentParser(add_help=False)
    known.add_argument("--costs", type=Path)
    path = known.parse_known_args(arguments)[0].costs
    if path is None:
        return
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cost = {
        "script": Path(sys.argv[0]).stem,
        "cpu_seconds": round(sum(u.ru_utime + u.ru_stime for u in usage), 2),
        "wall_seconds": round(wall_seconds, 2),
        "peak_memory_mb": round(max(u.ru_maxrss for u in usage) / 1024, 1),
    }
    with atomic(path) as stream:
        json.dump(cost, stream)


def progress(items: Iterable[Item], total: int, name: str, note: Callable[[], str] = str) -> Iterator[Item]:
    """Pass items on, and report on stderr every ten seconds: items done, rate, and time left.

    `note` adds its own text to each line, such as the loss.
    """
    started = last = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES or done == total:
            rate = done / max(now - started, 1e-9)
            left = (total - done) / rate
            print(
                f"{name}: {done}/{total}  {rate:.1f}/s  {left:.0f} s left  {note()}".rstrip(),
                file=sys.stderr,
                flush=True,
            )
            last = now
