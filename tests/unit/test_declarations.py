"""What plug-ins declare holds, is read without a heavy library, and is named where it does not hold."""

import subprocess
import sys
import types

import pytest

from conftest import ROOT
from layerwise import plugins
from layerwise.errors import InputError
from layerwise.judging.judges import Measure
from layerwise.study import declarations
from layerwise.study.declarations import BUILDERS, JUDGES, declared
from layerwise.study.settings import Settings
from layerwise.vocabulary import METRICS, OUTCOMES, Metric

HEAVY = (
    *("torch", "transformers", "tokenizers", "numpy", "pandas", "PIL", "matplotlib", "scipy", "statsmodels"),
    *("onnx", "onnxruntime", "detoxify", "huggingface_hub"),
)
CONSTANTS = {
    "models.families": {"VARIANTS", "SYSTEM_PROMPT"},
    "models.organisms": {"FAMILIES"},
    "models.backbones": {"PART", "FAMILIES"},
    "training.methods": {"STARTS_FROM_ARM", "REWARDED", "STAGES"},
    "report.figures": {"INPUTS", "WHEN"},
    "report.tables": {"INPUTS", "WHEN"},
}
BLOCKED = f"""
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {HEAVY}:
            raise ImportError(f"{{name}} is not needed to read a declaration")

sys.meta_path.insert(0, Blocked())
sys.path.insert(0, sys.argv[1])
from layerwise import plugins
from layerwise.study import declarations, loading
from layerwise.jobs import specs
for room in (declarations.JUDGES, declarations.BUILDERS):
    for name in plugins.names(room):
        declarations.declared(room, name)
for room, constants in {CONSTANTS}.items():
    for name in plugins.names(room):
        for constant in constants:
            plugins.constant(room, name, constant)
for name in sys.argv[2:]:
    study = loading.load(name)
    specs.Specs(study).aggregate("metrics")
"""


def test_no_declaration_needs_a_heavy_library():
    experiments = map(str, (ROOT / "config").glob("*.yaml"))
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, str(ROOT / "workflow/scripts"), *experiments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", plugins.names("models.families"))
def test_a_family_knows_the_variants_that_it_declares(name):
    family = plugins.find("models.families", name)
    assert tuple(family.VARIANTS) == plugins.constant("models.families", name, "VARIANTS")
    vision = types.SimpleNamespace(model_type=getattr(family.Family, "encoder", None))
    model = types.SimpleNamespace(config=types.SimpleNamespace(vision_config=vision))
    with pytest.raises(AssertionError, match="variant"):
        family.Family(model, None, "none-such")


@pytest.mark.parametrize("name", plugins.names(JUDGES))
def test_a_judge_declares_measures_and_claims_that_its_labels_bear(name):
    module = declared(JUDGES, name)
    assert issubclass(module.Options, Settings) and module.Options()
    assert set(module.CLAIMS) <= set(module.Judge.labels) and set(module.CLAIMS.values()) <= set(OUTCOMES)
    assert all(measure.about or measure.metric in METRICS for measure in module.MEASURES)
    assert module.MEASURES or set(module.CLAIMS.values()) == set(OUTCOMES)
    if "train" in module.WEIGHTS:
        assert plugins.module("training.judges", name) and module.Training()


@pytest.mark.parametrize("room", [JUDGES, BUILDERS])
def test_every_option_is_described(room):
    for name in plugins.names(room):
        module = declared(room, name)
        for settings in filter(None, (module.Options, getattr(module, "Training", None))):
            assert all(field.description for field in settings.model_fields.values()), name


def judge(**changes) -> types.ModuleType:
    """A judge's module, as somebody's file would have it."""

    class Options(Settings):
        """None."""

    class Judge:
        kinds = frozenset({"harmful", "benign"})
        labels = ("rude", "polite")

    module = types.ModuleType("rudeness")
    module.__file__ = "judges/rudeness.py"
    about = Metric("Rude")
    said = {"Options": Options, "WEIGHTS": (), "CLAIMS": {}, "Judge": Judge}
    said["MEASURES"] = (Measure("rudeness", "harmful", "rude", about=about),)
    for key, value in (said | changes).items():
        if value is not None:
            setattr(module, key, value)
    return module


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"MEASURES": None}, "does not declare MEASURES"),
        ({"MEASURES": (Measure("rudeness", "harmful", "rude"),)}, "no metric 'rudeness'; .*refusal, .*`about`"),
        ({"MEASURES": (Measure("asr_guard", "vqa", "rude"),)}, "of kind 'vqa', .*the judge applies to benign, harm"),
        ({"MEASURES": (Measure("asr_guard", "harmful", "loud"),)}, "counts 'loud', .* labels are rude, polite"),
        ({"MEASURES": (Measure("asr", "harmful", "rude"),)}, "'asr' follows from the outcomes"),
        ({"MEASURES": (Measure("toxicity", "harmful", "rude", about=Metric("T")),)}, "leave `about` out"),
        ({"CLAIMS": {"loud": "harmful"}}, "no labels .*'loud'"),
        ({"CLAIMS": {"rude": "bad"}}, "no outcome .*'bad'.*refusal, harmful"),
        ({"CONTROLS": {"whisper": ("rude",)}}, "no .*'whisper'.*empty, echo"),
        ({"CONTROLS": {"empty": ("loud",)}}, "no labels .*'loud'"),
        ({"CONTROLS": {"empty": "polite"}}, "give a tuple"),
        ({"WEIGHTS": ("train",)}, "it must declare Training"),
        ({"Options": None, "CLAIMS": None}, "does not declare Options, CLAIMS"),
    ],
)
def test_a_declaration_that_does_not_hold_is_named(monkeypatch, changes, said):
    monkeypatch.setattr(plugins, "find", lambda room, name: judge(**changes))
    with pytest.raises(InputError, match=f"^judges/rudeness.py.*{said}"):
        declarations.declared.__wrapped__(JUDGES, "rudeness")


def test_a_declaration_that_holds_is_taken(monkeypatch):
    monkeypatch.setattr(plugins, "find", lambda room, name: judge())
    assert declarations.declared.__wrapped__(JUDGES, "rudeness").MEASURES[0].metric == "rudeness"


def test_a_constant_that_is_missing_is_named():
    with pytest.raises(InputError, match=r"llava\.py does not declare COLOUR"):
        plugins.constant("models.families", "llava", "COLOUR")
