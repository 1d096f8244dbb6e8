"""Judges against people: the measures model by model, the script on several data sets, the table and its numbers."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

import human_labels as script
from layerwise import plugins
from layerwise.analysis import human_labels, results, stats
from layerwise.assets import cache
from layerwise.jobs import specs
from layerwise.judging import controls
from layerwise.prompts.labelled import Labelled
from layerwise.report.numbers.collect import judges as numbers_of_judges
from layerwise.report.text import Names
from layerwise.study import loading
from tidy import Results

LABELS = ["refusal", "refusal", "refusal", "answer", "answer", "answer"]
TEXTS = ["i refuse", "no way", "it floats", "it floats", "it sinks", "it sails"]
ROWS = [Labelled("q", text, label, "calm") for text, label in zip(TEXTS, LABELS, strict=True)]
SAID = ["refusal", "answer", "answer", "answer", "refusal", "answer"]


def measured(said=SAID, rows=ROWS, judge="rules", dataset="boats", seen=()):
    return list(human_labels.rows(judge, dataset, "refusal", said, rows, seen))


def table(said=SAID, rows=ROWS):
    return pd.DataFrame(measured(said, rows), columns=human_labels.COLUMNS).set_index(["model", "metric"])


def test_measures_are_plain_counts():
    found = table().loc["calm"]
    expected = {"precision": 1 / 2, "recall": 1 / 3, "recall_declined": 1 / 2, "f1": 0.4, "false_alarms": 1 / 3}
    assert found["value"].to_dict() == pytest.approx(expected)
    assert found["n"].to_dict() == {"precision": 2, "recall": 3, "recall_declined": 2, "f1": 6, "false_alarms": 3}
    assert tuple(found.loc["recall", ["low", "high"]]) == pytest.approx(stats.wilson(1 / 3, 3)[1:])


def test_each_model_has_measures_of_its_own():
    wild = [row._replace(model="wild") for row in ROWS]
    found = table([*SAID, *LABELS], [*ROWS, *wild])
    assert found.loc[("wild", "f1"), "value"] == 1 and found.loc[("calm", "f1"), "value"] == pytest.approx(0.4)
    assert found.loc[("wild", "f1"), "n"] == 6


def test_what_a_judge_was_made_with_is_marked():
    for seen, known in (((), False), (("boats",), True), (("boats/calm",), True), (("boats/wild", "cars"), False)):
        assert {row[4] for row in measured(seen=seen)} == {known}


def test_a_judge_that_never_says_refusal_has_no_precision_and_no_crash():
    found = table(["answer"] * 6).loc["calm"]
    assert np.isnan(found.loc["precision", "value"]) and found.loc["precision", "n"] == 0
    assert found.loc["f1", "value"] == found.loc["recall", "value"] == 0


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
    path.write_text(path.read_text() + "human_labels: [refusal-labels, xstest-completions, msts-harm]\n")
    return loading.load(path)


def test_labels_are_fetched_and_shown_to_no_model(study):
    assert {"refusal-labels.first", "xstest-completions.gpt4", "msts-harm.textonly"} < set(study.sources)
    assert not {"refusal-labels", "xstest-completions", "msts-harm"} & set(study.datasets)
    settings = json.loads(specs.Specs(study).human_labels())
    assert settings["datasets"]["refusal-labels"]["options"] == {"rows": 169}
    assert settings["judges"] == {"refusal": {"judge": "refusal", "options": {}, "labels": ["refusal", "answer"]}}


def receipt(folder, dataset, name, rows):
    """A receipt of a table in the cache, as the rule `fetch` leaves it."""
    place = folder / "wheel" / f"{dataset}.{name}" / "content"
    place.mkdir(parents=True)
    (place / "rows.csv").write_text("".join(f"{row}\n" for row in rows))
    files = [dataclasses.asdict(file) for file in cache.describe(place, ["rows.csv"])]
    about = {"id": f"{dataset}.{name}", "kind": "wheel", "source": {"member": "a/rows.csv"}, "revision": "1"}
    about |= {"license": "MIT", "folder": f"wheel/{dataset}.{name}/content", "files": files, "bytes": files[0]["size"]}
    path = folder / f"{dataset}.{name}.json"
    path.write_text(json.dumps(about))
    return path


def test_the_script_asks_each_judge_about_its_labels_and_writes_the_same_twice(study, tmp_path, monkeypatch):
    monkeypatch.setenv("LAYERWISE_CACHE", str(tmp_path))
    rows = [f"Fold boat {n},I cannot help with that.,1" for n in range(4)]
    rows += [f"Sail boat {n} on lake {n},Take wind number {n} and sail.,0" for n in range(4)]
    rows += [f"Sink boat {n} in pond {n},Boat {n} is a fine boat to have.,1" for n in range(4)]
    head = ["# A note.", "objective,assistant_response,human_score"]
    receipts = [receipt(tmp_path, "refusal-labels", name, [*head, *rows]) for name in ("first", "second")]
    answers = ["1,Fold?,I cannot.,2_full_refusal", "2,Fold?,Like this.,1_full_compliance"]
    for model in ("gpt4", "llama2new"):
        table = ["id,prompt,completion,final_label", *answers]
        receipts.append(receipt(tmp_path, "xstest-completions", model, table))
    table = [
        "prompt_text,model,response,final_label,final_taxonomy",
        "Fold?,a,Yes,2 - unsafe,2.1",
        "Fold?,a,No,1 - safe,1.1",
    ]
    receipts.append(receipt(tmp_path, "msts-harm", "textonly", table))
    settings = json.loads(specs.Specs(study).human_labels())
    settings["datasets"]["refusal-labels"]["options"] = settings["datasets"]["xstest-completions"]["options"] = {}
    settings["datasets"]["xstest-completions"]["sources"] = ["gpt4", "llama2new"]
    output = tmp_path / "human_labels.csv"
    arguments = ["--sources", *map(str, receipts), "--output", str(output)]
    script.main(["--spec", json.dumps(settings), *arguments])
    found = pd.read_csv(output, keep_default_na=False)
    assert list(found.columns) == human_labels.COLUMNS and set(found["judge"]) == {"refusal"}
    assert set(zip(found["dataset"], found["model"], found["seen"], strict=True)) == {
        ("refusal-labels", "", True),
        ("xstest-completions", "gpt4", True),
        ("xstest-completions", "llama2new", False),
    }
    recall = found[found["metric"] == "recall"].set_index("dataset")["value"]
    assert float(recall["refusal-labels"]) == 0.5 and set(recall["xstest-completions"].astype(float)) == {1}
    first = output.read_bytes()
    script.main(["--spec", json.dumps(settings), *arguments])
    assert output.read_bytes() == first


def test_weights_are_given_to_the_judge_that_they_are_of(tmp_path):
    for path, id in (("a.json", "a"), ("a-1.5.base.json", "a-1.5"), ("judges/toxicity/SHA256SUMS", "toxicity")):
        assert controls.owner(tmp_path / path) == id


# Table, finding and numbers


def frames(folder, cells):
    """A written frame of `(judge, model, hits of ten refusals, seen)`, with ten answers that nobody calls refusals."""
    rows = []
    for judge, model, hits, seen in cells:
        labelled = [Labelled("q", f"t{n}", "refusal" if n < 10 else "answer", model) for n in range(20)]
        said = ["refusal" if n < hits else "answer" for n in range(20)]
        rows += measured(said, labelled, judge, seen=("boats",) if seen else ())
    path = folder / "human_labels.csv"
    pd.DataFrame(rows, columns=human_labels.COLUMNS).to_csv(path, index=False)
    return results.read([path])


NAMES = Names({}, {"boats": "Boats"}, {"rules": "Rules", "net": "Net"})
DECIDES = {"outcome": {"truth": None, "refusal": "rules", "coherence": "c", "harm": None}}


def test_the_table_has_a_row_for_each_judge_and_model_and_says_who_decides(tmp_path):
    cells = [
        ("rules", "calm", 10, False),
        ("rules", "wild", 4, False),
        ("net", "calm", 8, False),
        ("net", "wild", 8, False),
    ]
    found = frames(tmp_path, [*cells, ("rules", "known", 1, True)])
    module = plugins.find("report.tables", "human-labels")
    made = module.table(found, DECIDES, NAMES)
    assert made.rows["Responses of"].tolist() == ["calm", "wild", "calm", "wild", "known"]
    assert made.rows["Recall"][1].startswith("40.0 [") and made.rows["n"][0] == "10 of 20"
    assert made.rows["Made with"].tolist() == ["", "", "", "", "yes"]
    assert "Rules decides refusal: its lowest F1 is 57.1, but Net has 88.9, so" in made.note
    (said, _) = module.finding(found, pd.DataFrame(), NAMES)
    assert "lowest F1, 57.1" in said and "on wild" in said and "up to 60.0" in said
    numbers = dict(numbers_of_judges(found, {"human_labels": "human_labels.csv"}))
    one = numbers["human.recall.rules.boats.wild"]
    assert one["value"] == pytest.approx(0.4) and one["n"] == 10 and one["rule"] == "human_labels"
    assert one["source"].startswith("human_labels.csv:")
    empty = {"human_labels": found["human_labels"].iloc[:0]}
    assert "No judge of this experiment gives" in module.table(empty, DECIDES, NAMES).rows.iloc[0, 0]


def test_labels_that_a_judge_was_made_with_say_so_instead_of_comparing(tmp_path):
    module = plugins.find("report.tables", "human-labels")
    found = frames(tmp_path, [("rules", "", 9, True)])
    assert list(module.finding(found, pd.DataFrame(), NAMES)) == [
        "Judges made with these labels at hand: Rules, F1 94.7\N{NO-BREAK SPACE}%."
    ]
    assert "decides" not in module.table(found, DECIDES, NAMES).note
    best = frames(tmp_path, [("rules", "calm", 9, False), ("net", "calm", 2, False)])
    assert "the highest of those that were compared" in module.table(best, DECIDES, NAMES).note
