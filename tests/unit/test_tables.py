"""Tables hold what the result files say, rounded once, and LaTeX prints them letter for letter."""

import csv
import json
import math
import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import table as script
from layerwise import plugins
from layerwise.report import latex, names
from layerwise.report.tables import published
from layerwise.report.text import MISSING, Table, estimate, number, p_value
from tidy import EXPERIMENTS, Results

PUBLISHED = {
    "table2": [
        {"model": "llava-1.5-7b", "test_set": "advbench-coco", "group": group, "original": original, "after": original}
        for group, original in (
            ("Early", {"asr": 42.0, "toxicity": 7.01, "reward": 0.49}),
            ("Late", {"asr": 99.0, "toxicity": 6.01, "reward": -0.83}),
            ("Average", {"asr": 42.0, "toxicity": 6.21, "reward": -0.20}),
        )
    ]
}


@pytest.fixture(scope="module")
def experiments(tmp_path_factory):
    folder = tmp_path_factory.mktemp("experiments")
    return {name: Results(folder, name) for name in EXPERIMENTS}


def make(results, name, **frames):
    table = plugins.find("report.tables", name).table
    return table(results.frames | frames, results.spec, names.of(results.study))


def gates(*rows):
    columns = ["subject", "model", "arm", "seed", "gate", "dataset", "layer", "value", "low", "high", "n"]
    return pd.DataFrame(rows, columns=[*columns, "threshold", "passed"])


# Numbers as text


@given(st.floats(-1, 1))
def test_a_rounded_number_lies_within_half_of_its_last_digit(value):
    text = number(value)
    assert abs(float(text.replace("−", "-")) - 100 * value) <= 0.05 + 1e-9
    assert "-" not in text
    assert text != "−0.0"


def test_an_estimate_says_whether_it_is_an_interval_or_a_range_of_seeds():
    row = {"value": 0.5, "low": 0.25, "high": 0.75}
    assert estimate(row | {"seed": "100"}) == "50.0 [25.0, 75.0]"
    assert estimate(row | {"seed": "all"}) == "50.0 (25.0 to 75.0)"
    assert estimate(row | {"low": math.nan}) == "50.0"
    assert estimate(row | {"value": math.nan}) == MISSING


def test_small_p_values_are_not_said_to_be_zero():
    assert [p_value(p) for p in (1e-30, 0.0012, 0.05, 1.0, math.nan)] == ["< 0.001", "0.0012", "0.05", "1", MISSING]


# Results


def test_outcomes_has_every_group_of_every_series_and_the_values_of_the_metrics(experiments):
    results = experiments["tiny"]
    rows = make(results, "outcomes").rows
    series = rows[["Model", "Arm"]].drop_duplicates()
    assert len(series) == 3
    assert list(rows.iloc[:4]["Layers"]) == ["Default (7)", "Early", "Middle", "Late"]
    assert len(rows) == 3 * 3 * 4
    metrics = results.frames["metrics"]
    early = metrics[(metrics["arm"] == "broad-none") & (metrics["seed"] == "all") & (metrics["metric"] == "asr")]
    early = early[(early["dataset"] == "world-deep") & (early["group"] == "Early") & early["layer"].isna()]
    (value,) = early["value"]
    shown = rows[(rows["Arm"] == "broad-none") & (rows["Data set"] == "Deep cue") & (rows["Layers"] == "Early")].iloc[0]
    assert shown["Harmful"].startswith(f"{100 * value:.1f} (")
    assert shown["n"].endswith("× 2")
    single = rows[rows["Model"].str.contains("2 frozen")].iloc[0]
    assert "[" in single["Harmful"] and "×" not in single["n"]


def test_outcomes_of_an_experiment_without_a_judge_of_harm_has_a_column_of_answers(experiments):
    table = make(experiments["answered"], "outcomes").rows
    assert {"Refused", "Answered", "Incoherent"} < set(table)
    assert not {"Harmful", "Harmless", "Harmful on benign"} & set(table)
    assert "Answered" not in make(experiments["real"], "outcomes").rows
    assert set(make(experiments["answered"], "paired").rows["Metric"]) == {"Answered", "VQA accuracy"}


