"""The experiments with published models are planned whole, without a network and without a token."""

import os
import re
import subprocess
import sys
from collections import Counter

import pytest

from layerwise import plugins
from layerwise.runs.plan import plan
from layerwise.study import loading
from layerwise.study.facts import facts
from project import Project

# Loaded by each Python process before anything else.
NO_NETWORK = """
import socket

def refuse(*asked, **named):
    raise AssertionError(f"the network is asked: {asked}")

socket.socket.connect = socket.getaddrinfo = refuse
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A copy of the sources, where a process that asks for the network fails, and no token is set."""
    (tmp_path / "no network").mkdir()
    (tmp_path / "no network" / "sitecustomize.py").write_text(NO_NETWORK)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "no network"))
    for variable in [name for name in os.environ if name.startswith(("HF_", "HUGGING"))]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    return Project.new(tmp_path / "project")


def test_the_network_would_be_noticed(project):
    done = subprocess.run(
        [sys.executable, "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:9')"], capture_output=True
    )
    assert b"the network is asked" in done.stderr


@pytest.mark.parametrize("experiment", ["laptop", "paper"])
def test_the_whole_study_is_planned(project, experiment):
    study = loading.load(project.folder / "config" / f"{experiment}.yaml")
    counted = plan(study, project.folder)
    jobs = project.planned(experiment=experiment)
    assert Counter(re.sub(r"_\d+$", "", job.split()[0]) for job in jobs) == {
        "fetch": len(study.sources),
        "build_prompts": len(counted.prompts),
        "generate": len(counted.cells),
        "judge": len(study.judges),
        "probe": len(study.subjects),
        "figure": len(plugins.planned("report.figures", facts(study))),
        "table": len(plugins.planned("report.tables", facts(study))),
        **dict.fromkeys(("try_judges", "metrics", "validity", "human_labels", "numbers"), 1),
        **dict.fromkeys(("explorer", "paper", "crate", "complete"), 1),
    }
    assert {job.split()[1] for job in jobs if job.startswith("fetch")} == set(study.sources)
    said = project.snakemake("--dry-run", experiment=experiment)
    cells = set(re.findall(rf"results/{experiment}/responses/[\w.-]+/layer-\d+\.jsonl", said.stdout + said.stderr))
    prompts = sum(count.total for count in counted.prompts.values())
    assert len(cells) * prompts == counted.responses.left == counted.responses.total
    assert not (project.folder / "results").exists()
    told = subprocess.run(
        [sys.executable, "workflow/scripts", "plan", "--experiment", experiment],
        cwd=project.folder,
        capture_output=True,
        text=True,
    )
    assert f"{len(cells):,} (model x exit layer), 0 done" in told.stdout
    assert f"{len(cells) * prompts:,} of {len(cells) * prompts:,} still to generate" in told.stdout


def test_an_assembled_model_is_planned_from_its_backbones(project):
    study = loading.load(project.folder / "config" / "wheels.yaml")
    counted = plan(study, project.folder)
    jobs = project.planned(experiment="wheels")
    assert Counter(re.sub(r"_\d+$", "", job.split()[0]) for job in jobs) == {
        "fetch": len(study.sources),
        "assemble": 1,
        "train_arm": len(counted.trained) - 1,
        "build_prompts": len(counted.prompts) + len(study.training_data),
        "generate": len(study.subjects),
        "judge": len(study.judges),
        "probe": 2,
        "figure": len(plugins.planned("report.figures", facts(study))),
        "table": len(plugins.planned("report.tables", facts(study))),
        **dict.fromkeys(("try_judges", "metrics", "validity", "human_labels", "assess", "numbers"), 1),
        **dict.fromkeys(("explorer", "paper", "crate", "complete"), 1),
    }
    # A base is trained once, whatever the seeds of what is aligned on it; a variant takes the weights of its model.
    trained = {job.removeprefix("train_arm ") for job in jobs if job.startswith("train_arm")}
    assert {name for name in trained if "-none " in name} == {
        "dino-smol-135m narrow-none 11", "dino-smol-135m broad-none 11"
    }  # fmt: skip
    assert not any("norm-matched" in name or "shuffled" in name for name in trained)
