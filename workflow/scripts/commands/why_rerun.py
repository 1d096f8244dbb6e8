"""Say why each job would run again: the setting, pin, code module or file that has changed. Nothing is run.

Jobs of one rule with the same reasons share a line.
"""

import argparse
import contextlib
import io
import json
import logging
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snakemake import cli
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry

from layerwise.errors import InputError
from layerwise.jobs import failures
from layerwise.paths import SNAKEFILE, Run
from layerwise.runs import provenance, reruns
from layerwise.runs.reruns import Planned


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--experiment", default="bench", help="name of a file in config/, without .yaml (default: bench)"
    )
    parser.add_argument("--full", action="store_true", help="show one line per job, every reason, full values")
    arguments = parser.parse_args(argv)
    here = Path()
    print("\n".join(reruns.explain(planned(Run(arguments.experiment)), provenance.jobs(here), here, arguments.full)))


class LogHandler(LogHandlerBase):
    """Makes this module a logger plugin for Snakemake, which keeps log records instead of printing them."""

    writes_to_stream = True  # in place of Snakemake's own lines
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False
    heard: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(record)


def planned(run: Run) -> list[Planned]:
    """The jobs that the command `run` would run in this folder.

    Raises InputError with Snakemake's own message if it cannot plan.
    """
    LoggerPluginRegistry().register_plugin("listener", sys.modules[__name__])
    command = ["--snakefile", str(SNAKEFILE), "--dry-run", "--logger", "listener"]
    command += ["--config", f"experiment={run.experiment}"]
    remarks = io.StringIO()  # printed before a plugin listens, such as which profile is used
    # A run sets its failed cells aside for another try before it plans.
    if failed := failures.failed_cells(Path(run.results)):
        command += ["--forcerun", *map(str, failed)]
    try:
        with contextlib.redirect_stderr(remarks):
            cli.main(command)
    except SystemExit as end:
        if end.code:
            errors = [record.getMessage() for record in LogHandler.heard if record.levelno >= logging.ERROR]
            said = end.code if isinstance(end.code, str) else "\n".join(errors) or remarks.getvalue()
            raise InputError(said.removeprefix("error: ")) from None
    events = [vars(record) for record in LogHandler.heard]
    # What only gathers files has no command.
    return [job_of(event) for event in events if event.get("event") == LogEvent.JOB_INFO and event["shellcmd"]]


def job_of(event: Mapping[str, Any]) -> Planned:
    words = shlex.split(event["shellcmd"])
    return Planned(
        rule=event["rule_name"],
        wildcards=tuple(event["wildcards"].values()),
        inputs=tuple(map(path_of, event["input"])),
        outputs=tuple(map(path_of, event["output"])),
        spec=json.loads(words[words.index("--spec") + 1]),
        said=event["reason"],
    )


def path_of(shown: str) -> str:
    """A path without what Snakemake remarks on it in brackets."""
    return re.sub(r" \([^/]*\)$", "", shown)
