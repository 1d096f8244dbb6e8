"""What is around the jobs of a run: orphans of a killed run are ended, a dead process becomes a failed cell."""

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import record_failure
from commands import run
from layerwise.jobs import failures

WAITS = "import signal; print('ready', flush=True); signal.pause()"


@pytest.fixture
def waiting():
    """Start a process that waits, with a mark of the run that it belongs to."""
    started = []

    def start(mark: str) -> subprocess.Popen:
        environment = {**os.environ, run.MARK: mark}
        process = subprocess.Popen([sys.executable, "-c", WAITS], env=environment, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_orphans_of_this_folder_are_ended_and_no_others(waiting, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ours, other = waiting(str(tmp_path)), waiting(str(tmp_path / "another folder"))
    run.end_orphans()
    assert ours.poll() is not None and other.poll() is None


@pytest.fixture
def cell(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "results/trial/responses/model/layer-03.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text('{"key": "of a former run"}\n')
    return path.relative_to(tmp_path)


def fail(cell, status: int) -> None:
    record_failure.main(["--status", str(status), "--log", "logs/a.log", "--output", str(cell)])


def test_a_process_that_was_killed_leaves_a_failed_cell(cell, capsys):
    fail(cell, 128 + signal.SIGKILL)
    assert cell.read_text() == ""
    assert "of a former run" in cell.with_name("layer-03.jsonl.partial").read_text()
    status = json.loads(cell.with_name("layer-03.status.json").read_text())
    assert "SIGKILL, perhaps for lack of memory" in status["error"] and status["log"] == "logs/a.log"
    program, *arguments = shlex.split(failures.repeat(cell))
    assert program.endswith("snakemake") and "experiment=trial" in arguments and arguments[-1] == str(cell)
    assert "1 cells" in capsys.readouterr().err


@pytest.mark.parametrize(("log", "reason"), [("loading\nerror: no such file\n", "no such file"), ("", "see its log")])
def test_a_process_that_ended_with_an_error_leaves_its_words(cell, log, reason):
    Path("logs").mkdir()
    Path("logs/a.log").write_text(log)
    fail(cell, 1)
    status = json.loads(cell.with_name("layer-03.status.json").read_text())
    assert status["error"] == f"the process ended with status 1: {reason}"


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_process_that_was_told_to_stop_is_no_failure(cell, sent):
    with pytest.raises(SystemExit) as stopped:
        fail(cell, 128 + sent)
    assert stopped.value.code == 128 + sent
    assert [path.name for path in cell.parent.iterdir()] == [cell.name]
