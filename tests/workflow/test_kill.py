"""Kills: the same command again, without hand work, ends in the bytes of a run that was never disturbed."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

COMMAND = [sys.executable, "workflow/scripts/run.py", "--experiment", "smoke", "--cores", "2"]
COMPARED = ("results/smoke/metrics.csv", "results/smoke/paired.csv", "results/smoke/numbers.json", "paper/smoke.pdf")


def start(folder: Path) -> subprocess.Popen:
    """The run that a user would start, in a process group of its own."""
    return subprocess.Popen(
        COMMAND, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


def same_bytes(finished, project):
    for path in COMPARED:
        assert (project.folder / path).read_bytes() == (finished.folder / path).read_bytes(), path
    for path in (finished.folder / "results/smoke/responses").rglob("*.jsonl"):
        twin = project.folder / path.relative_to(finished.folder)
        assert twin.read_bytes() == path.read_bytes(), twin
    assert not list((project.folder / "results").rglob("*.partial"))


def victims(run: subprocess.Popen, script: str) -> list[psutil.Process]:
    """The processes below a run that execute a script, as soon as there are any."""
    while run.poll() is None:
        for process in psutil.Process(run.pid).children(recursive=True):
            try:
                if any(word.endswith(script) for word in process.cmdline()[:2]):
                    return [process]
            except psutil.NoSuchProcess:
                continue
    return []


@pytest.mark.parametrize(
    "script",
    ["generate.py", pytest.param("judge.py", marks=pytest.mark.slow), pytest.param("align.py", marks=pytest.mark.slow)],
)
def test_a_killed_job(finished, project, script):
    project.forget("responses", "verdicts", *(["models"] if script == "align.py" else []))
    run = start(project.folder)
    killed = victims(run, script)
    assert killed, f"{script} never ran"
    killed[0].kill()
    run.wait()
    subprocess.run(COMMAND, cwd=project.folder, check=True, capture_output=True)
    same_bytes(finished, project)


@pytest.mark.slow
def test_a_killed_snakemake(finished, project):
    project.forget("responses", "verdicts")
    run = start(project.folder)
    job = victims(run, "generate.py")[0]
    for process in psutil.Process(run.pid).children():
        process.kill()
    run.kill()
    run.wait()
    again = subprocess.run(COMMAND, cwd=project.folder, capture_output=True, text=True)
    assert again.returncode == 0, again.stdout[-2000:] + again.stderr[-4000:]
    assert not job.is_running() or job.status() == psutil.STATUS_ZOMBIE
    same_bytes(finished, project)


def test_a_second_run_says_who_holds_the_folder(project):
    project.forget("responses", "verdicts")
    run = start(project.folder)
    assert victims(run, "generate.py")
    second = subprocess.run(COMMAND, cwd=project.folder, capture_output=True, text=True)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    assert second.returncode != 0 and f"process {run.pid}" in second.stderr


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_a_whole_group_killed_at_random(finished, project, seed):
    project.forget("models", "responses", "verdicts")
    draw = random.Random(seed)
    run = start(project.folder)
    try:
        run.wait(timeout=draw.uniform(2, 25))
    except subprocess.TimeoutExpired:
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    subprocess.run(COMMAND, cwd=project.folder, check=True, capture_output=True)
    same_bytes(finished, project)


@pytest.mark.slow
def test_a_lost_cell_is_made_again(finished, project):
    cell = "results/smoke/responses/organism-smoke.robust.s100/layer-00.jsonl"
    (project.folder / cell).unlink()
    assert "generate organism-smoke.robust.s100" in project.planned()
    project.run()
    same_bytes(finished, project)
