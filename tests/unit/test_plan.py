"""The plan of an experiment: counts that agree with what is built and run, from names of files alone."""

import json
import subprocess
import sys

import pytest
import yaml

from conftest import ROOT
from layerwise import plugins
from layerwise.prompts import draws
from layerwise.runs.plan import Count, expected, plan, render
from layerwise.study import config, loading, yamlfile
from project import Project

EXPERIMENTS = sorted(path.stem for path in (ROOT / "config").glob("*.yaml"))


def study(name):
    return loading.load(ROOT / "config" / f"{name}.yaml")


@pytest.fixture
def project(tmp_path):
    """A tiny experiment of one published model, two data sets and one judge with weights, with nothing done."""
    hub = {"kind": "hub", "repo": "acme/tiny", "revision": "a" * 40, "size_mb": 14000, "license": "MIT"}
    archive = {"kind": "url", "url": "http://localhost/coco.zip", "sha256": "b" * 64, "size_mb": 500}
    files = {
        "trial.yaml": {
            "title": "A trial",
            "models": ["tiny"],
            "layers": [1, 3],
            "datasets": ["pairs", "single"],
            "judges": ["guard", "refusal", "coherence"],
            "outcome": {"refusal": "refusal", "coherence": "coherence", "harm": "guard"},
            "responses_per_second": 2,
        },
        "models/tiny.yaml": {
            "display": "Tiny",
            "family": "llava",
            "blocks": 4,
            "default_layer": 3,
            "gpu_memory_gb": 16,
            "source": {**hub, "revision": "main"},
        },
        **{f"judges/{name}.yaml": {"display": name, "judge": name} for name in ("refusal", "coherence")},
        "judges/guard.yaml": {
            "display": "Guard",
            "judge": "guard",
            "source": {**hub, "repo": "acme/guard", "gated": True, "size_mb": None},
        },
        "datasets/pairs.yaml": {
            "display": "Pairs",
            "builder": "xstest",
            "size": 10,
            "prompts": 20,
            "sources": {"prompts": archive},
        },
        "datasets/single.yaml": {"display": "Single", "builder": "xstest", "size": 5, "sources": {"prompts": archive}},
    }
    for name, values in files.items():
        path = tmp_path / "config" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(values))
    return tmp_path


def planned(project):
    return plan(loading.load(project / "config" / "trial.yaml"), project)


def write(project, path, rows):
    file = project / "results" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("{}\n" * rows)


@pytest.mark.parametrize("limit", [None, 24])
@pytest.mark.parametrize("id", [id for id in study("bench").datasets if id.startswith("world-")])
def test_as_many_prompts_are_built_as_were_expected(tmp_path, id, limit):
    data = study("bench").datasets[id]
    spec = {"dataset": id, **data.model_dump()}
    built = draws.first_clusters(
        plugins.find("prompts.builders", data.builder).build({**spec, "limit": limit}, {}, tmp_path), limit
    )
    assert len(built) == expected(data, limit)


def test_declared_counts_are_those_of_the_builders_options():
    files = (ROOT / "config" / "datasets").glob("*.yaml")
    declared = {path.stem: yamlfile.read(path, config.Dataset) for path in files}
    options = {id: data.options for id, data in declared.items()}
    counts = {id: expected(data, None) for id, data in declared.items()}
    behaviours = options["advbench-coco"]
    assert counts["advbench-coco"] == behaviours["rows"] - behaviours["held_out"]
    assert counts["custom-prompts"] == options["custom-prompts"]["held_out"] * options["custom-prompts"]["images"]
    assert counts["jailbreakv-mini"] == options["jailbreakv-mini"]["rows"]
    assert counts["xstest"] == options["xstest"]["rows"]
    assert counts["vqa-v2"] == declared["vqa-v2"].size * options["vqa-v2"]["questions"]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_has_a_plan_that_counts_its_cells(name, tmp_path):
    found = plan(study(name), tmp_path)
    assert sum(count.total for count in found.cells.values()) == sum(len(s.layers) for s in study(name).subjects)
    assert found.responses == Count(
        sum(count.total for count in found.prompts.values()) * sum(count.total for count in found.cells.values()), 0
    )
    assert {id for download in found.downloads for id in download.ids} == set(study(name).sources)
    assert all(count.total for count in found.prompts.values()), "a data set's number of prompts is not declared"
    assert f"{found.responses.total:,}" in render(found)


@pytest.mark.slow
def test_the_plan_has_as_many_jobs_as_a_dry_run(tmp_path):
    jobs = Project.new(tmp_path / "copy").planned(experiment="bench")
    found = plan(study("bench"), tmp_path)
    assert sum(job.split()[0] in ("train_vision", "train_arm") for job in jobs) == len(found.trained)
    assert sum(job.split()[0].startswith("generate") for job in jobs) == len(study("bench").subjects)
    assert sum(job.startswith("build_prompts") for job in jobs) == len(found.prompts)


def test_nothing_done(project):
    found = planned(project)
    assert found.prompts == {"pairs": Count(20, 0), "single": Count(5, 0)}
    assert found.cells == {"tiny": Count(2, 0)}
    assert found.responses == Count(50, 0)
    assert found.hours == {"tiny": 25 / 3600}
    assert (found.failed, found.trained) == (0, {})


