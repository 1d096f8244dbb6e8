"""What fails leaves a hole: the rest is made and says what it lacks, and the run ends with an error that names it."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import typst

from kills import COMMAND, start, victims
from layerwise.jobs import specs
from layerwise.study import loading

OF_METRICS = ("refusal-and-harm", "outcomes", "toxicity", "ability")
SUBJECT = "organism-smoke.broad-none.s100"


def paper_says_partial(project) -> list[str]:
    """The figures that the paper's head calls PARTIAL."""
    numbers, *others = ("results/smoke/numbers.json", "results/smoke/tables", "figures/smoke")
    files = [
        numbers,
        *(path.relative_to(project.folder) for place in others for path in (project.folder / place).iterdir()),
    ]
    about = specs.Specs(loading.load(project.folder / "config/smoke.yaml")).paper()
    inputs = {"spec": about, "files": json.dumps(sorted(map(str, files)))}
    main = project.folder / "paper/main.typ"
    compiler = typst.Compiler(main, root=project.folder, ignore_system_fonts=True, sys_inputs=inputs)
    return [name for names in json.loads(compiler.query("<partial>", field="value")) for name in names]


def assert_all_is_made_but(project, finished, cells: list[str], said: str) -> dict[str, str]:
    """All else is there and says what it lacks; the run ends with how to make it: a command for each cell."""
    assert finished.built().keys() - set(cells) <= project.built().keys()
    captions = {name: (project.folder / f"figures/smoke/{name}.txt").read_text() for name in OF_METRICS}
    assert all("PARTIAL" in caption for caption in captions.values()), captions
    assert set(paper_says_partial(project)) >= set(OF_METRICS)
    found = re.findall(r"^FAILED (\S+): .*\n  log:    (\S+)\n  repeat: (.*)$", said, re.MULTILINE)
    failed = {cell: (log, command) for cell, log, command in found}
    assert sorted(failed) == cells
    assert all((project.folder / log).exists() for log, _ in failed.values())
    assert "figures, tables and paper are PARTIAL" in said
    return {cell: command for cell, (_, command) in failed.items()}


def test_a_process_that_is_killed_for_memory(finished, project):
    project.forget("responses", "verdicts")
    with open(project.folder / "said.txt", "w") as stream:
        run = start(project.folder, stream)
        job = victims(run, "generate.py")[0]
        subject = Path(job.cmdline()[-1]).parent.name
        job.kill()
        assert run.wait() != 0
    cells = [f"results/smoke/responses/{subject}/layer-{layer}.jsonl" for layer in ("00", "07")]
    assert_all_is_made_but(project, finished, cells, (project.folder / "said.txt").read_text())
    subprocess.run(COMMAND, cwd=project.folder, check=True, capture_output=True)
    assert not finished.differences(project)


FAULT = f"""
sound_keep = keep


def keep(batch, subject, *rest):
    cell = ("{SUBJECT}", 0)
    failure = lambda answer: engine.Failure(answer.prompt_id, 0, "it cannot be done")
    sound_keep([failure(answer) if (subject, answer.layer) == cell else answer for answer in batch], subject, *rest)
"""


@pytest.mark.slow
def test_a_cell_that_always_fails(finished, project):
    cell = f"results/smoke/responses/{SUBJECT}/layer-00.jsonl"
    code = project.folder / "workflow/scripts/layerwise/models/generation.py"
    sound = code.read_text()
    code.write_text(sound + FAULT)
    for _ in range(2):
        run = subprocess.run(COMMAND, cwd=project.folder, capture_output=True, text=True)
        assert run.returncode != 0
        commands = assert_all_is_made_but(project, finished, [cell], run.stdout + run.stderr)
    repeated = subprocess.run(commands[cell], shell=True, cwd=project.folder, capture_output=True, text=True)
    assert "it cannot be done" in repeated.stdout + repeated.stderr
    code.write_text(sound)
    subprocess.run(COMMAND, cwd=project.folder, check=True, capture_output=True)
    assert not finished.differences(project)