def test_paired_has_a_column_of_differences_for_each_seed(experiments):
    results = experiments["tiny"]
    table = make(results, "paired")
    columns = [column for column in table.rows if column.startswith("Difference")]
    assert columns == ["Difference, seed 100", "Difference, seed 201"]
    assert list(table.rows.columns)[-1] == "n"
    paired = results.frames["paired"]
    first = paired[paired["seed"] == "201"].iloc[0]
    about = table.rows[(table.rows["Arm"] == first["arm"]) & (table.rows["Exit"] == str(first["layer"]))]
    about = about[about["Data set"] == results.study.datasets[first["dataset"]].display].iloc[0]
    assert about["Difference, seed 201"].startswith(number(first["difference"]) + " [")
    assert about["b : c, seed 201"] == "5 : 3"
    assert "Arm" not in make(experiments["real"], "paired").rows


# Judges


def test_judges_shows_the_whole_and_the_weakest_exit(experiments):
    columns = ["judge", "layer", "metric", "truth", "label", "value", "low", "high", "n"]
    rows = [
        ("toxicity", layer, metric, "harmful", "toxic", value, value - 0.01, value, 10 * (layer is None) + 10)
        for metric in ("precision", "recall")
        for layer, value in ((0, 0.9), (1, 0.3), (2, math.nan), (None, 0.8))
    ]
    rows.append(("toxicity", None, "count", "harmful", "toxic", 5, math.nan, math.nan, 20))
    validity = pd.DataFrame(rows, columns=columns).astype({"layer": "Int64"})
    (row,) = make(experiments["tiny"], "judges", validity=validity).rows.to_dict("records")
    assert row["Recall"] == "80.0 [79.0, 80.0]"
    assert row["Lowest recall"] == "30.0 (exit 1)"
    assert row["n (recall)"] == 20
    empty = make(experiments["real"], "judges", validity=validity.iloc[:0]).rows
    assert "No judge of this experiment knows the truth" in empty.iloc[0, 0]


def test_guards_stand_beside_the_truth_at_each_exit_of_the_most_harmful_arm(experiments):
    results = experiments["tiny"]
    metrics = results.frames["metrics"]
    harm = metrics[metrics["metric"] == "asr"]
    blind = harm.assign(metric="asr_guard", judge="toxicity", value=0.0, low=0.0, high=0.0)
    seeing = harm.assign(metric="asr_guard", judge="vqa", value=harm["value"] / 2)
    frames = {"metrics": pd.concat([metrics, blind, seeing])}
    rows = make(results, "guards", **frames).rows
    tuned = harm[(harm["arm"] == "broad-default") & (harm["seed"] == "all") & harm["layer"].notna()]
    layers = tuned.loc[tuned["group"] != "Default", "layer"].nunique()
    look = names.of(results.study)
    assert set(rows["Arm"]) == {"broad-default"} and len(rows) == layers * rows["Data set"].nunique()
    truth, sees, blank = (
        rows[name] for name in ("Truth: harmful", *(f"{look.judges[j]}: unsafe" for j in ("vqa", "toxicity")))
    )
    value = [float(text.split(" ")[0]) for text in truth]
    assert [float(text.split(" ")[0]) for text in sees] == pytest.approx([one / 2 for one in value], abs=0.06)
    assert all(text.startswith("0.0") for text in blank)
    module = plugins.find("report.tables", "guards")
    (said,) = module.finding(results.frames | frames, results.subjects, look)
    assert f"{look.judges['toxicity']} calls 0.0" in said and f"{max(value)}" in said
    assert list(module.finding(results.frames, results.subjects, look)) == []


