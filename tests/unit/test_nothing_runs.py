"""Nothing that a checkpoint or a data set holds is run: each holds code here, and a trap says whether it ran.

Images in PostScript: test_pictures.py. Code in wheels: test_assets_wheel.py.
"""

import ast
import json
import os
import pickle
from pathlib import Path

import pytest
import torch

from conftest import ROOT
from judges import make
from layerwise.errors import InputError
from layerwise.judging.judges import toxicity
from layerwise.judging.weights import find_checkpoint, record_checksums
from layerwise.models import checkpoints
from layerwise.prompts.builders import behaviours
from layerwise.study import experiment, yamlfile
from models import settings
from smallmodels import save_classifier, save_llava

HOSTILE = """
from pathlib import Path
from transformers import PretrainedConfig, PreTrainedModel
Path({trap!r}).touch()
class Config(PretrainedConfig):
    model_type = "hostile"
class Model(PreTrainedModel):
    config_class = Config
"""


class Pickled:
    """An object that touches the trap when it is unpickled."""

    def __init__(self, trap: Path) -> None:
        self.trap = trap

    def __reduce__(self):
        return os.mknod, (str(self.trap),)


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """The file that is there once something ran. Whoever is asked whether to run code says yes."""
    monkeypatch.setattr("builtins.input", lambda *question: "y")
    return tmp_path / "trap"


def with_code(folder: Path, trap: Path) -> Path:
    """The repository of a model that brings its own code."""
    (folder / "hostile.py").write_text(HOSTILE.format(trap=str(trap)))
    values = json.loads((folder / "config.json").read_text())
    own = {"AutoConfig": "hostile.Config"}
    own |= {
        f"AutoModelFor{kind}": "hostile.Model" for kind in ("CausalLM", "SequenceClassification", "ImageTextToText")
    }
    values |= {"model_type": "hostile", "auto_map": own, "architectures": ["Model"]}
    (folder / "config.json").write_text(json.dumps(values))
    return folder


def test_a_checkpoint_of_detoxify_s_that_holds_code_is_not_opened(tmp_path, trap):
    file = tmp_path / "judge" / "model.ckpt"
    file.parent.mkdir()
    torch.save({"config": {}, "state_dict": {"a": torch.ones(2)}, "more": Pickled(trap)}, file)
    record_checksums(file.parent)
    with pytest.raises(InputError, match=r"model.ckpt is not opened: .* could run code"):
        toxicity.load(find_checkpoint(file))
    assert not trap.exists()
    torch.load(file, weights_only=False)
    assert trap.exists(), "the trap works"


@pytest.mark.parametrize("content", [b"", b"no checkpoint", pickle.dumps({"a": 1}, protocol=2)[:-2]])
def test_a_damaged_checkpoint_of_detoxify_s_is_one_error(tmp_path, content):
    file = tmp_path / "judge" / "model.ckpt"
    file.parent.mkdir()
    file.write_bytes(content)
    record_checksums(file.parent)
    with pytest.raises(InputError, match="model.ckpt is not opened: it is damaged"):
        toxicity.load(find_checkpoint(file))


@pytest.mark.parametrize("judge", ["guard", "classifier"])
def test_a_judge_s_repository_with_code_is_refused(tmp_path, trap, judge):
    folder = with_code(save_classifier(tmp_path / "judge", "bert", ["NORMAL", "REJECTION"]), trap)
    record_checksums(folder)
    with pytest.raises(InputError, match=f"judge '{judge}': the checkpoint .* cannot be loaded"):
        make(judge, [folder / "model.safetensors"])
    assert not trap.exists()


def test_a_model_s_repository_with_code_is_refused(tmp_path, trap):
    folder = with_code(save_llava(tmp_path / "model"), trap)
    with pytest.raises(InputError, match="cannot be loaded|model_type"):
        checkpoints.load_model(folder, settings(4))
    assert not trap.exists()


def test_weights_in_a_pickle_are_not_opened(tmp_path, trap):
    folder = save_llava(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    torch.save({"a": Pickled(trap)}, folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"lacks model.safetensors"):
        checkpoints.load_model(folder, settings(4))
    assert not trap.exists()


def test_yaml_makes_values_alone(tmp_path, trap):
    call = f"!!python/object/apply:os.mknod [{str(trap)!r}]"
    (tmp_path / "rows.prompt").write_text(f"seeds:\n  - value: {call}\n")
    with pytest.raises(InputError, match=r"rows.prompt"):
        behaviours.read(tmp_path / "rows.prompt")
    (tmp_path / "trial.yaml").write_text(f"title: {call}\n")
    with pytest.raises(InputError, match=r"trial.yaml"):
        yamlfile.read(tmp_path / "trial.yaml", experiment.Experiment)
    assert not trap.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('title: "half \\ud83d"', "half a character"),
        ("title: &a [*a]", "holds itself"),
        ("[" * 5000, "too deep|not valid"),
    ],
)
def test_texts_and_values_that_no_file_can_hold_are_one_error(tmp_path, text, said):
    (tmp_path / "trial.yaml").write_text(text)
    with pytest.raises(InputError, match=f"trial.yaml.*({said})"):
        yamlfile.read(tmp_path / "trial.yaml", experiment.Experiment)


def test_no_call_allows_code():
    """Each loader of torch's and transformers' is told to run nothing; a dictionary of settings may tell it."""
    told = {"load": "weights_only", "from_pretrained": "trust_remote_code"}
    for path in (ROOT / "workflow").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            of, name = ast.unparse(node.func.value), node.func.attr
            if (of == "torch" and name == "load") or (of.startswith("Auto") and name == "from_pretrained"):
                keys = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                assert told[name] in keys or keys.get(None) in ("LOCAL", "where"), f"{path}: line {node.lineno}"
                assert keys.get("weights_only", "True") == "True" and keys.get("trust_remote_code", "False") == "False"
            assert (of, name) not in {("pickle", "load"), ("pickle", "loads"), ("yaml", "unsafe_load")}, path
            assert not any(keyword.arg == "allow_pickle" for keyword in node.keywords), path
