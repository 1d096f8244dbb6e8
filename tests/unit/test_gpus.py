"""GPUs: which are visible, and that processes that share a machine never share one."""

import json
import os
import select
import subprocess
import sys

import pytest

from conftest import ROOT
from layerwise.errors import InputError
from layerwise.jobs import gpus

SCRIPTS = str(ROOT / "workflow" / "scripts")
# Claims, says what it got, and lives until its input ends.
PROCESS = """
import os, sys
from layerwise.jobs import gpus
device_map = gpus.claim(int(sys.argv[1]))
print(os.environ["CUDA_VISIBLE_DEVICES"], device_map, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def start(tmp_path):
    """Starts processes that claim GPUs among those named, with locks of their own; kills them at the end."""
    started = []

    def one(count: int, names: str = "3,5", **more: str) -> subprocess.Popen:
        environment = {**os.environ, "PYTHONPATH": SCRIPTS, "TMPDIR": str(tmp_path), "CUDA_VISIBLE_DEVICES": names}
        process = subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**environment, **more},
            text=True,
        )
        started.append(process)
        return process

    yield one
    for process in started:
        process.kill()
        process.communicate()


def got(process: subprocess.Popen) -> str:
    """What a process says it has claimed, once it has."""
    return process.stdout.readline().strip()


def test_each_process_has_its_own_and_the_next_waits_for_a_dead_one(start):
    first, second = start(1), start(1)
    devices = got(first), got(second)
    assert sorted(devices) == ["3 None", "5 None"]
    third = start(1)
    assert third.stderr.readline() == "waiting for 1 of the GPUs 3, 5\n"
    second.kill()
    assert got(third) == devices[1]


def test_a_process_that_needs_several_gets_them_together_and_in_its_turn(start):
    first = start(1)
    assert got(first) == "3 None"
    both = start(2)
    assert both.stderr.readline() == "waiting for 2 of the GPUs 3, 5\n"
    later = start(1)
    first.kill()
    assert got(both) == "3,5 auto"
    both.kill()
    assert got(later) in ("3 None", "5 None")  # a process that dies lets go of one after the other


def test_two_that_need_several_do_not_block_each_other(start):
    waiting = [start(2), start(2)]
    while waiting:
        ready, _, _ = select.select([process.stdout for process in waiting], [], [])
        (done,) = [process for process in waiting if process.stdout in ready]
        assert got(done) == "3,5 auto"
        done.kill()
        waiting.remove(done)


def test_slurm_jobs_that_number_their_devices_alike_do_not_wait_for_each_other(start):
    assert got(start(1, "0", SLURM_JOB_ID="17")) == got(start(1, "0", SLURM_JOB_ID="18")) == "0 None"


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("2", ["2"]),
        ("2, 0", ["2", "0"]),
        ("1,-1,0", ["1"]),
        ("GPU-8f1,MIG-3a2/1/0", ["GPU-8f1", "MIG-3a2/1/0"]),
    ],
)
def test_what_cuda_would_show(monkeypatch, value, names):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert gpus.visible() == names


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine whose programs and driver are in a folder, where nobody has chosen a GPU."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(gpus, "DRIVER", tmp_path / "driver")
    return tmp_path


def test_without_gpus_nothing_is_claimed(machine):
    assert gpus.visible() == []
    assert gpus.claim(2) is None
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_gpus_are_counted_by_nvidia_smi_else_by_the_driver(machine):
    for bus in ("0000:17:00.0", "0000:65:00.0"):
        (machine / "driver" / bus).mkdir(parents=True)
    assert gpus.visible() == ["0", "1"]
    listed = ["GPU 0: NVIDIA H100 (UUID: GPU-1)", "  MIG 1g.10gb Device 0: (UUID: MIG-1)"]
    listed += [f"GPU {number}: NVIDIA H100 (UUID: GPU-{number})" for number in (1, 2)]
    program = machine / "nvidia-smi"
    program.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in listed))
    program.chmod(0o755)
    assert gpus.visible() == ["0", "1", "2"]
    program.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed'\nexit 9\n")
    assert gpus.visible() == []


def test_too_few_gpus_are_one_message(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    with pytest.raises(InputError, match="needs 2 GPUs, but CUDA sees only 1: 7. Lower `gpus`"):
        gpus.claim(2)


def test_nothing_asks_cuda_before_the_claim():
    """Whoever asks CUDA fixes its devices, and a claim that comes later is in vain."""
    code = (
        "import json, torch\n"
        "asked = []\n"
        "torch.cuda.is_available = lambda: asked.append('is_available') or False\n"
        "torch.cuda.device_count = lambda: asked.append('device_count') or 0\n"
        "import generate, judge, probe\n"
        "print(json.dumps(asked))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": SCRIPTS}, capture_output=True, text=True
    )
    assert json.loads(done.stdout) == [], done.stderr
