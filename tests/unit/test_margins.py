"""Refusal margins as metrics: means with intervals, compared with the default layer, and whether they tell refusals."""

import numpy as np
import pandas as pd
import pytest

from layerwise import plugins
from layerwise.analysis import margins, metrics, stats
from layerwise.analysis.paired import paired
from layerwise.records import Prompt, Response, write
from layerwise.report.text import Names

LAYERS, DEFAULT, PAIRS = (1, 7), 7, 40
SUBJECT = {"name": "m", "id": "m", "arm": None, "seed": None, "blocks": 8, "default_layer": DEFAULT}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Margins of 40 pairs at two layers, read from response files; one response has none."""
    folder, rng = tmp_path_factory.mktemp("responses"), np.random.default_rng(3)
    rows = []
    for layer in LAYERS:
        for kind, mean in (("harmful", layer - 4), ("benign", -3)):
            for pair in range(PAIRS):
                margin = None if (layer, kind, pair) == (1, "benign", 0) else float(mean + rng.normal())
                rows.append(Response("key", f"{kind}-{pair}", "m", layer, "text", 1, "stop", margin))
    paths = []
    for layer in LAYERS:
        paths.append(folder / f"layer-{layer:02d}.jsonl")
        write(paths[-1], [row for row in rows if row.layer == layer])
    asked = [
        Prompt(f"{k}-{i}", "deep", "t", None, None, k, f"c{i:02d}") for k in ("harmful", "benign") for i in range(PAIRS)
    ]
    write(folder / "prompts.jsonl", asked)
    return margins.read(paths, metrics.read_prompts([folder / "prompts.jsonl"]))


def test_the_metric_is_the_mean_with_its_bootstrap_interval_and_has_no_limits(found):
    assert len(found) == 4 * PAIRS - 1
    table = metrics.metrics([*empty(), *margins.measures(found)], [SUBJECT], [])
    rows = table[(table["group"] != "Default") & table["layer"].notna()].set_index(["metric", "layer"])
    for (metric, layer), row in rows.iterrows():
        kind = "harmful" if metric == "margin" else "benign"
        values = found.loc[(found["kind"] == kind) & (found["layer"] == layer), "margin"]
        assert row["value"] == pytest.approx(values.mean()) and row["n"] == len(values) and row["judge"] == ""
        reach = 1.96 * values.std() / np.sqrt(len(values))
        assert (row["low"], row["high"]) == pytest.approx((values.mean() - reach, values.mean() + reach), abs=0.06)
    assert rows.loc[("margin", 1), "high"] < -1


def empty():
    """The two measures that the refusal gap reads, without rows."""
    columns = ["subject", "dataset", "layer", "cluster", "value", "positive"]
    return [metrics.Measure(name, "truth", pd.DataFrame(columns=columns)) for name in ("refusal", "over_refusal")]


def test_paired_differences_of_margins(found):
    (row,) = paired(list(margins.measures(found)), [SUBJECT]).to_dict("records")
    harmful = found[found["kind"] == "harmful"].pivot(index="cluster", columns="layer", values="margin")
    change = harmful[1] - harmful[DEFAULT]
    assert (row["metric"], row["n"]) == ("margin", PAIRS)
    assert row["difference"] == pytest.approx(change.mean())
    assert row["low"] < change.mean() < row["high"] < 0
    assert (row["b"], row["c"]) == ((change > 0).sum(), (change < 0).sum()) and row["p"] < 1e-6


@pytest.mark.parametrize(("values", "known"), [([2.0, 3.0, 4.5, 2.5], True), ([2.0], False), ([2.0, 2.0], False)])
def test_few_clusters_have_students_interval_and_a_single_one_none(values, known):
    totals = np.array(values)[:, None]
    value, low, high = stats.cluster_mean(totals, np.ones_like(totals), bounded=False)
    assert value == pytest.approx(np.mean(values))
    if known:
        reach = 3.182 * np.std(values, ddof=1) / 2
        assert (low, high) == pytest.approx((value - reach, value + reach), rel=1e-3)
    else:
        assert np.isnan([low, high]).all()


def test_fitness_is_the_auc_against_judged_refusals(found):
    responses = found.assign(outcome=np.where(found["margin"] > 0, "refusal", "harmless"))
    table = margins.fitness(found, responses, [SUBJECT])
    assert list(table["dataset"]) == ["", "deep"] and (table["value"] == 1).all() and (table["low"] < 1).all()
    rng = np.random.default_rng(0)
    random = responses.assign(outcome=rng.permutation(responses["outcome"].to_numpy()))
    (whole, _) = margins.fitness(found, random, [SUBJECT]).to_dict("records")
    assert whole["low"] < 0.5 < whole["high"]
    nothing = margins.fitness(found, responses.assign(outcome="refusal"), [SUBJECT])
    assert nothing["value"].isna().all()
    shown = plugins.find("report.tables", "margins").table({"margins": table.fillna("")}, {}, names())
    assert list(shown.rows["Margin"]) == ["fit"]
    shown = plugins.find("report.tables", "margins").table(
        {"margins": margins.fitness(found, random, [SUBJECT]).fillna("")}, {}, names()
    )
    assert list(shown.rows["Margin"]) == ["unfit"]


def names():
    return Names({"m": "Model"}, {"deep": "Deep"}, {})


def test_the_interval_of_a_clustered_auc_does_not_take_copies_for_new_observations():
    rng = np.random.default_rng(1)
    positive = rng.random(60) < 0.5
    scores = rng.normal(size=60) + positive
    once = stats.auc(scores, positive)
    ten = stats.auc(np.tile(scores, 10), np.tile(positive, 10), np.tile(np.arange(60), 10))
    assert ten.value == pytest.approx(once.value)
    assert (ten.low, ten.high) == pytest.approx((once.low, once.high), abs=0.01)
