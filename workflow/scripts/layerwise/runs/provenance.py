"""How each file of a run was made: rule, inputs, spec, command and times, from the records that Snakemake keeps.

Snakemake uses these records to decide what to rerun, so they say what was done, not what a rule file plans today, and
no second list of dependencies is needed. The answers for readers (`why.py`) and for machines (`crate.py`) both come
from here.
"""

import ast
import base64
import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from layerwise.errors import InputError

FOLDER = Path(".snakemake", "metadata")
ROWS = (".jsonl", ".csv", ".json")
FORMAT = 6  # format of the records; Snakemake is pinned, and raises the number when it changes them


@dataclass(frozen=True)
class Job:
    """One job that was run. Paths are relative to the folder of the run, times in seconds since 1970.

    `outputs` are those with a record, `read` has the sha256 of the inputs at the time of reading (none for large
    files), `spec` is what decides a rerun.
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
        """The files of the project that it read, by their path in the project, with their sha256 at that time."""
        return self.spec.get("sources", {})

    @property
    def script(self) -> str:
        """The name of the script that it ran, such as `judge.py`: the same whatever a module calls the rule."""
        words = shlex.split(self.command.split(" 2>&1 ")[0])
        return next(Path(word).name for word in words if word.endswith(".py"))

    def __hash__(self) -> int:
        return hash((self.rule, self.command))


def jobs(root: Path) -> dict[str, Job]:
    """The job that made each file, by the file's path. `root` is the working directory of snakemake.

    Raises InputError for records in a format other than the pinned Snakemake's.
    """
    folder, records = root / FOLDER, {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            # A long name is split into folders, whose names begin with @.
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
        raise InputError(f"{path}: not a Snakemake record ({error}). Delete it, then run again.") from error
    if version != FORMAT:
        raise InputError(
            f"{path}: key 'record_format_version' is {version}, but must be {FORMAT}: another version of Snakemake "
            "wrote it. Use the version in envs/requirements.lock."
        )
    return record


def _job(record: dict[str, Any], outputs: Sequence[str]) -> Job:
    # A rule's only tracked parameter; Snakemake keeps the repr of the text that was passed to the shell.
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
    """Some jobs and everything they depend on: every job after those that depend on it.

    `outputs` and `inputs` of each job are cut down to those used on the way, and to those that concern `about`: a row
    of a table depends on some rows of other tables, but weights depend on everything they were trained with.
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
    """The subjects, data sets, judges or exit layers that a question is about, among all that files are named after."""

    wanted: frozenset[str]
    known: frozenset[str]


def narrowed(paths: Sequence[str], about: Sequence[Choice]) -> tuple[str, ...]:
    """Paths without those named after something that the question is not about.

    If no path is named after what the question is about, all paths are kept.
    """
    for choice in about:
        names = {path: {_stem(part) for part in Path(path).parts} & choice.known for path in paths}
        if any(found & choice.wanted for found in names.values()):
            paths = [path for path in paths if not names[path] or names[path] & choice.wanted]
    return tuple(paths)


def _stem(part: str) -> str:
    return re.sub(r"\.(jsonl|csv)$", "", part)


def choices(row: Mapping[str, Any], spec: Mapping[str, Any]) -> list[Choice]:
    """What one row of a result table is about, in the words of the spec it was made with.

    `row` has the text in the file. The list is empty if the row does not narrow anything down: a prediction, for
    instance, compares arms.
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
    # A p value that is corrected over the layers depends on all of them.
    if row.get("layer") and "p_holm" not in row:
        layers = {f"layer-{layer:02d}" for one in spec["subjects"] for layer in one["layers"]}
        found.append(Choice(frozenset([f"layer-{int(row['layer']):02d}"]), frozenset(layers)))
    return found
