"""Where an experiment's file is looked for, and which words choose one."""

from pathlib import Path

import pytest

from layerwise import paths
from layerwise.errors import InputError
from layerwise.paths import ROOT, Run
from layerwise.study.chosen import chosen


def test_the_working_directory_is_looked_at_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Run("smoke").config == ROOT / "config/smoke.yaml"
    Path("config").mkdir()
    Path("config/smoke.yaml").touch()
    assert Run("smoke").config == Path("config/smoke.yaml")
    assert Run("bench").config == ROOT / "config/bench.yaml"


@pytest.mark.parametrize(
    "name", ["../config/smoke", "config/smoke.yaml", "smoke.yaml", "config/smoke", "/tmp/smoke", "", 3, None, ["smoke"]]
)
def test_a_name_is_no_path(name):
    with pytest.raises(InputError, match=r"without the folder and without \.yaml, such as smoke\.$"):
        Run(name)


def test_the_file_that_was_meant_is_named():
    with pytest.raises(InputError, match="such as laptop"):
        Run("config/laptop.yaml")


@pytest.mark.parametrize(
    ("config", "files", "words"),
    [
        ({"experimnt": "smoke"}, [], "unknown --config key 'experimnt': the only key is 'experiment'"),
        ({"experiment": "smoke", "limit": 4}, [], "unknown --config key 'limit'"),
        ({"title": "Smoke"}, ["config/smoke.yaml"], "write --config experiment=smoke"),
    ],
)
def test_nothing_is_ignored(config, files, words):
    with pytest.raises(InputError, match=words):
        chosen(config, files)


def test_the_default_and_a_choice():
    assert chosen({}).experiment == "bench"
    assert chosen({"experiment": "smoke"}).results == "results/smoke"


def test_a_path_is_of_one_experiment():
    run = Run("bench")
    assert all(map(run.holds, [run.paper, run.numbers, run.figure("dose"), run.table("gates", "tex")]))
    assert not any(map(run.holds, [Run("bench-mllama").numbers, Run("bench-mllama").paper, paths.receipt("x")]))
