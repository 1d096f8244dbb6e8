"""The workflow on a real Slurm, with the project's profile: the bytes of a local run, a clear word if a job dies."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from cluster import Cluster, lacking, until

from project import Project

REASON = lacking()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(REASON is not None, reason=str(REASON))]

MODELS = "results/smoke/models/organism-smoke"
VISION = f"{MODELS}.vision.s100/model.safetensors"
BASE = f"{MODELS}.broad-none.s100/model.safetensors"
JUDGE = "results/smoke/judges/toxicity/SHA256SUMS"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("cluster")) as here:
        yield here


class Run:
    """A run of the workflow on the cluster, from a copy of the sources, with the profile as it says to set it there."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster, self.folder = cluster, Project.new(folder).folder
        self.set("#slurm-status-command", "slurm-status-command")

    def set(self, old: str, new: str) -> None:
        """Change the profile."""
        Project(self.folder).edit("profiles/slurm/profile.yaml", old, new)

    def start(self, *arguments: str) -> None:
        """Start it."""
        snakemake = [sys.executable, "-m", "snakemake", "--profile", "profiles/slurm", "--config", "experiment=smoke"]
        looks = ["--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "5"]
        command = self.cluster.command(*snakemake, *looks, *arguments, folder=self.folder)
        with open(self.folder / "run.log", "w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    def processes(self) -> list[psutil.Process]:
        """Snakemake and its door to the cluster, as long as they run."""
        if self.process.poll() is not None:
            return []
        return [*psutil.Process(self.process.pid).children(recursive=True), self.process]

    def end(self) -> tuple[int, str]:
        """Its exit status and what it said."""
        return self.process.wait(), (self.folder / "run.log").read_text()

    def job(self, script: str) -> psutil.Process:
        """The process of a job, as soon as a node has started it."""
        return until(lambda: self._job(script), f"a job that runs {script}", 900)

    def _job(self, script: str) -> psutil.Process | None:
        assert self.process.poll() is None, self.end()[1]
        for process in self.cluster.processes():
            try:
                if any(word.endswith(script) for word in process.cmdline()[:2]):
                    return process
            except psutil.NoSuchProcess:
                continue
        return None

    def is_made(self, path: str) -> bool:
        return (self.folder / path).exists()


@pytest.fixture
def run(cluster, tmp_path):
    run = Run(cluster, tmp_path / "project")
    yield run
    for process in run.processes():
        process.kill()
    cluster.ask("scancel", "--user=root")
    cluster.ask("scontrol", "update", "nodename=node", "state=resume")


def test_the_smoke_experiment_has_the_bytes_of_a_local_run(finished, run):
    run.start()
    status, said = run.end()
    assert status == 0, said
    results = finished.folder / "results/smoke"
    paths = [results / name for name in ("metrics.csv", "paired.csv", "numbers.json")]
    paths += [*results.glob("responses/*/*.jsonl"), *results.glob("verdicts/*/*.jsonl")]
    paths += [*finished.folder.glob("figures/smoke/*.*"), finished.folder / "paper/smoke.pdf"]
    for path in paths:
        assert (run.folder / path.relative_to(finished.folder)).read_bytes() == path.read_bytes(), path
    assert said.count("has been submitted with SLURM jobid") == said.count("\nrule ")


def test_a_killed_job_is_named_the_others_go_on_and_it_is_made_next_time(finished, run):
    run.start(VISION, JUDGE)
    run.job("train_vision.py").kill()
    status, said = run.end()
    assert status != 0 and "Error in rule train_vision" in said and "FAILED" in said
    assert "logs/smoke/train_vision/organism-smoke.s100.log" in said
    assert run.is_made(JUDGE) and not run.is_made(VISION)
    run.start(VISION, JUDGE)
    status, said = run.end()
    assert status == 0 and "rule train_judge" not in said
    assert (run.folder / VISION).read_bytes() == (finished.folder / VISION).read_bytes()


def test_a_job_past_its_time_limit_is_ended_and_named(run):
    run.set("#  - slurm_partition=<partition>", "  - slurm_partition=gpu")
    run.start(VISION, "--set-resources", "train_vision:gpu=1")
    hung = run.job("train_vision.py")
    hung.suspend()
    asked = run.cluster.ask("scontrol", "show", "job")
    assert "TimeLimit=00:30:00" in asked and "Partition=gpu" in asked and "gres:gpu:1" in asked
    assert hung.environ()["CUDA_VISIBLE_DEVICES"] == "0"
    number = run.cluster.ask("squeue", "--noheader", "--format=%A")
    run.cluster.ask("scontrol", "update", f"jobid={number}", "timelimit=1")
    status, said = run.end()
    assert status != 0 and "Error in rule train_vision" in said and "TIMEOUT" in said
    assert not hung.is_running() and not run.is_made(VISION)


def test_a_drained_node_lets_its_job_end_and_the_next_one_wait(finished, run):
    run.start(BASE)
    run.job("train_vision.py")
    run.cluster.ask("scontrol", "update", "nodename=node", "state=drain", "reason=maintenance")
    waiting = until(
        lambda: run.cluster.ask("squeue", "--states=PENDING", "--noheader", "--format=%k %r"), "a wait", 120
    )
    assert "train_arm" in waiting and run.is_made(VISION)
    until(lambda: "DRAINED" in run.cluster.ask("squeue", "--noheader", "--format=%r"), "a reason")
    run.cluster.ask("scontrol", "update", "nodename=node", "state=resume")
    status, said = run.end()
    assert status == 0, said
    assert (run.folder / BASE).read_bytes() == (finished.folder / BASE).read_bytes()
