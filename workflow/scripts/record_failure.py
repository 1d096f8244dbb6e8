"""Record that a generating process died unexpectedly (out of memory, say): its cells have failed, and the run goes on.

The rows it left are set aside for the next run. A process that was told to stop has not failed; its status is kept.
"""

import argparse
import signal
import sys
from pathlib import Path

from layerwise.files import atomic
from layerwise.jobs import failures, program, rows

TOLD_TO_STOP = {128 + signal.SIGINT, 128 + signal.SIGTERM, 128 + signal.SIGHUP}


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--status", type=int, required=True, help="exit status of the process")
    parser.add_argument("--log", required=True, help="log of the process")
    parser.add_argument(
        "--output", type=Path, nargs="+", required=True, help="the response files it should have written"
    )
    arguments = parser.parse_args(argv)
    if arguments.status in TOLD_TO_STOP:
        sys.exit(arguments.status)

    error = f"the process ended with status {arguments.status}: {why(arguments.status, Path(arguments.log))}"
    for output in arguments.output:
        rows.set_aside(output)
        with atomic(output):
            pass
        failures.note(output, error, arguments.log)
    print(f"failed: {len(arguments.output)} cells: {error}; log: {arguments.log}", file=sys.stderr)


def why(status: int, log: Path) -> str:
    """The signal that killed a process, or its last error message."""
    if status > 128:
        return f"killed by {signal.Signals(status - 128).name}, perhaps for lack of memory"
    said = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    errors = [line.removeprefix("error: ") for line in said if line.startswith("error: ")]
    return errors[-1] if errors else "see its log"


if __name__ == "__main__":
    program.run(main)
