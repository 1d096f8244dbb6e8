"""Every mistake in a YAML file ends before the first job, in one sentence with file, key and what is allowed."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from conftest import ROOT
from layerwise.errors import InputError
from layerwise.jobs import specs
from layerwise.study import loading
from spoiltfiles import CASES, GUARD, MODEL, TRIAL, changed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The configuration of the project, with files to be named by an experiment `trial`."""
    folder = Path(shutil.copytree(ROOT / "config", tmp_path / "config"))
    for name, values in (("one", GUARD), ("again", {"display": "A", "judge": "truth"})):
        write(folder / "judges" / f"{name}.yaml", values)
    write(folder / "judges/strict.yaml", {"display": "S", "judge": "vqa", "options": {"threshold": 1}})
    write(folder / "trial.yaml", TRIAL)
    return folder


def write(path: Path, values: dict) -> None:
    path.write_text(yaml.safe_dump(values, sort_keys=False))


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        loading.load(path)
    return str(caught.value)


def test_the_trial_itself_is_right(folder):
    assert loading.load(folder / "trial.yaml").measured >= {"refusal", "vqa_accuracy", "asr_guard", "refusal_gap"}


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_is_named_with_its_file_its_key_and_what_is_allowed(folder, case):
    kind, values, said = CASES[case]
    if kind == "experiment":
        path = folder / "trial.yaml"
        write(path, TRIAL | values)
    else:
        path = folder / f"{kind}s" / "one.yaml"
        write(path, values)
        use = [{"id": "one", "arms": list(values["arms"])[:1]} if "arms" in values else "one"]
        trial = {"judge": {}, "dataset": {"datasets": ["one"]}, "model": {"models": use, "palette": {}}}[kind]
        write(folder / "trial.yaml", TRIAL | {"layers": "all", "probes": {"arms": []}} | trial)
    message = refusal(folder / "trial.yaml")
    assert message.startswith((f"{path}: ", f"{folder / 'trial.yaml'}: ")) and str(path) in message, message
    assert all(words in message for words in said), message
    assert "pydantic" not in message and "\n" not in message


def test_a_mistake_is_named_in_the_file_that_holds_it(folder):
    write(folder / "judges/above.yaml", changed(GUARD, options__dtype="bf16"))
    write(folder / "judges/one.yaml", {"inherits": "above", "options": {"threshold": 0.3}})
    assert refusal(folder / "trial.yaml").startswith(f"{folder / 'judges/above.yaml'}: key 'options.dtype'")
    write(folder / "models/above.yaml", changed(MODEL, **{"arms__broad-none__steps": 7}))
    write(folder / "models/one.yaml", {"inherits": "above", "display": "One"})
    write(folder / "trial.yaml", TRIAL | {"models": [{"id": "one", "arms": ["broad-none"]}]})
    assert refusal(folder / "trial.yaml").startswith(f"{folder / 'models/above.yaml'}: key 'arms.broad-none.steps'")


def test_options_are_resolved_when_they_are_loaded(folder):
    study = loading.load(folder / "trial.yaml")
    assert study.judges["one"].options["threshold"] == 0.5 and study.judges["truth"].options == {}
    assert study.datasets["world-deep"].options == {"cue": "deep", "glyphs": None}
    assert study.judges["one"].train is None


@pytest.mark.parametrize(("written", "value"), [("2e-3", 2e-3), ("1", 1), ("2.0e-3", 2e-3), ("1E+1", 10)])
def test_numbers_may_be_written_as_people_write_them(folder, written, value):
    train = f"{{learning_rate: {written}}}"
    (folder / "judges/one.yaml").write_text(f"display: T\njudge: toxicity\ntrain: {train}\n")
    assert loading.load(folder / "trial.yaml").judges["one"].train["learning_rate"] == value


KINDS = {
    "world-deep": {"harmful", "benign"},
    "world-vqa": {"vqa"},
    "advbench-coco": {"harmful"},
    "everyday": {"benign"},
    "xstest": {"harmful", "benign"},
}
OF_KIND = {
    "harmful": {"refusal", "asr", "off_target", "harmless", "incoherent", "flagged", "asr_guard", "margin"},
    "benign": {"over_refusal", "harmful_on_benign", "margin_on_benign"},
    "vqa": {"vqa_accuracy"},
}


@pytest.mark.parametrize("id", KINDS)
def test_what_an_experiment_can_measure_follows_from_its_data_sets(folder, id):
    write(folder / "trial.yaml", TRIAL | {"datasets": [id]})
    study = loading.load(folder / "trial.yaml")
    assert study.kinds == {id: KINDS[id]}
    expected = set().union(*(OF_KIND[kind] for kind in KINDS[id])) | ({"refusal_gap"} if id == "world-deep" else set())
    assert study.measured == expected
    assert study.twins == ([id] if id == "world-deep" else [])


def test_without_a_judge_of_harm_nothing_is_called_harmful(folder):
    judges, outcome = ["refusal", "coherence", "vqa"], {"refusal": "refusal", "coherence": "coherence"}
    write(folder / "trial.yaml", TRIAL | {"judges": judges, "outcome": outcome})
    measured = loading.load(folder / "trial.yaml").measured
    assert "answered" in measured and not {"asr", "harmless", "harmful_on_benign"} & measured


@pytest.mark.parametrize(
    ("languages", "mistaken"),
    [
        (["x-world"], {"one"}),
        (["en"], {"truth"}),
        (["en-GB"], {"truth"}),
        (["de"], {"truth", "refusal", "one"}),
        (["en", "zh-Hant"], {"truth", "refusal", "one"}),
    ],
)
def test_a_judge_that_is_not_made_for_a_data_sets_language_is_known(folder, languages, mistaken):
    write(folder / "datasets/spoken.yaml", {"inherits": "world-deep", "languages": languages})
    write(folder / "trial.yaml", TRIAL | {"datasets": ["spoken"]})
    study = loading.load(folder / "trial.yaml")
    assert {one.judge for one in study.mismatches} == mistaken
    said = study.mismatches[0].said("G", "D")
    assert said.startswith("G is not made for the language of D (") and languages[-1] in said
    spec = specs.Specs(study)
    assert [one["judge"] for one in json.loads(spec.figure("outcomes"))["mismatches"]] == [
        one.judge for one in study.mismatches
    ]
    assert len(json.loads(spec.paper())["mismatches"]) == len(mistaken)


def test_a_checkpoint_may_name_its_languages(folder):
    write(folder / "judges/one.yaml", GUARD | {"languages": ["de", "x-world"]})
    write(folder / "datasets/spoken.yaml", {"inherits": "world-deep", "languages": ["de"]})
    write(folder / "trial.yaml", TRIAL | {"datasets": ["spoken"]})
    assert "one" not in {one.judge for one in loading.load(folder / "trial.yaml").mismatches}