def test_what_is_there_is_counted_as_done(project):
    write(project, "trial/prompts/pairs.jsonl", 18)  # a builder may find fewer than were declared
    write(project, "trial/responses/tiny/layer-01.jsonl", 23)
    write(project, "trial/responses/tiny/layer-03.jsonl", 7)  # stopped half-way
    write(project, "trial/responses/tiny/layer-03.status.json", 1)
    found = planned(project)
    assert found.prompts["pairs"] == Count(18, 18)
    assert found.cells == {"tiny": Count(2, 2)}
    assert (found.responses, found.responses.left) == (Count(46, 30), 16)
    assert found.failed == 1
    assert "1 failed before and will be retried" in render(found)
    write(project, "trial/responses/tiny/layer-03.jsonl", 23)
    assert "nothing left to generate" in render(planned(project))


def test_a_limit_keeps_its_part_of_the_clusters(project):
    data = loading.load(project / "config" / "trial.yaml").datasets["pairs"]
    assert [expected(data, limit) for limit in (None, 100, 10, 4)] == [20, 20, 20, 8]


def test_a_source_that_two_data_sets_read_is_downloaded_once(project):
    assert [download.ids for download in planned(project).downloads] == [
        ("tiny",),
        ("guard",),
        ("pairs.prompts", "single.prompts"),
    ]
    assert "downloads  14.5 GB to fetch, plus 1 of unknown size" in render(planned(project))
    write(project, "assets/single.prompts.json", 1)
    assert [download.done for download in planned(project).downloads] == [False, False, True]
    assert "downloads  14.0 GB to fetch" in render(planned(project))


def test_what_the_user_must_know_stands_there(project):
    lines = {line.split()[0]: line for line in render(planned(project)).splitlines() if line}
    assert "GATED: request access on the page of acme/guard and set HF_TOKEN" in lines["guard"]
    assert "licence: MIT" in lines["guard"]
    assert "licence: not stated" in lines["pairs.prompts,"]
    text = render(planned(project))
    assert "revision 'main' may move" in text
    assert "GPU with 16 GB" in text
    assert "1 generating processes, 0 judges" in text
    assert "about 1 min of generation at 2 responses per second (declared, not measured)" in text


def test_hours_are_those_of_what_was_measured_on_a_gpu(project, tmp_path):
    row = {"id": "engine: tiny", "what": "", "count": 384, "seconds": 0.384, "status": "measured"}
    other = [{"id": "engine: other", "status": "left out"}, {**row, "id": "generate: batch 1", "seconds": 900}]
    file = tmp_path / "gpu.json"
    file.write_text(json.dumps({"card": "NVIDIA H100", "rows": [row, *other]}))
    found = plan(loading.load(project / "config" / "trial.yaml"), project, file)
    assert found.hours == {"tiny": found.responses.left / 1000 / 3600}
    lines = render(found).splitlines()
    assert lines[-2] == "time       about 1 min of generation; judging on top"
    assert lines[-1].split() == "tiny 1 min at 1e+03 responses per second, measured on NVIDIA H100".split()


def test_shared_stages_are_trained_once():
    names = plan(study("bench"), ROOT / "nowhere").trained
    arms = ("narrow-none", "broad-none", "narrow-default", "narrow-random", "broad-default", "broad-random")
    assert {name for name in names if name.endswith("s401") and name.startswith("organism.")} == {
        f"organism.{part}.s401" for part in ("vision", *arms)
    }
    # The base of a listed arm is trained, though it is not studied.
    assert {name for name in names if name.startswith("organism-f2.")} == {
        f"organism-f2.{part}.s401" for part in ("vision", "broad-none", "broad-default")
    }


def test_a_base_arm_is_trained_once_for_all_alignment_seeds():
    names = plan(study("wheels"), ROOT / "nowhere").trained
    aligned = {name for name in names if ".narrow-default." in name}
    assert aligned == {f"dino-smol-135m.narrow-default.s{seed}" for seed in ("11", "11a12", "11a13")}
    assert {name for name in names if ".narrow-none." in name} == {"dino-smol-135m.narrow-none.s11"}
    assert {name for name in names if name.endswith(".backbones")} == {"dino-smol-135m.backbones"}


def test_the_command_opens_no_model_and_no_network(project):
    code = (
        "import json, runpy, socket, sys\n"
        "socket.socket = None\n"
        "sys.argv = ['scripts', 'plan', '--experiment', 'trial']\n"
        "try:\n"
        f"    runpy.run_path({str(ROOT / 'workflow/scripts')!r}, run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "print(json.dumps([name for name in ('torch', 'transformers', 'huggingface_hub') if name in sys.modules]))\n"
    )
    path = str(ROOT / "workflow" / "scripts")
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {path!r})\n{code}"],
        cwd=project,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    *text, heavy = done.stdout.splitlines()
    assert text[0] == "trial: A trial"
    assert json.loads(heavy) == []


def test_an_experiment_that_is_not_there_is_one_message():
    script = [sys.executable, str(ROOT / "workflow/scripts"), "plan", "--experiment", "bemch"]
    done = subprocess.run(script, capture_output=True, text=True)
    assert done.returncode != 0
    assert "Did you mean bench?" in done.stderr and "Traceback" not in done.stderr
