"""Why jobs would run again: compares the plan with the records of how the results were made.

Snakemake decides which jobs run. The reasons are found here, since Snakemake knows only that two specs differ, and that
one job depends on another.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from layerwise.files import file_digest
from layerwise.runs.provenance import Job
from layerwise.runs.spec_changes import differences, listed


@dataclass(frozen=True)
class Planned:
    """A job that would run; `said` is the reason that Snakemake gives. Paths are relative to the repository."""

    rule: str
    wildcards: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    spec: Mapping[str, Any]
    said: str

    @property
    def name(self) -> str:
        return " ".join([self.rule, *self.wildcards])


@dataclass(frozen=True)
class Reason:
    """Why a job would run: `text` for this job, `kind` for all jobs of a rule that share the reason.

    `follows` is true if the only reason is that another job makes an input anew.
    """

    text: str
    kind: str
    follows: bool = False


def explain(planned: Sequence[Planned], made: Mapping[str, Job], root: Path, full: bool = False) -> list[str]:
    """Lines that say why each job would run: first the jobs for which something changed, then those that follow.

    Jobs of one rule with the same reasons share a line, unless `full` is set. `made` has the record of the job that
    made each file, by path; `root` is Snakemake's working directory.
    """
    if not planned:
        return ["Nothing to run: every result is up to date."]
    makers = {path: job for job in planned for path in job.outputs}
    groups: dict[tuple, list[tuple[str, list[Reason]]]] = {}
    for job in _in_order(planned, makers):
        # Only Snakemake knows the reason.
        found = list(dict.fromkeys(_reasons(job, made, makers, root, full))) or [_reason(job.said)]
        shared = job.name if full else tuple(reason.kind for reason in found)
        group = (all(reason.follows for reason in found), job.rule, shared)
        groups.setdefault(group, []).append((job.name, found))
    changed_first = sorted(groups.items(), key=lambda item: item[0][0])
    return [_line(rule, jobs, full) for (_, rule, _), jobs in changed_first]


def _in_order(planned: Sequence[Planned], makers: Mapping[str, Planned]) -> Iterator[Planned]:
    """Each job after those that make its inputs, otherwise by name."""
    jobs = {job.name: job for job in sorted(planned, key=lambda job: job.name)}
    before = {name: [makers[path].name for path in job.inputs if path in makers] for name, job in jobs.items()}
    return (jobs[name] for name in TopologicalSorter(before).static_order())


def _line(rule: str, jobs: Sequence[tuple[str, list[Reason]]], full: bool) -> str:
    name = jobs[0][0] if len(jobs) == 1 else f"{rule} ({len(jobs)} jobs)"
    each = zip(*(found for _, found in jobs), strict=True)
    texts = [reasons[0].text if len(set(reasons)) == 1 else reasons[0].kind for reasons in each]
    return f"{name}: {listed(texts, full, '; ')}"


def _reasons(
    job: Planned, made: Mapping[str, Job], makers: Mapping[str, Planned], root: Path, full: bool
) -> Iterator[Reason]:
    there = [path for path in job.outputs if (root / path).exists()]
    records = list(dict.fromkeys(made[path] for path in job.outputs if path in made))
    if not there and not records:
        yield _reason("new, no output yet")
        return
    lost = [path for path in job.outputs if path not in there]
    new = [path for path in lost if records and path not in made]
    yield from _of_files("output", "missing", [path for path in lost if path not in new], full)
    yield from _of_files("output", "new", new, full)
    if "Forced execution" in job.said:
        yield _reason("failed or was interrupted")
    if "Code has changed" in job.said:
        yield _reason("the rule's command")
    since = min(((root / path).stat().st_mtime for path in there), default=0.0)
    for record in records:
        yield from map(_reason, differences(record.spec, job.spec, full))
        yield from _of_files("input", "new", sorted(set(job.inputs) - set(record.inputs)), full)
        yield from _of_files("input", "no longer read", sorted(set(record.inputs) - set(job.inputs)), full)
        kept = [path for path in job.inputs if path in record.inputs and path not in makers]
        changed = [path for path in kept if _changed(root / path, record.read.get(path), since)]
        yield from _of_files("input", "modified", changed, full)
    known = {path for record in records for path in record.inputs} or job.inputs
    remade = {path: makers[path] for path in job.inputs if path in makers and path in known}
    if remade:
        yield _remade(remade, full)


def _reason(text: str) -> Reason:
    return Reason(text, text)


def _of_files(what: str, state: str, paths: Sequence[str], full: bool) -> Iterator[Reason]:
    if len(paths) == 1:
        yield Reason(f"{what} {paths[0]} is {state}", f"one {what} is {state}")
    elif paths:
        kind = f"{len(paths)} {what}s are {state}"
        yield Reason(f"{kind}: {', '.join(paths) if full else f'{paths[0]} and others'}", kind)


def _changed(path: Path, digest: str | None, since: float) -> bool:
    """Whether an input has changed, by Snakemake's rule: newer than the oldest output, and with other bytes.

    `digest` is the sha256 of what was read, if it is known, `since` is the time of the oldest output.
    """
    if not path.exists() or (time := path.stat().st_mtime) <= since:
        return False
    return digest is None or _digest(path, time) != digest


@functools.cache
def _digest(path: Path, time: float) -> str:
    return file_digest(path)


def _remade(makers: Mapping[str, Planned], full: bool) -> Reason:
    """The reason that other jobs make some inputs anew; `makers` by input."""
    rules: dict[str, set[str]] = {}
    for maker in makers.values():
        rules.setdefault(maker.rule, set()).add(maker.name)
    said = [f"{rule} ({len(names)} jobs)" if len(names) > 1 else min(names) for rule, names in sorted(rules.items())]
    which = f"input {next(iter(makers))}" if len(makers) == 1 else f"{len(makers)} inputs"
    return Reason(
        f"{which} will be made again by {listed(said, full)}",
        f"inputs will be made again by {listed(sorted(rules), full)}",
        follows=True,
    )
