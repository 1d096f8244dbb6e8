"""Why a planned job would run again, from the record of the last time and the files that are there."""

import os

import pytest

from layerwise.files import file_digest
from layerwise.runs.provenance import Job
from layerwise.runs.reruns import Planned, explain

PROMPTS, OUTPUT = "results/x/prompts/a.jsonl", "results/x/metrics.csv"


@pytest.fixture
def root(tmp_path):
    """A folder with one input and, made after it, one output."""
    for time, path in enumerate((PROMPTS, OUTPUT)):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
        os.utime(tmp_path / path, (time, time))
    return tmp_path


def planned(inputs=(PROMPTS,), outputs=(OUTPUT,), spec=None, said="", rule="metrics", wildcards=()):
    return Planned(rule, wildcards, inputs, outputs, spec or {}, said)


def record(root, inputs=(PROMPTS,)):
    read = {path: file_digest(root / path) for path in inputs if (root / path).exists()}
    return {OUTPUT: Job("metrics", inputs, (OUTPUT,), {}, "python metrics.py", 0.0, 1.0, read)}


def write(root, text, time):
    (root / PROMPTS).write_text(text)
    os.utime(root / PROMPTS, (time, time))


def test_nothing_to_run(root):
    assert explain([], {}, root) == ["Nothing to run: every result is up to date."]


@pytest.mark.parametrize(
    ("job", "why"),
    [
        (planned(outputs=("results/x/new.csv",)), "new, no output yet"),
        (planned(outputs=(OUTPUT, "results/x/paired.csv")), "output results/x/paired.csv is new"),
        (planned(spec={"limit": 2}), "limit unset → 2"),
        (planned(inputs=(PROMPTS, "config/b")), "input config/b is new"),
        (planned(inputs=()), f"input {PROMPTS} is no longer read"),
        (planned(said="Forced execution"), "failed or was interrupted"),
        (planned(said="Code has changed since last execution"), "the rule's command"),
        (planned(said="Some reason of another version"), "Some reason of another version"),
    ],
)
def test_a_job_alone(root, job, why):
    assert explain([job], record(root), root) == [f"metrics: {why}"]


def test_an_input_is_modified_where_its_bytes_are_others(root):
    made = record(root)
    write(root, "other", time=9)
    assert explain([planned()], made, root) == [f"metrics: input {PROMPTS} is modified"]
    write(root, PROMPTS, time=10)
    assert explain([planned(said="?")], made, root) == ["metrics: ?"]


def test_an_output_that_is_lost_is_missing_with_its_record_and_without(root):
    made = record(root)
    (root / OUTPUT).unlink()
    assert explain([planned()], made, root) == [f"metrics: output {OUTPUT} is missing"]
    (root / OUTPUT).write_text("")
    two = planned(outputs=(OUTPUT, "results/x/paired.csv"))
    assert explain([two], {}, root) == ["metrics: output results/x/paired.csv is missing"]


def test_what_changed_comes_before_what_follows_and_equal_reasons_share_a_line(root):
    prompts = [planned((), (f"results/x/prompts/{id}.jsonl",), rule="build_prompts", wildcards=(id,)) for id in "bc"]
    follows = planned()
    first = planned((), (PROMPTS,), rule="build_prompts", wildcards=("a",))
    (root / PROMPTS).unlink()
    made = record(root) | {PROMPTS: Job("build_prompts", (), (PROMPTS,), {"limit": 1}, "python", 0.0, 1.0, {})}
    lines = explain([follows, *prompts, first], made, root)
    assert lines == [
        f"build_prompts a: output {PROMPTS} is missing; limit 1 → unset",
        "build_prompts (2 jobs): new, no output yet",
        f"metrics: input {PROMPTS} will be made again by build_prompts a",
    ]
    assert len(explain([follows, *prompts, first], made, root, full=True)) == 4
