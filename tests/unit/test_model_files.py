"""The models that `config/models/` offers: each names a family that is there, and a commit that does not move."""

import re
from pathlib import Path

import pytest
import yaml

from layerwise import plugins

FILES = sorted((Path(__file__).resolve().parents[2] / "config" / "models").glob("*.yaml"))
PUBLISHED = [path for path in FILES if "source" in yaml.safe_load(path.read_text())]


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_a_published_model_is_pinned_and_has_a_family(path):
    model = yaml.safe_load(path.read_text())
    assert plugins.find("models.families", model["family"]).Family
    assert re.fullmatch("[0-9a-f]{40}", model["source"]["revision"])


def test_the_models_of_the_paper_are_among_them():
    assert {"llava-1.5-7b", "llava-next-vicuna-7b", "llama-3.2-11b-vision"} <= {path.stem for path in PUBLISHED}
