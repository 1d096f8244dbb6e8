"""What judges are worth: confusion with the truth, agreement with each other, controls."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.proportion import proportion_confint

import validity as script
from conftest import ROOT
from layerwise.analysis import judge_validity
from layerwise.files import canonical
from layerwise.jobs import aggregates
from layerwise.records import Control, Prompt, Verdict, write

JUDGES = {
    id: aggregates.judged(name)
    for id, name in {"truth": "truth", "refusal": "refusal", "detoxify": "toxicity", "second": "toxicity"}.items()
}
LABELS, CLAIMS = ({id: judge[key] for id, judge in JUDGES.items()} for key in ("labels", "claims"))
CLUSTERS = {f"p{i}": f"c{i}" for i in range(200)}


def verdicts(rng, layers=(0, 5), model="one", prompts=200):
    rows = []
    for layer in layers:
        for i in range(prompts):
            truth = rng.choice(LABELS["truth"], p=[0.3, 0.3, 0.1, 0.2, 0.1])
            harm = truth in ("harmful", "off_target")
            says = {
                "truth": truth,
                "refusal": "refusal" if (truth == "refusal") ^ (rng.random() < 0.1) else "answer",
                "detoxify": "toxic" if harm ^ (rng.random() < 0.3) else "clean",
                "second": "toxic" if harm ^ (rng.random() < 0.2) else "clean",
            }
            rows += [Verdict("k", f"p{i}", model, layer, judge, str(label)) for judge, label in says.items()]
    return rows


@pytest.fixture
def rows():
    return verdicts(np.random.default_rng(1))


@pytest.fixture
def counts(rows):
    return judge_validity.pair_counts([rows], CLAIMS, CLUSTERS)


def labels_of(rows, judge, layer=None):
    return [row.label for row in rows if row.judge == judge and layer in (None, row.layer)]


def pick(table, **where):
    for column, value in where.items():
        table = table[table[column].isna() if value is None else table[column] == value]
    assert len(table) == 1
    return table.iloc[0]


@pytest.mark.parametrize("layer", [0, 5, None])
@pytest.mark.parametrize(
    ("judge", "label", "truth"), [("refusal", "refusal", "refusal"), ("detoxify", "toxic", "harmful")]
)
def test_precision_and_recall_are_the_textbook_ones(rows, counts, judge, label, truth, layer):
    table = judge_validity.against_truth(counts, "truth", LABELS, CLAIMS)
    # Off-target harm is harm: a judge that is not asked which harm was meant is right to call it so.
    meant = [truth, "off_target"] if truth == "harmful" else [truth]
    true = np.isin(labels_of(rows, "truth", layer), meant)
    said = np.array(labels_of(rows, judge, layer)) == label
    precision = pick(table, judge=judge, layer=layer, metric="precision")
    recall = pick(table, judge=judge, layer=layer, metric="recall")
    assert precision.value == pytest.approx((true & said).sum() / said.sum()) and precision.n == sum(said)
    assert recall.value == pytest.approx((true & said).sum() / true.sum()) and recall.n == sum(true)
    assert (precision.truth, precision.label) == (recall.truth, recall.label) == (truth, label)


def test_with_one_response_a_cluster_the_interval_is_wilsons(counts):
    precision = pick(
        judge_validity.against_truth(counts, "truth", LABELS, CLAIMS), judge="detoxify", layer=0, metric="precision"
    )
    low, high = proportion_confint(round(precision.value * precision.n), precision.n, method="wilson")
    assert (precision.low, precision.high) == pytest.approx((low, high), abs=0.004)


def test_repeated_responses_do_not_narrow_the_interval(rows, counts):
    copies = [[Verdict(r.key, r.prompt_id, f"m{m}", r.layer, r.judge, r.label) for r in rows] for m in range(20)]
    many = judge_validity.against_truth(judge_validity.pair_counts(copies, CLAIMS, CLUSTERS), "truth", LABELS, CLAIMS)
    once = judge_validity.against_truth(counts, "truth", LABELS, CLAIMS)
    where = {"judge": "detoxify", "layer": 0, "metric": "recall"}
    assert pick(many, **where).n == 20 * pick(once, **where).n
    assert pick(many, **where).low == pytest.approx(pick(once, **where).low, abs=0.01)


def test_the_confusion_matrix_counts_every_response_once(rows, counts):
    table = judge_validity.against_truth(counts, "truth", LABELS, CLAIMS)
    for judge in ("refusal", "detoxify"):
        for layer, n in ((0, 200), (5, 200), (None, 400)):
            cells = table[(table.judge == judge) & (table.metric == "count")]
            cells = cells[cells.layer.isna() if layer is None else cells.layer == layer]
            assert len(cells) == 5 * 2 and cells.value.sum() == n and set(cells.n) == {n}
    hits = sum(
        a == "harmful" and b == "toxic"
        for a, b in zip(*(labels_of(rows, j) for j in ("truth", "detoxify")), strict=True)
    )
    assert pick(table, judge="detoxify", layer=None, metric="count", truth="harmful", label="toxic").value == hits


@pytest.mark.parametrize("layer", [0, 5, None])
def test_kappa_is_the_textbook_one(rows, counts, layer):
    table = judge_validity.agreement(counts, CLAIMS)
    one, two = (np.array(labels_of(rows, judge, layer)) == "toxic" for judge in ("detoxify", "second"))
    chance = one.mean() * two.mean() + (1 - one.mean()) * (1 - two.mean())
    row = pick(table, first="detoxify", second="second", layer=layer, metric="kappa")
    assert row.value == pytest.approx(((one == two).mean() - chance) / (1 - chance)) and row.low < row.value < row.high
    assert row.claim == "harmful" and row.n == len(one)
    agreed = pick(table, first="detoxify", second="second", layer=layer, metric="agreement")
    assert agreed.value == pytest.approx((one == two).mean())


def test_judges_are_compared_on_shared_claims_only(counts):
    assert judge_validity.shared_claims(CLAIMS) == {
        ("truth", "refusal"): ["refusal"],
        ("truth", "detoxify"): ["harmful"],
        ("truth", "second"): ["harmful"],
        ("detoxify", "second"): ["harmful"],
    }
    table = judge_validity.agreement(counts, CLAIMS)
    assert set(zip(table["first"], table["second"], strict=True)) == set(judge_validity.shared_claims(CLAIMS))


def test_without_a_truth_judge_only_agreement_is_left(rows):
    labels, claims = ({j: of[j] for j in ("refusal", "detoxify", "second")} for of in (LABELS, CLAIMS))
    counts = judge_validity.pair_counts([[row for row in rows if row.judge != "truth"]], claims, CLUSTERS)
    assert judge_validity.against_truth(counts, None, labels, claims).empty
    assert list(judge_validity.against_truth(counts, None, labels, claims).columns) == judge_validity.VALIDITY
    assert set(judge_validity.agreement(counts, claims)["first"]) == {"detoxify"}


def test_a_judge_that_never_flags_has_no_precision_and_no_recall(rows):
    meek = [
        Verdict(r.key, r.prompt_id, r.subject, r.layer, r.judge, "clean") if r.judge == "detoxify" else r for r in rows
    ]
    table = judge_validity.against_truth(judge_validity.pair_counts([meek], CLAIMS, CLUSTERS), "truth", LABELS, CLAIMS)
    precision = pick(table, judge="detoxify", layer=None, metric="precision")
    assert np.isnan(precision.value) and precision.n == 0
    recall = pick(table, judge="detoxify", layer=None, metric="recall")
    assert recall.value == 0 and recall.low == 0 and recall.high < 0.05 and recall.n > 100


def test_responses_that_one_judge_has_not_seen_are_left_out(rows):
    some = [row for row in rows if not (row.judge == "detoxify" and row.prompt_id in ("p0", "p1"))]
    table = judge_validity.against_truth(judge_validity.pair_counts([some], CLAIMS, CLUSTERS), "truth", LABELS, CLAIMS)
    assert set(table[(table.judge == "detoxify") & (table.metric == "count") & table.layer.isna()].n) == {396}
    assert set(table[(table.judge == "refusal") & (table.metric == "count") & table.layer.isna()].n) == {400}


def test_controls_give_shares_of_labels_and_of_what_is_right_and_scores():
    tried = [
        *(Control("detoxify", "empty", f"p{i}", "clean", 0.25) for i in range(20)),
        *(
            Control("refusal", "canned refusal", f"p{i}", "refusal" if i < 15 else "answer", None, i < 15)
            for i in range(20)
        ),
    ]
    table = judge_validity.controls(tried, LABELS)
    assert pick(table, judge="detoxify", control="empty", label="clean").n == 20
    assert pick(table, judge="detoxify", control="empty", metric="score").value == 0.25
    refused = pick(table, judge="refusal", control="canned refusal", label="refusal")
    assert (refused.low, refused.value, refused.high) == pytest.approx((0.5313, 0.75, 0.8881), abs=1e-4)
    assert table[(table.judge == "refusal") & (table.metric == "score")].empty
    right = pick(table, judge="refusal", control="canned refusal", metric="right")
    assert (right.low, right.value, right.high) == (refused.low, refused.value, refused.high)
    assert table[(table.judge == "detoxify") & (table.metric == "right")].empty


def test_what_was_read_in_parts_is_counted():
    table = judge_validity.cut({("guard", False): 30, ("guard", True): 10, ("truth", False): 40})
    (row,) = table.to_dict("records")
    assert (row["judge"], row["metric"], row["value"], row["n"]) == ("guard", "cut", 0.25, 40)
    assert row["low"] < 0.25 < row["high"] and judge_validity.cut({("truth", False): 1}).empty


def test_the_script_writes_three_tables(tmp_path):
    rng = np.random.default_rng(0)
    judges = JUDGES | {"vqa": aggregates.judged("vqa")}
    files = []
    for model in ("organism.narrow-none.s100", "organism.broad-none.s100"):
        rows = verdicts(rng, model=model, prompts=30)
        for judge in judges:
            files.append(tmp_path / "verdicts" / judge / f"{model}.jsonl")
            write(files[-1], [row for row in rows if row.judge == judge])
    prompts = [Prompt(f"p{i}", "world", "text", None, None, "harmful", f"c{i // 2}") for i in range(30)]
    write(tmp_path / "prompts.jsonl", prompts)
    write(tmp_path / "controls.jsonl", [Control("refusal", "empty", "p0", "answer", None)])
    outputs = [tmp_path / f"{name}.csv" for name in ("validity", "controls-table", "agreement")]
    arguments = [
        *(
            "--spec",
            canonical({"judges": judges, "outcome": {"truth": "truth"}}),
            "--prompts",
            tmp_path / "prompts.jsonl",
        ),
        *("--verdicts", *files, "--controls", tmp_path / "controls.jsonl"),
        *("--output", outputs[0], "--controls-table", outputs[1], "--agreement", outputs[2]),
    ]
    script.main([str(argument) for argument in arguments])
    tables = [pd.read_csv(path) for path in outputs]
    assert [list(table.columns) for table in tables] == [
        judge_validity.VALIDITY,
        judge_validity.CONTROLS,
        judge_validity.AGREEMENT,
    ]
    assert pick(tables[2], first="detoxify", second="second", layer=None, metric="kappa").n == 2 * 2 * 30
    assert "vqa" not in set(tables[0].judge)


def test_nothing_loads_torch():
    code = "import sys; sys.path.insert(0, sys.argv[1]); import validity; from layerwise import plugins\n"
    code += "for name in ('truth', 'refusal', 'coherence', 'toxicity', 'vqa'):\n"
    code += "    plugins.find('judging.judges', name).Judge.labels\n"
    code += "assert not {'torch', 'transformers', 'detoxify'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code, str(ROOT / "workflow/scripts")], check=True)
