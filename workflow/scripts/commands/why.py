"""Trace a number, a figure or any other result through every file on the way to it, back to the raw inputs.

For each step: the rule, its files with their sha256, when it ran and for how long, and its spec, which holds everything
that decides its result. Files that changed after the next step read them are marked, and the exit status is then 1.

  why.py asr.broad-default.world-deep.layer-03      a key of numbers.json
  why.py refusal-and-harm                               a figure, a table or another file, by name or path
"""

import argparse
import csv
import difflib
import json
import shlex
import textwrap
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from layerwise.analysis import results
from layerwise.errors import InputError
from layerwise.files import canonical, digest, file_digest
from layerwise.paths import ROOT, Run
from layerwise.runs import provenance
from layerwise.runs.provenance import Choice, Job

WIDTH = 100
FILES = 4  # of one rule, unless --full is given
CODE = ("code", "pins")


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", help="a key of numbers.json, or a result file by name or path")
    parser.add_argument("--experiment", default="bench", help="a finished experiment (default: bench)")
    parser.add_argument("--full", action="store_true", help="show every file, full checksums, full specs, the commands")
    arguments = parser.parse_args(argv)
    made = provenance.jobs(Path())
    run = Run(arguments.experiment)
    if run.numbers not in made:
        raise InputError(
            f"'{arguments.experiment}' has no numbers yet, or .snakemake, the record of how they were made, is gone. "
            f"Run: make reproduce EXPERIMENT={arguments.experiment}"
        )
    values = json.loads(Path(run.numbers).read_text(encoding="utf-8"))
    if arguments.what in values:
        head, job, about = of_number(arguments.what, values[arguments.what], made[run.numbers])
    else:
        own = {path: job for path, job in made.items() if run.holds(path)}
        head, job, about = of_file(arguments.what, own, values, run.experiment)
    steps = provenance.chain(made, [job], about)
    print("\n".join(head))
    for rule in dict.fromkeys(step.rule for step in steps):
        print("\n".join(["", *told([step for step in steps if step.rule == rule], arguments.full)]))
    print("\n".join(["", *again(job, arguments.experiment)]))
    broken = list(changed(steps))
    print("\n".join(["", *broken] if broken else ["", "No file has changed since the next step read it."]))
    return 1 if broken else 0


def of_number(key: str, number: Mapping, job: Job) -> tuple[list[str], Job, Sequence[Choice]]:
    """The first lines on a number; the job that wrote it, cut down to the inputs it used; and what it is about."""
    limits = f"   [{number['low']}, {number['high']}]" if number["low"] is not None else ""
    n = f"   n = {number['n']}" if number["n"] is not None else ""
    head = wrapped(f"{key} = {number['text']}", "")
    if number["value"] is not None:
        head.append(f"  value {number['value']}{limits}{n}")
    about: Sequence[Choice] = ()
    inputs: dict[str, None] = {}
    for source in number["source"].split(", "):
        place, _, line = source.partition(":")
        inputs |= dict.fromkeys(path for path in job.inputs if comes_from(path, place))
        if line:
            row = row_of(place, int(line))
            about = provenance.choices(row, job.spec)
            head += [
                f"  from {place}, line {line}:",
                *wrapped(", ".join(f"{k} {v}" for k, v in row.items() if v), "    "),
            ]
            if row.get("seed") == "all":
                head += ["  the mean over seeds of these lines:", *(f"    {text}" for text in of_seeds(place, row))]
    if number["source"] == "spec":
        head.append("  from the settings of the run; see the spec below")
    return head, replace(job, inputs=tuple(inputs)), about or own_subject(key, inputs)


def comes_from(path: str, place: str) -> bool:
    """Whether an input is what a number names as its source: a file, a folder, or a frame."""
    return path == place or str(Path(path).parent) == place or results.name(Path(path)) == Path(place).stem


def own_subject(key: str, paths: Iterable[str]) -> list[Choice]:
    """Among files named after subjects, the one that a key names."""
    known = frozenset(Path(path).stem for path in paths)
    wanted = frozenset(name for name in known if f".{name}." in f".{key}.")
    return [Choice(wanted, known)] if wanted else []


def row_of(path: str, line: int) -> dict[str, str]:
    """One line of a table, by column; line 1 is the header."""
    rows = table(path)
    if not 2 <= line <= len(rows) + 1:
        raise InputError(f"{path} has no line {line}: numbers.json is out of date. Run: make reproduce")
    return rows[line - 2]


def table(path: str) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def of_seeds(path: str, mean: Mapping[str, str]) -> Iterator[str]:
    """The rows whose mean is the row with seed `all`."""
    own = {"seed", "value", "low", "high", "n"}
    for line, row in enumerate(table(path), 2):
        if row["seed"] != "all" and all(row[column] == mean[column] for column in row if column not in own):
            limits = f"[{row['low']}, {row['high']}]"
            yield f"{line}: seed {row['seed']}, value {row['value']} {limits}, n {row['n']}"


