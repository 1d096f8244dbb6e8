"""How each file of a run came about: rule, inputs, spec, command and times, from the records that Snakemake keeps.

Snakemake decides by these records what to run again, so they say what was done, not what a rule file plans today; and
there is no second list of who depends on whom. What a reader asks (`why.py`) and what a machine reads (`crate.py`) both
come from here.
"""

import ast
import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from layerwise.errors import InputError

FOLDER = Path(".snakemake", "metadata")
ROWS = (".jsonl", ".csv", ".json")
FORMAT = 6  # of the records; Snakemake is pinned, and raises it when it changes them


@dataclass(frozen=True)
class Job:
    """One job that was run. Paths are relative to the folder of the run, times in seconds since 1970.

    `outputs` are those that there is a record of, `read` has the sha256 of the inputs when they were read (large
    files have none), `spec` what decides a rerun.
    """

    rule: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    spec: Mapping[str, Any]
    command: str
    started: float
    ended: float
    read: Mapping[str, str]

    @property
    def sources(self) -> Mapping[str, str]:
        """The files of the project that it read, by their path there, each with its sha256 at that time."""
        return self.spec.get("sources", {})

    def __hash__(self) -> int:
        return hash((self.rule, self.command))


def jobs(root: Path) -> dict[str, Job]:
    """The job that made each file, by the file's path. `root` is the folder that snakemake works in.

    Raises InputError for records of another format than that of the pinned Snakemake.
    """
    folder, records = root / FOLDER, {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            # A long name is cut into folders, whose names begin with @.
            code = "".join(part.removeprefix("@") for part in path.relative_to(folder).parts)
            records[base64.urlsafe_b64decode(code).decode()] = _record(path)
    made: dict[tuple[str, str], list[str]] = {}
    for output, record in records.items():
        made.setdefault((record["rule"], record["shellcmd"]), []).append(output)
    found: dict[str, Job] = {}
    for outputs in made.values():
        job = _job(records[outputs[0]], outputs)
        found |= dict.fromkeys(outputs, job)
    return found


def _record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        version = record["record_format_version"]
    except (ValueError, KeyError) as error:
        raise InputError(f"{path}: not a record of Snakemake ({error}). Delete it, then run again.") from error
    if version != FORMAT:
        raise InputError(
            f"{path}: key 'record_format_version' is {version}, and {FORMAT} is understood: another Snakemake wrote "
            "it. Use the version in envs/requirements.lock."
        )
    return record


def _job(record: dict[str, Any], outputs: Sequence[str]) -> Job:
    # A rule's one tracked parameter; Snakemake keeps the representation of the text that the shell was given.
    (quoted,) = record["params"] or ["'{}'"]
    return Job(
        rule=record["rule"],
        inputs=tuple(sorted(record["input"])),
        outputs=tuple(sorted(outputs)),
        spec=json.loads(ast.literal_eval(quoted)),
        command=record["shellcmd"],
        started=record["starttime"],
        ended=record["endtime"],
        read={path: checksum.removeprefix("sha256:") for path, checksum in record["input_checksums"].items()},
    )


def chain(made: Mapping[str, Job], last: Iterable[Job], about: Sequence["Choice"] = ()) -> list[Job]:
    """All that some jobs hang on, and themselves: every job after those that hang on it.

    `outputs` and `inputs` of each are cut down to those that were used on the way, and to what is `about`: a row of a
    table hangs on some rows of others, but weights on all that they were trained with.
    """
    after: dict[str, list[str]] = {}
    jobs: dict[str, Job] = {}
    used: dict[str, set[str]] = {}
    read: dict[str, set[str]] = {}
    waiting = [(job, job.outputs, "") for job in last]
    while waiting:
        job, outputs, user = waiting.pop()
        jobs.setdefault(job.command, job)
        after.setdefault(job.command, []).extend([user] if user else [])
        if used.setdefault(job.command, set()) >= set(outputs):
            continue
        used[job.command].update(outputs)
        rows = all(path.endswith(ROWS) for path in outputs)
        inputs = narrowed(job.inputs, about if rows else ())
        read.setdefault(job.command, set()).update(inputs)
        waiting += [(made[path], (path,), job.command) for path in inputs if path in made]
    return [
        replace(jobs[command], inputs=tuple(sorted(read[command])), outputs=tuple(sorted(used[command])))
        for command in TopologicalSorter(after).static_order()
    ]


@dataclass(frozen=True)
class Choice:
    """Of one kind of thing that files are named after (subjects, data sets, judges, exit layers): those asked about."""

    wanted: frozenset[str]
    known: frozenset[str]


def narrowed(paths: Sequence[str], about: Sequence[Choice]) -> tuple[str, ...]:
    """Paths without those that are named after something else than is asked about.

    Only where others are named after what is asked about: where none is, all count.
    """
    for choice in about:
        names = {path: {_stem(part) for part in Path(path).parts} & choice.known for path in paths}
        if any(found & choice.wanted for found in names.values()):
            paths = [path for path in paths if not names[path] or names[path] & choice.wanted]
    return tuple(paths)


def _stem(part: str) -> str:
    return re.sub(r"\.(jsonl|csv)$", "", part)


def choices(row: Mapping[str, Any], spec: Mapping[str, Any]) -> list[Choice]:
    """What one row of a table of results is about, in the words of the spec that it was made with.

    `row` has text as it stands in the file. Empty where the row says so little that all may count: a prediction, for
    one, compares arms.
    """
    if "metric" not in row:
        return []
    found = []
    if "model" in row:
        subjects = {one["name"]: (one["id"], one["arm"] or "", one["seed"] or "") for one in spec["subjects"]}
        whose = {
            name
            for name, (id, arm, seed) in subjects.items()
            if (id, arm) == (row["model"], row["arm"]) and row["seed"] in ("all", seed)
        }
        found.append(Choice(frozenset(whose), frozenset(subjects)))
    if row.get("dataset"):
        found.append(Choice(frozenset([row["dataset"]]), frozenset(spec["datasets"])))
    judges = {judge for column in ("judge", "first", "second") for judge in row.get(column, "").split("+")} - {""}
    if judges:
        truth = {spec["outcome"]["truth"]} if "truth" in row else set()
        found.append(Choice(frozenset(judges | truth), frozenset(spec["judges"])))
    # A p value that is corrected over the layers hangs on all of them.
    if row.get("layer") and "p_holm" not in row:
        layers = {f"layer-{layer:02d}" for one in spec["subjects"] for layer in one["layers"]}
        found.append(Choice(frozenset([f"layer-{int(row['layer']):02d}"]), frozenset(layers)))
    return found