def test_controls_and_agreement(experiments):
    columns = ["judge", "control", "metric", "label", "value", "low", "high", "n"]
    controls = pd.DataFrame(
        [
            ("toxicity", "empty", "share", "toxic", 0.0, 0, 0.1, 20),
            ("toxicity", "empty", "share", "clean", 1.0, 0.9, 1, 20),
            ("toxicity", "empty", "right", "", 1.0, 0.9, 1, 20),
            ("toxicity", "empty", "score", "", 0.034, math.nan, math.nan, 20),
        ],
        columns=columns,
    )
    columns = ["judge", "layer", "metric", "truth", "label", "value", "low", "high", "n"]
    validity = pd.DataFrame([("toxicity", pd.NA, "cut", "", "", 0.0125, 0, 0.1, 80)], columns=columns)
    row, cut = make(experiments["tiny"], "controls", controls=controls, validity=validity).rows.to_dict("records")
    assert (row["Says"], row["Right"], row["Mean score"], row["n"]) == ("clean 100 %", "100 %", "0.03", "20")
    assert (cut["Says"], cut["n"]) == ("read in parts 1.25 %", "80")
    columns = ["first", "second", "claim", "layer", "metric", "value", "low", "high", "n"]
    agreement = pd.DataFrame(
        [
            ("truth", "toxicity", "harmful", layer, metric, value, value, value, 30)
            for metric in ("agreement", "kappa")
            for layer, value in ((3, 0.25), (4, 0.5), (None, 0.75))
        ],
        columns=columns,
    ).astype({"layer": "Int64"})
    (row,) = make(experiments["tiny"], "agreement", agreement=agreement).rows.to_dict("records")
    assert row["Agreement (%)"] == "75.0 [75.0, 75.0]"
    assert (row["Kappa"], row["Lowest kappa"]) == ("0.75 [0.75, 0.75]", "0.25 (exit 3)")


# Organisms


@pytest.mark.parametrize("form", [bool, str])
def test_a_failed_gate_is_seen_and_an_untried_one_is_not_a_pass(experiments, form):
    name = "organism.broad-none.s{}"
    row = ("organism", "broad-none")
    table = gates(
        (name.format(100), *row, "100", "vqa_accuracy", "world-vqa", 7, 0.95, 0.9, 0.99, 200, 0.9, form(True)),
        (name.format(201), *row, "201", "vqa_accuracy", "world-vqa", 7, 0.85, 0.8, 0.9, 200, 0.9, str(False)),
        (name.format(100), *row, "100", "over_refusal", "world-deep", 7, math.nan, *[math.nan] * 3, 0.1, None),
    )
    rows = make(experiments["tiny"], "gates", gates=table).rows
    assert list(rows["Needs"]) == ["≥ 90", "≤ 10"]
    assert rows.loc[0, "Seed 100"] == "95.0 [90.0, 99.0] passed"
    assert rows.loc[0, "Seed 201"].endswith("FAILED")
    assert rows.loc[1, "Seed 100"] == "not tried"


def test_predictions_keep_the_outcome_the_number_and_the_words(experiments):
    columns = ["prediction", "model", "arm", "seed", "statement", "quantity", "value", "threshold", "outcome", "detail"]
    table = pd.DataFrame(
        [
            ("P5", "organism", "broad-default", "100", "Doses rise", "steps", 2, 2, "holds", "exits 5, 6, 7"),
            (
                "P1a",
                "organism",
                "narrow-default",
                "100",
                "It breaks",
                "share",
                0.31,
                0.2,
                "not able",
                "vqa_accuracy 0.5",
            ),
        ],
        columns=columns,
    )
    found = make(experiments["tiny"], "predictions", predictions=table)
    first, second = found.rows.to_dict("records")
    assert (first["Prediction"], first["Outcome"], first["Value"], first["Threshold"]) == (
        "P1a",
        "not able",
        "31.0",
        "20.0",
    )
    assert (second["Value"], second["Threshold"], second["Detail"]) == ("2", "2", "exits 5, 6, 7")
    assert "P1a: It breaks" in found.note and "P5: Doses rise" in found.note


# The paper's numbers


