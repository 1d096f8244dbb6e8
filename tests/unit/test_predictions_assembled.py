"""Gates and predictions of assembled models: each prediction made to hold, to fail, and to be untestable."""

import pandas as pd
import pytest

from layerwise.analysis.evidence import Evidence
from layerwise.analysis.gates import gates
from layerwise.analysis.predictions import predictions

LAYERS, DEFAULT = (2, 9, 10, 11, 12), 11
DATASETS = {"adv": None, "everyday": None, "vqa": None}
THRESHOLDS = {"vqa_accuracy": 0.7, "refusal": 0.85, "over_refusal": 0.2}
SIGHT = {2: 0.0, 9: 0.2, 10: 0.9, 11: 0.95, 12: 0.5}
# Metric of each arm by exit layer: what the predictions expect.
EXPECTED = {
    "narrow-text": {"refusal": (1.0, 0.9, 0.5, 0.3, 0.6), "over_refusal": (0.5, 0.2, 0.1, 0.1, 0.2)},
    "narrow-default": {"refusal": (1.0, 1.0, 0.95, 0.95, 0.95), "over_refusal": (0.4, 0.3, 0.1, 0.1, 0.2)},
    "broad-default": {"refusal": (0.95,) * 5, "over_refusal": (0.1,) * 5},
}


def subject(arm, weights_of=None):
    return {
        **{"name": f"m.{arm}.s1", "id": "m" if weights_of is None else "v", "arm": arm, "seed": "1", "blocks": 12},
        **{"default_layer": DEFAULT, "weights_of": weights_of, "frozen_blocks": None, "layers": list(LAYERS)},
    }


def found(changed=None, sight=SIGHT, subjects=None):
    """Gates and predictions, with (arm, metric, exit layer) set to other values."""
    values = {
        (arm, metric, layer): value
        for arm, metrics in EXPECTED.items()
        for metric, row in metrics.items()
        for layer, value in zip(LAYERS, row, strict=True)
    }
    values |= {(arm, "vqa_accuracy", layer): value for arm in EXPECTED for layer, value in sight.items()}
    values |= changed or {}
    where = {"refusal": "adv", "over_refusal": "everyday", "vqa_accuracy": "vqa"}
    metrics = pd.DataFrame(
        {
            **{"model": "m", "arm": arm, "seed": "1", "dataset": where[metric], "layer": layer, "group": ""},
            **{"judge": "refusal", "metric": metric, "value": value, "low": value, "high": value, "n": 100},
        }
        for (arm, metric, layer), value in values.items()
        if value is not None
    )
    probes = pd.DataFrame(columns=["subject", "layer", "probe", "metric", "value", "low", "high", "n"])
    evidence = Evidence(metrics, probes, subjects or [subject(arm) for arm in EXPECTED], DATASETS)
    tried = gates(evidence, THRESHOLDS, ["narrow-default", "broad-default"])
    return tried, predictions(evidence, tried, True)


def outcomes(**options):
    table = found(**options)[1]
    return {(row.prediction, row.arm): row.outcome for row in table.itertuples()}


def test_what_was_registered_holds_where_it_came_out():
    tried, table = found()
    assert tried["passed"].all() and set(tried["gate"]) == {"vqa_accuracy", "refusal", "over_refusal"}
    assert set(table["outcome"]) == {"holds"}
    assert list(table["prediction"]) == ["W1", "W2", "W2", "W3"]
    assert table["value"].tolist() == pytest.approx([0.65, 0.0, 0.0, 0.25])


@pytest.mark.parametrize(
    ("changed", "fails"),
    [
        ({("narrow-text", "refusal", 2): 0.4, ("narrow-text", "refusal", 9): 0.5}, ("W1", "narrow-text")),
        ({("narrow-default", "refusal", 9): 0.84}, ("W2", "narrow-default")),
        ({("broad-default", "refusal", 12): 0.84}, ("W2", "broad-default")),
        (
            {("narrow-default", "over_refusal", 2): 0.1, ("narrow-default", "over_refusal", 9): 0.1},
            ("W3", "narrow-default"),
        ),
    ],
)
def test_each_prediction_can_fail_alone(changed, fails):
    said = outcomes(changed=changed)
    assert said.pop(fails) == "fails" and set(said.values()) == {"holds"}


def test_where_every_exit_sees_there_is_nothing_to_test():
    said = outcomes(sight=dict.fromkeys(LAYERS, 0.9))
    assert (
        said["W1", "narrow-text"] == said["W3", "narrow-default"] == "not testable"
        and said["W2", "narrow-default"] == "holds"
    )


def test_ability_comes_first_and_who_learned_without_images_is_not_asked_to_refuse_beside_one():
    changed = {("narrow-default", "over_refusal", DEFAULT): 0.3}
    assert outcomes(changed=changed)["W2", "narrow-default"] == "not able"
    tried, _ = found()
    assert "refusal" not in set(tried.loc[tried["arm"] == "narrow-text", "gate"])


def test_a_missing_exit_or_arm_is_said():
    assert outcomes(changed={("narrow-default", "refusal", 9): None})["W2", "narrow-default"] == "not testable"
    table = found(subjects=[subject("narrow-default")])[1]
    row = table[table["prediction"] == "W1"].iloc[0]
    assert row["outcome"] == "not testable" and "arm narrow-text" in row["detail"]


def test_a_variant_of_other_weights_is_a_control_and_predicts_nothing():
    tried, _ = found(subjects=[*(subject(arm) for arm in EXPECTED), subject("narrow-default", weights_of="m")])
    assert set(tried["model"]) == {"m"}
