"""Kills: the same command again, without hand work, ends in the bytes of a run that was never disturbed."""

import os
import signal
import subprocess

import psutil
import pytest
import yaml

import kills
from kills import COMMAND, start, victims

ROUNDS = 5


@pytest.mark.slow
@pytest.mark.parametrize("script", ["judge.py", "train_arm.py"])
def test_a_killed_job(finished, project, script):
    project.forget("responses", "verdicts", *(["models"] if script == "train_arm.py" else []))
    run = start(project.folder)
    killed = victims(run, script)
    assert killed, f"{script} never ran"
    killed[0].kill()
    assert run.wait() != 0
    subprocess.run(COMMAND, cwd=project.folder, check=True, capture_output=True)
    assert not finished.differences(project)


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
    assert not finished.differences(project)


def test_a_second_run_says_who_holds_the_folder(project):
    project.forget("responses", "verdicts")
    run = start(project.folder)
    assert victims(run, "generate.py")
    second = subprocess.run(COMMAND, cwd=project.folder, capture_output=True, text=True)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    assert second.returncode != 0 and f"process {run.pid}" in second.stderr


@pytest.mark.slow
def test_a_lost_cell_is_made_again(finished, project):
    (project.folder / "results/smoke/responses/organism-smoke.broad-none.s100/layer-00.jsonl").unlink()
    project.run()
    assert not finished.differences(project)


@pytest.fixture(scope="module")
def counting(tmp_path_factory):
    """A finished smoke experiment whose engine notes what it computes."""
    return kills.reference(tmp_path_factory.mktemp("counting") / "project")


@pytest.mark.slow
@pytest.mark.parametrize("number", range(ROUNDS))
def test_a_kill_at_random(counting, tmp_path, number):
    played = kills.play(counting, tmp_path / "project", number, seed=0)
    batch = yaml.safe_load((counting.folder / "config/smoke.yaml").read_text())["decoding"]["batch_size"]
    assert (played.second, played.different) == (0, "") and played.again <= batch, played