def of_file(
    name: str, made: Mapping[str, Job], numbers: Mapping, experiment: str
) -> tuple[list[str], Job, Sequence[Choice]]:
    """The same for a result file, found by its path, the end of its path, or its name without suffix."""
    found = [path for path in made if name in names(path, experiment)]
    if not found:
        known = dict.fromkeys([*numbers, *(short for path in made for short in names(path, experiment))])
        near = difflib.get_close_matches(name, known, n=5, cutoff=0.5)
        say = (
            f" Closest: {', '.join(near)}."
            if near
            else " numbers.json lists the keys; files are in results and figures."
        )
        raise InputError(f"no number and no result is called '{name}'.{say}")
    jobs = {made[path]: path for path in sorted(found, reverse=True)}
    if len(jobs) > 1:
        raise InputError(f"several results are called '{name}'. Choose one: {', '.join(sorted(jobs.values()))}.")
    (job,) = jobs
    return wrapped(", ".join(sorted(found)), ""), job, ()


def names(path: str, experiment: str) -> set[str]:
    """The names that a file answers to: every end of its path, with or without suffix, with or without experiment."""
    parts = Path(path).parts
    short = [part for part in parts if part != experiment]
    ends = {"/".join(whole[start:]) for whole in (parts, short) for start in range(len(whole))}
    return ends | {end.removesuffix(Path(path).suffix) for end in ends}


def told(steps: Sequence[Job], full: bool) -> Iterator[str]:
    """What the jobs of one rule made, from which files, when and how."""
    first, last = min(step.started for step in steps), max(step.ended for step in steps)
    begin, end = (datetime.fromtimestamp(time, UTC) for time in (first, last))
    jobs = "" if len(steps) == 1 else f", {len(steps)} jobs"
    yield f"← {steps[0].rule}   {begin:%Y-%m-%d %H:%M:%S} to {end:%H:%M:%S} UTC{jobs}"
    yield from listed([path for step in steps for path in step.outputs], full)
    if sources := {path for step in steps for path in step.sources}:
        yield "    from files of the project:"
        yield from listed(sources, full, ROOT)
    specs = {canonical(step.spec): step for step in steps}
    for text, step in list(specs.items()) if full else list(specs.items())[:1]:
        yield from spec_of(text, step, full)
    if len(specs) > 1 and not full:
        yield f"    and {len(specs) - 1} more specs"
    if full:
        for step in steps:
            yield f"    {step.command}"


def spec_of(text: str, job: Job, full: bool) -> Iterator[str]:
    """A spec, in full or in a line or two."""
    if full:
        yield from textwrap.indent(json.dumps(job.spec, indent=1, ensure_ascii=False), "    ").splitlines()
        return
    code = f"code {digest(job.spec['code'])[:12]}, " if "code" in job.spec else ""
    pins = f"{len(job.spec['pins'])} pins, " if "pins" in job.spec else ""
    rest = ", ".join(
        f"{key} {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for key, value in job.spec.items()
        if key not in CODE
    )
    said = textwrap.shorten(f"spec {digest(job.spec)[:12]}: {code}{pins}{rest}", 2 * WIDTH - 20, placeholder=" …")
    yield from wrapped(said, "    ")


def listed(paths: Collection[str], full: bool, folder: Path = Path()) -> Iterator[str]:
    """Files of a folder with their checksums."""
    shown = sorted(paths) if full else sorted(paths)[:FILES]
    for path in shown:
        there = file_digest(folder / path) if (folder / path).exists() else "gone"
        yield f"    {there if full else there[:12]:12}  {path}"
    if len(paths) > len(shown):
        yield f"    and {len(paths) - len(shown)} more files"


def changed(steps: Sequence[Job]) -> Iterator[str]:
    """Files that have changed since the next step read them."""
    for step in steps:
        read = [(Path(), path, step.read.get(path)) for path in step.inputs]
        for folder, path, checksum in read + [(ROOT, path, checksum) for path, checksum in step.sources.items()]:
            if not (folder / path).exists():
                yield f"GONE: {path}, which {step.rule} read"
            elif checksum and checksum != file_digest(folder / path):
                yield f"CHANGED: {path}, since {step.rule} read it to make {step.outputs[0]}"


def again(job: Job, experiment: str) -> Iterator[str]:
    """The commands that make a result again."""
    snakemake = f"  .venv/bin/snakemake --config experiment={experiment}"
    target = shlex.quote(job.outputs[0])
    yield "To make it again (whatever has changed; only this step; everything from scratch):"
    yield f"  make reproduce EXPERIMENT={experiment}"
    yield f"{snakemake} --force {target}"
    yield f"{snakemake} --forceall {target}"


def wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent + "  ")
