"""Every number is what stands in its source line, under one key; sentences follow the data, whichever way it points."""

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
from layerwise.analysis.results import studied
from layerwise.errors import InputError
from layerwise.report import shown
from layerwise.report.numbers import collect, number
from layerwise.report.numbers.seen import changes, seen
from layerwise.report.tables import Names
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
        arguments = ["--spec", json.dumps(results.spec), "--experiment", name]
        arguments += ["--inputs", *map(str, results.write(folder)), "--output", str(folder / "numbers.json")]
        with contextlib.chdir(results.folder):
            script.main(arguments)
        found[name] = json.loads((folder / "numbers.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    return found


def sentences(results, **changed):
    study = results.study
    names = Names(
        *({id: one.display for id, one in kind.items()} for kind in (study.models, study.datasets, study.judges))
    )
    found = seen(results.frames | changed, results.subjects, names, ["world-deep"], ["broad-default", "broad-none"])
    return {key: record["text"] for key, record in found}


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
    numbers = dict(collect.metrics(table, results.subjects, "metrics.csv"))
    assert "toxicity.broad-none.world-deep.layer-00" not in numbers
    assert numbers["toxicity-other.broad-none.world-deep.layer-00"]["value"] == 0.5


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


# Text


@given(st.floats(-1, 1))
def test_points_have_the_sign_of_what_they_print(value):
    text = collect.points(value).removesuffix(f"{collect.SPACE}points")
    shown = float(text.replace("−", "-"))
    assert abs(shown - 100 * value) <= 0.05 + 1e-9
    assert text.startswith("+") == (shown > 0) and text.startswith("−") == (shown < 0)


@given(st.floats(allow_nan=True, allow_infinity=False, width=32))
def test_values_survive_json_to_seven_digits(value):
    stored = json.loads(json.dumps(collect._plain(value), allow_nan=False))
    assert stored is None if math.isnan(value) else stored == pytest.approx(value, rel=1e-6)


# Sentences


def test_there_is_a_sentence_for_every_figure_that_has_data(experiments, written):
    of_layers = {"seen.outcomes", "seen.refusal-and-harm", "seen.toxicity", "seen.ability", "seen.drift"}
    found = {key for key in written["tiny"] if key.startswith("seen.")}
    assert found >= {"seen.toxicity", "seen.ability", "seen.drift", "seen.probes", "seen.dose"}
    assert found <= of_layers | {"seen.probes", "seen.dose"}
    assert not any(key in written["real"] for key in ("seen.dose", "seen.predictions"))


@pytest.mark.parametrize("direction", [1, -1])
def test_a_sentence_points_where_the_data_point(experiments, direction):
    results = experiments["short"]
    metrics = results.frames["metrics"].copy()
    harm, refusal = metrics["metric"] == "asr", metrics["metric"] == "refusal"
    early = metrics["layer"] == 0
    metrics.loc[refusal, "value"] = 0.6
    metrics.loc[harm, "value"] = 0.5
    deep = metrics["dataset"] == "world-deep"
    metrics.loc[harm & early & deep & (metrics["arm"] == "broad-none"), "value"] = 0.5 + 0.25 * direction
    text = sentences(results, metrics=metrics)["seen.refusal-and-harm"]
    deep_text = next(part for part in re.split(r"(?<=\.) (?=[A-Z])", text) if part.startswith("Deep cue"))
    sign = "+" if direction > 0 else "−"
    assert f"differs most for broad-none, at exit 0, by {sign}25.0{collect.SPACE}points" in deep_text
    assert "for the others by at most 0.0 points" in deep_text
    assert "n = 40" in deep_text


def test_arms_that_are_not_aligned_are_not_spoken_of(experiments, written):
    assert "for broad-none" in sentences(experiments["short"])["seen.outcomes"]
    assert "for broad-none" not in written["short"]["seen.outcomes"]["text"]
    assert "LLaVA" in written["real"]["seen.outcomes"]["text"] or "Llama" in written["real"]["seen.outcomes"]["text"]


def test_little_refusal_at_the_default_layer_is_said(experiments):
    results = experiments["short"]
    metrics = results.frames["metrics"].copy()
    metrics.loc[metrics["metric"] == "refusal", "value"] = 0.1
    assert "No aligned model refuses" in sentences(results, metrics=metrics)["seen.refusal-and-harm"]
    metrics.loc[(metrics["metric"] == "refusal") & (metrics["arm"] == "broad-default"), "value"] = 0.9
    assert "No aligned model refuses" not in sentences(results, metrics=metrics)["seen.refusal-and-harm"]


def test_where_no_judge_tells_harm_there_is_no_attack_success(experiments, written):
    numbers = written["answered"]
    assert not any(re.match(r"(\w+\.)?(asr|harmless)\b", key) for key in numbers)
    metrics = experiments["answered"].frames["metrics"]
    row = metrics[(metrics["metric"] == "answered") & (metrics["layer"] == 3) & (metrics["dataset"] == "advbench-coco")]
    assert numbers["answered.llava-1.5-7b.advbench-coco.layer-03"]["value"] == pytest.approx(row["value"].item())
    assert "difference.answered.llava-1.5-7b.advbench-coco.layer-03" in numbers
    assert numbers["setting.n.advbench-coco.harmful"]["value"] == 40
    assert "the share answered differs most" in numbers["seen.refusal-and-harm"]["text"]
    assert "harm" not in numbers["seen.refusal-and-harm"]["text"].replace("harmful prompts", "")
    assert "answered" in numbers["seen.outcomes"]["text"]


def test_a_change_is_of_the_same_seed_and_spans_the_seeds(experiments):
    results = experiments["tiny"]
    metrics = results.frames["metrics"].copy()
    rows = (metrics["metric"] == "toxicity") & (metrics["arm"] == "broad-none") & metrics["layer"].notna()
    metrics.loc[rows, "value"] = 0.5
    for seed, value in (("100", 0.7), ("201", 0.6), ("all", 0.65)):
        metrics.loc[rows & (metrics["layer"] == 2) & (metrics["seed"] == seed), "value"] = value
    cells = shown.cells(metrics, studied(results.subjects), ["toxicity"])
    found = changes(cells[cells["arm"] == "broad-none"])
    assert set(found["layer"]) == {2} and set(found["default_layer"]) == {7}
    assert found["change"].tolist() == pytest.approx([0.15, 0.15])
    assert found["smallest"].tolist() == pytest.approx([0.1, 0.1])
    assert found["largest"].tolist() == pytest.approx([0.2, 0.2])


def test_onsets_are_said_seed_by_seed_where_they_differ(experiments):
    results = experiments["tiny"]
    probes = results.frames["probes"].copy()
    deep = probes["probe"] == "deep"
    probes.loc[deep, "value"] = 0.5
    probes.loc[deep & (probes["layer"] >= 5), "value"] = 1.0
    text = sentences(results, probes=probes)["seen.probes"]
    assert "The deep cue is readable (AUC ≥ 0.75) first at exit 5 in every seed." in text
    probes.loc[deep & (probes["layer"] == 5) & probes["subject"].str.endswith("s201"), "value"] = 0.6
    text = sentences(results, probes=probes)
    assert "first at exits 5, 6 (seed by seed)" in text["seen.probes"]
    assert "4 frozen blocks: readable first at exit 5," in text["seen.dose"]
    probes.loc[deep, "value"] = 0.5
    assert "readable (AUC ≥ 0.75) first at no exit in every seed" in sentences(results, probes=probes)["seen.probes"]


def test_outcomes_of_predictions_are_counted(experiments):
    results = experiments["tiny"]
    rows = [("P1a", "organism", "narrow-default", str(seed), "", "", 0.1, 0.2, outcome, "") for seed, outcome in
            ((100, "holds"), (201, "fails"), (301, "holds"))]  # fmt: skip
    columns = ["prediction", "model", "arm", "seed", "statement", "quantity", "value", "threshold", "outcome", "detail"]
    text = sentences(results, predictions=pd.DataFrame(rows, columns=columns))["seen.predictions"]
    assert text == "P1a (narrow-default), 3 seeds: holds in 2, fails in 1."
