"""The models that `config/models/` offers: each names a family that is there, and a commit that does not move."""

import re
import shutil

import pytest
import yaml

from conftest import ROOT
from layerwise import plugins
from layerwise.study import loading

FILES = sorted((ROOT / "config" / "models").glob("*.yaml"))
PUBLISHED = [path for path in FILES if "source" in yaml.safe_load(path.read_text())]


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_a_published_model_is_pinned_and_has_a_family(path):
    model = yaml.safe_load(path.read_text())
    assert plugins.find("models.families", model["family"]).Family
    assert re.fullmatch("[0-9a-f]{40}", model["source"]["revision"])


def test_the_models_of_the_paper_are_among_them():
    assert {"llava-1.5-7b", "llava-next-vicuna-7b", "llama-3.2-11b-vision"} <= {path.stem for path in PUBLISHED}


def test_the_second_model_that_laptop_offers_can_be_taken(tmp_path):
    path = shutil.copytree(ROOT / "config", tmp_path / "config") / "laptop.yaml"
    path.write_text(re.sub(r"^models: .*\n(#.*\n)*# (models: .*)$", r"\2", path.read_text(), flags=re.MULTILINE))
    assert {subject.name: subject.layers for subject in loading.load(path).subjects} == {
        "smolvlm-256m": (0, 2, 4, 6, 8, 10, 12),
        "qwen2-vl-2b": (0, 8, 16, 24, 32),
    }