def test_the_published_agree_where_they_lie_in_the_measured_interval(experiments):
    results = experiments["real"]
    columns = list(results.frames["metrics"].columns)
    about = {
        "model": "llava-1.5-7b",
        "arm": "",
        "seed": "",
        "dataset": "advbench-coco",
        "layer": pd.NA,
        "judge": "guard",
    }
    measured = pd.DataFrame(
        [
            about | {"group": group, "metric": "asr_guard", "value": 0.4, "low": 0.3, "high": 0.5, "n": 80}
            for group in ("Early", "Middle", "Late")
        ],
        columns=columns,
    )
    rows = make(results, "published", metrics=measured, published=PUBLISHED).rows.set_index(["Layers", "Quantity"])
    assert rows.loc[("Early", "ASR (%)"), "Agrees"] == "yes"
    assert rows.loc[("Late", "ASR (%)"), "Agrees"] == "no"
    assert rows.loc[("Average", "ASR (%)"), "Agrees"] == MISSING
    assert rows.loc[("Average", "ASR (%)"), "Measured"] == "40.00"
    assert rows.loc[("Early", "Reward"), "Measured"] == "not measured"
    assert rows.loc[("Late", "Reward"), "Published"] == "−0.83"


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_only_the_attack_success_rate_can_agree(one, other, third):
    low, value, high = sorted((one, other, third))
    measured = {"value": value, "low": low, "high": high, "n": 5}
    for said in (100 * value, 100 * low - 1, 100 * high + 1):
        asr = published.measured_text(said, measured, "asr")["Agrees"]
        assert asr == ("yes" if 100 * low <= said <= 100 * high else "no")
        assert published.measured_text(said, measured, "toxicity")["Agrees"] == "other instrument"


def test_nothing_is_comparable_for_organisms_and_the_table_says_so(experiments):
    rows = make(experiments["tiny"], "published", published=PUBLISHED).rows
    assert rows.iloc[0, 0].startswith("Nothing is comparable")
    assert "models trained here" in rows.iloc[0, 0]


# LaTeX


def unescape(text):
    """What LaTeX prints for the escapes that are used here: commands, then ligatures, then empty groups."""
    for character, command in sorted(latex.ESCAPES.items(), key=lambda item: -len(item[1])):
        if command not in (" ", "~"):
            text = text.replace(command, f"\0{ord(character)};")
    text = text.replace("~", "\N{NO-BREAK SPACE}")
    for pair, joined in {"--": "–", "``": "“", "''": "”", ",,": "„", "?`": "¿", "!`": "¡"}.items():
        text = text.replace(pair, joined)
    text = text.replace("{}", "")
    return re.sub("\0(\\d+);", lambda found: chr(int(found[1])), text)


ANY_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0\n\N{NO-BREAK SPACE}"))


@given(ANY_TEXT | st.text("-–'`,?!~{}\\"))
def test_escaped_text_prints_as_it_was(text):
    assert unescape(latex.escape(text)) == text


@given(st.text(alphabet="&%$#_{}~^\\<>|[]ab", min_size=1))
def test_no_cell_breaks_the_table(cell):
    rendered = latex.render(Table(pd.DataFrame({"A_1": [cell, "x"], "n": ["5", "6"]}), ""))
    body = rendered.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    assert len(body) == 2
    for line in body:
        assert line.endswith(r" \\") and not line.startswith("[")
        bare = re.sub(r"\\[&%$#_{}]", "", line.removesuffix(r" \\"))
        assert bare.count("&") == 1
        assert not re.search(r"[%#_]", bare)


def test_long_tables_run_over_pages():
    short, long = (latex.render(Table(pd.DataFrame({"A": ["x"] * n}), "")) for n in (5, 60))
    assert r"\begin{tabular}{l}" in short and "longtable" not in short
    assert r"\begin{longtable}{l}" in long and r"\endhead" in long
    assert long.count(r"x \\") == 60


# The script


def test_the_script_writes_the_same_cells_twice(experiments, tmp_path, monkeypatch):
    results = experiments["tiny"]
    monkeypatch.chdir(results.folder)
    paths = results.write(tmp_path / "results")
    spec = json.dumps(results.spec | {"table": "outcomes"})
    output = tmp_path / "tables" / "outcomes.csv"
    arguments = ["--spec", spec, "--experiment", "tiny", "--inputs", *map(str, paths), "--output", str(output)]
    script.main(arguments)
    with open(output, encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    expected = make(results, "outcomes")
    assert rows[0] == list(expected.rows.columns)
    assert rows[1:] == expected.rows.astype(str).to_numpy().tolist()
    rendered = output.with_suffix(".tex").read_text(encoding="utf-8")
    assert all(" & ".join(map(latex.escape, row)) in rendered for row in rows)
    assert output.with_suffix(".txt").read_text(encoding="utf-8").strip() == expected.note
