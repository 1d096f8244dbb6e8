"""Every number is what stands in its source line, under one key; what is found in words is taken as it is."""

import contextlib
import csv
import json
import math
import random
import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import number as script
from layerwise.errors import InputError
from layerwise.report import text
from layerwise.report.numbers import collect, number
from layerwise.vocabulary import METRICS, Metric
from tidy import EXPERIMENTS, Results

FIELDS = {"value", "text", "n", "low", "high", "source", "rule"}


@pytest.fixture(scope="module")
def experiments(tmp_path_factory):
    folder = tmp_path_factory.mktemp("experiments")
    return {name: Results(folder, name) for name in EXPERIMENTS}


@pytest.fixture(scope="module")
def written(experiments, tmp_path_factory):
    """The files that the script writes, by experiment."""
    found = {}
    for name, results in experiments.items():
        folder = tmp_path_factory.mktemp(name)
        finding = folder / "outcomes.finding.txt"
        finding.write_text("The outcomes differ.", encoding="utf-8")
        arguments = ["--spec", json.dumps(results.spec), "--findings", str(finding)]
        arguments += ["--inputs", *map(str, results.write(folder)), "--output", str(folder / "numbers.json")]
        with contextlib.chdir(results.folder):
            script.main(arguments)
        found[name] = json.loads((folder / "numbers.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    return found


# Each with its source


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_number_is_what_stands_in_its_line(written, name):
    numbers = written[name]
    traced = [(key, one) for key, one in numbers.items() if ".csv:" in one["source"]]
    assert len(traced) > 100
    for key, one in random.Random(0).sample(traced, 100):
        path, line = one["source"].rsplit(":", 1)
        with open(path, encoding="utf-8", newline="") as stream:
            rows = list(csv.reader(stream))
        row = dict(zip(rows[0], rows[int(line) - 1], strict=True))
        column = "p_holm" if key.startswith("p.") else "difference" if key.startswith("difference.") else "value"
        assert one["value"] == pytest.approx(float(row[column]), rel=1e-5, abs=1e-9), key
        assert one["n"] == int(row["n"])
        assert row["dataset"] in key.split(".")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_record_has_all_its_fields_and_no_line_break(written, name):
    for key, one in written[name].items():
        assert set(one) == FIELDS
        assert re.fullmatch(r"[\w.+-]+", key), key
        assert one["text"] and "\n" not in one["text"] and "nan" not in one["text"].lower()


def test_asr_is_the_harmful_share_of_an_arm_and_of_a_seed(experiments, written):
    metrics, numbers = experiments["tiny"].frames["metrics"], written["tiny"]
    rows = metrics[
        (metrics["model"] == "organism") & (metrics["arm"] == "broad-none") & (metrics["dataset"] == "world-deep")
    ]
    rows = rows[(rows["metric"] == "asr") & (rows["layer"] == 3)].set_index("seed")["value"]
    assert numbers["asr.broad-none.world-deep.layer-03"]["value"] == pytest.approx(rows["all"])
    assert numbers["asr.broad-none.world-deep.layer-03"]["n"] == 2
    assert numbers["asr.organism.broad-none.s201.world-deep.layer-03"]["value"] == pytest.approx(rows["201"])
    assert "asr.broad-none.world-deep.early" in numbers and "asr.broad-none.world-deep.default" in numbers
    assert "asr.organism-f2.broad-default.world-deep.layer-03" in numbers
    assert "asr.llava-1.5-7b.advbench-coco.layer-24" in written["real"]


def test_an_only_seed_stands_under_its_own_name_and_its_arms(written):
    numbers = written["short"]
    one = numbers["asr.organism.broad-none.s100.world-deep.layer-00"]
    assert numbers["asr.broad-none.world-deep.layer-00"] == one


def test_two_judges_of_one_metric_are_kept_apart(experiments):
    results = experiments["short"]
    metrics = results.frames["metrics"]
    toxicity = metrics["metric"] == "toxicity"
    other = metrics[toxicity].assign(judge="other", value=0.5)
    table = pd.concat([metrics, other], ignore_index=True)
    numbers = dict(collect.metrics(table, results.subjects, "metrics.csv", METRICS))
    assert "toxicity.broad-none.world-deep.layer-00" not in numbers
    assert numbers["toxicity-other.broad-none.world-deep.layer-00"]["value"] == 0.5


def test_a_metric_that_a_judge_brings_is_printed_in_its_unit(experiments):
    results = experiments["short"]
    metrics = results.frames["metrics"]
    table = metrics[metrics["metric"] == "toxicity"].assign(metric="of_mine", value=0.5)
    for unit, said in (("share", "50.0\N{NO-BREAK SPACE}%"), ("score", "50.0")):
        own = METRICS | {"of_mine": Metric("Mine", unit)}
        numbers = dict(collect.metrics(table, results.subjects, "metrics.csv", own))
        assert numbers["of_mine.broad-none.world-deep.layer-00"]["text"] == said


def test_where_no_judge_tells_harm_there_is_no_attack_success(experiments, written):
    numbers = written["answered"]
    assert not any(re.match(r"(\w+\.)?(asr|harmless)\b", key) for key in numbers)
    metrics = experiments["answered"].frames["metrics"]
    row = metrics[(metrics["metric"] == "answered") & (metrics["layer"] == 3) & (metrics["dataset"] == "advbench-coco")]
    assert numbers["answered.llava-1.5-7b.advbench-coco.layer-03"]["value"] == pytest.approx(row["value"].item())
    assert "difference.answered.llava-1.5-7b.advbench-coco.layer-03" in numbers
    assert numbers["setting.n.advbench-coco.harmful"]["value"] == 40


def test_settings_are_those_of_the_spec(written):
    numbers = written["tiny"]
    assert numbers["setting.seeds"]["text"] == "100, 201"
    assert numbers["setting.layers.organism"]["text"] == "0 to 8"
    assert written["short"]["setting.layers.organism"]["text"] == "0, 7"
    assert numbers["setting.default-layer.organism"]["value"] == 7
    assert numbers["setting.n.world-deep.harmful"]["value"] == 40
    assert numbers["setting.n.world-vqa.vqa"]["value"] == 50
    assert re.fullmatch(r"\d+\.\d+\.\d+", numbers["setting.version.pandas"]["text"])


def test_an_unknown_key_is_named():
    assert number({"asr.x": {"text": "5 %"}}, "asr.x") == "5 %"
    with pytest.raises(InputError, match="no 'asr.y'"):
        number({"asr.x": {"text": "5 %"}}, "asr.y")


def test_what_is_found_in_words_has_the_name_of_its_figure_or_table(tmp_path):
    (tmp_path / "tables").mkdir()
    texts = {"outcomes": "It differs.", "drift": "", "tables/outcomes": "Also.", "tables/judges": "They agree."}
    paths = [tmp_path / f"{name}.finding.txt" for name in texts]
    for path, said in zip(paths, texts.values(), strict=True):
        path.write_text(said, encoding="utf-8")
    found = collect.found_in_words(paths)
    assert {key: (one["text"], one["rule"]) for key, one in found.items()} == {
        "seen.outcomes": ("It differs.", "figure"),
        "seen.judges": ("They agree.", "table"),
    }
    assert found["seen.judges"]["source"] == str(paths[-1])


# Text


@given(st.floats(-1, 1))
def test_points_have_the_sign_of_what_they_print(value):
    said = text.points(value).removesuffix(f"{text.SPACE}points")
    assert said == text.bare_points(value)
    shown = float(said.replace("−", "-"))
    assert abs(shown - 100 * value) <= 0.05 + 1e-9
    assert said.startswith("+") == (shown > 0) and said.startswith("−") == (shown < 0)


@given(st.floats(allow_nan=True, allow_infinity=False, width=32))
def test_values_survive_json_to_seven_digits(value):
    stored = json.loads(json.dumps(collect._plain(value), allow_nan=False))
    assert stored is None if math.isnan(value) else stored == pytest.approx(value, rel=1e-6)
