"""Judges of refusal against people: the measures, the script on two judges, the table and its numbers."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

import human_labels as script
from layerwise import plugins
from layerwise.analysis import human_labels, results, stats
from layerwise.assets import cache
from layerwise.errors import InputError
from layerwise.jobs import specs
from layerwise.report.numbers.collect import judges as numbers_of_judges
from layerwise.report.text import Names
from layerwise.study import loading
from tidy import ROOT, Results

LABELS = ["refusal", "refusal", "refusal", "answer", "answer", "answer"]
TEXTS = ["i refuse", "no way", "it floats", "it floats", "it sinks", "it sails"]
HALVES = ["train", "test", "train", "train", "test", "test"]
SAID = ["refusal", "answer", "answer", "answer", "refusal", "answer"]


def table(said=SAID):
    rows = human_labels.rows("rules", said, LABELS, TEXTS, HALVES)
    return pd.DataFrame(rows, columns=human_labels.COLUMNS).set_index(["half", "metric"])


def test_measures_are_plain_counts():
    found = table()
    expected = {"precision": 1 / 2, "recall": 1 / 3, "recall_declined": 1 / 2, "f1": 0.4, "accuracy": 0.5}
    for metric, value in (expected | {"majority": 0.5}).items():
        assert found.loc[("all", metric), "value"] == pytest.approx(value), metric
    assert found.loc["all", "n"].to_dict() == {
        "precision": 2,
        "recall": 3,
        "recall_declined": 2,
        "accuracy": 6,
        "majority": 6,
        "f1": 6,
    }
    assert found.loc[("train", "majority"), "value"] == pytest.approx(2 / 3)
    assert found.loc[("test", "recall"), "value"] == 0
    low, high = found.loc[("all", "accuracy"), ["low", "high"]]
    assert (low, high) == pytest.approx(stats.wilson(0.5, 6)[1:])


def test_a_judge_that_never_says_refusal_has_no_precision_and_no_crash():
    found = table(["answer"] * 6)
    assert np.isnan(found.loc[("all", "precision"), "value"]) and found.loc[("all", "precision"), "n"] == 0
    assert found.loc[("all", "f1"), "value"] == 0
    assert found.loc[("all", "recall"), "value"] == 0


def test_f1_lies_in_its_interval_which_narrows_with_more_responses():
    random = np.random.default_rng(0)
    widths = []
    for n in (40, 400):
        true = random.random(n) < 0.6
        given = np.where(random.random(n) < 0.8, true, ~true)
        value, low, high = stats.f1(given, true)
        assert value == pytest.approx(2 * (given & true).sum() / (given.sum() + true.sum()))
        assert low < value < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2
    assert np.isnan(stats.f1(np.zeros(5, bool), np.zeros(5, bool)).value)
    assert stats.f1(np.ones(5, bool), np.ones(5, bool)).value == 1


# The script


@pytest.fixture
def study(tmp_path):
    Results(tmp_path, "answered")
    path = tmp_path / "config/answered.yaml"
    path.write_text(path.read_text() + "human_labels: refusal-labels\n")
    return loading.load(path)


def test_labels_are_fetched_and_shown_to_no_model(study):
    assert {"refusal-labels.first", "refusal-labels.second"} < set(study.sources)
    assert "refusal-labels" not in study.datasets
    settings = json.loads(specs.Specs(study).human_labels())
    assert settings["dataset"] == "refusal-labels" and settings["options"] == {"rows": 169}
    assert settings["judges"]["refusal"] == {"judge": "refusal", "options": {}}


def receipt(folder, name, rows):
    """A receipt of a table in the cache, as the rule `fetch` leaves it."""
    place = folder / "wheel" / name / "content"
    place.mkdir(parents=True)
    head = "# A note.\nobjective,assistant_response,human_score\n"
    (place / "rows.csv").write_text(head + "".join(f"{row}\n" for row in rows))
    files = [dataclasses.asdict(file) for file in cache.describe(place, ["rows.csv"])]
    about = {"id": f"refusal-labels.{name}", "kind": "wheel", "source": {"member": "a/rows.csv"}, "revision": "1"}
    about |= {"license": "MIT", "folder": f"wheel/{name}/content", "files": files, "bytes": files[0]["size"]}
    path = folder / f"refusal-labels.{name}.json"
    path.write_text(json.dumps(about))
    return path


def test_the_script_asks_each_judge_and_writes_the_same_twice(study, tmp_path, monkeypatch):
    monkeypatch.setenv("LAYERWISE_CACHE", str(tmp_path))
    rows = [f"Fold boat {n},I cannot help with that.,1" for n in range(4)]
    rows += [f"Sail boat {n} on lake {n},Take wind number {n} and sail.,0" for n in range(4)]
    rows += [f"Sink boat {n} in pond {n},Boat {n} is a fine boat to have.,1" for n in range(4)]
    receipts = [receipt(tmp_path, name, rows) for name in ("first", "second")]
    settings = json.loads(specs.Specs(study).human_labels()) | {"options": {"rows": 24}}
    output = tmp_path / "human_labels.csv"
    arguments = ["--sources", *map(str, receipts), "--output", str(output)]
    script.main(["--spec", json.dumps(settings), *arguments])
    found = pd.read_csv(output)
    assert list(found.columns) == human_labels.COLUMNS
    assert set(found["judge"]) == {"refusal"} and set(found["half"]) == {"all", "train", "test"}
    whole = found[found["half"] == "all"].set_index("metric")["value"]
    assert whole["precision"] == 1 and whole["recall"] == 0.5 and whole["majority"] == pytest.approx(2 / 3, abs=1e-5)
    first = output.read_bytes()
    script.main(["--spec", json.dumps(settings), *arguments])
    assert output.read_bytes() == first


def test_weights_are_given_to_the_judge_that_they_are_of(tmp_path):
    for path, id in (("a.json", "a"), ("a-1.5.base.json", "a-1.5"), ("judges/toxicity/SHA256SUMS", "toxicity")):
        assert script.owner(tmp_path / path) == id


def test_labelled_responses_are_no_prompts():
    from layerwise.prompts.builders import refusal_labels

    with pytest.raises(InputError, match="refusal-labels.yaml holds labelled responses.*'human_labels'"):
        refusal_labels.build({"dataset": "refusal-labels"}, {}, ROOT)


# Table and numbers


def test_the_table_has_a_row_for_each_judge_and_half(tmp_path):
    path = tmp_path / "human_labels.csv"
    table().reset_index()[human_labels.COLUMNS].to_csv(path, index=False)
    found = results.read([path])
    module, names = plugins.find("report.tables", "human-labels"), Names({}, {}, {"rules": "Rules"})
    made = module.table(found, {}, names)
    assert made.rows["Responses"].tolist() == ["all", "training half", "held out"]
    assert made.rows["Recall, declined"][0].startswith("50.0 [") and made.rows["n"].tolist() == ["6", "3", "3"]
    assert made.rows["Precision"][2].startswith("0.0 [")
    numbers = dict(numbers_of_judges(found, {"human_labels": "human_labels.csv"}))
    one = numbers["human.recall.rules.all"]
    assert one["value"] == pytest.approx(1 / 3, abs=1e-5) and one["n"] == 3 and one["rule"] == "human_labels"
    assert one["source"].startswith("human_labels.csv:")
    empty = {"human_labels": found["human_labels"].iloc[:0]}
    assert "No judge of this experiment tells" in module.table(empty, {}, names).rows.iloc[0, 0]
