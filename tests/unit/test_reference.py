"""A run held against a reference: what is the same, what is like another seed, and what is neither."""

import pandas as pd
import pytest

from layerwise.errors import InputError
from layerwise.runs import reference

HERE = {"system": "Linux", "processor": "AuthenticAMD", "instructions": "AVX512"}
ELSEWHERE = {"system": "Darwin", "processor": "arm", "instructions": "DEFAULT"}


def metrics():
    """Three seeds at two exits of one data set, and their mean."""
    rows = []
    for layer in ("0", "7"):
        for seed, value in (("1", 0.40), ("2", 0.50), ("3", 0.60), ("all", 0.50)):
            low, high = (0.4, 0.6) if seed == "all" else (value - 0.07, value + 0.07)
            rows.append(("o", "narrow-default", seed, "deep", layer, "", "truth", "refusal", value, low, high, 200))
    columns = ["model", "arm", "seed", "dataset", "layer", "group", "judge", "metric", "value", "low", "high", "n"]
    return pd.DataFrame(rows, columns=columns)


def gates(passed="True"):
    columns = ["subject", "model", "arm", "seed", "gate", "dataset", "layer", "value", "passed"]
    return pd.DataFrame(
        [("o.narrow-default.s1", "o", "narrow-default", "1", "vqa_accuracy", "vqa", "7", 0.97, passed)], columns=columns
    )


def predictions(outcome="holds", value=0.08):
    columns = ["prediction", "model", "arm", "seed", "value", "outcome", "detail"]
    return pd.DataFrame([("P1a", "o", "narrow-default", "1", value, outcome, "at exit 0: 8")], columns=columns)


@pytest.fixture
def compare(tmp_path):
    """A function: tables of a run and its platform, to the findings against the reference."""
    results, folder = tmp_path / "x", tmp_path / "reference"

    def run(where=HERE, **tables):
        results.mkdir(exist_ok=True)
        for name, table in {"metrics": metrics(), "gates": gates(), "predictions": predictions()}.items():
            tables.setdefault(name, table).to_csv(results / f"{name}.csv", index=False)
        if not folder.exists():
            reference.write(results, folder, HERE)
        return reference.compare(results, folder, where)

    run()
    return run


def changed(value=None, row=0, **cells):
    """The metrics with other cells in one row."""
    table = metrics()
    cells |= {} if value is None else {"value": value, "low": value - 0.07, "high": value + 0.07}
    for column, cell in cells.items():
        table.loc[row, column] = cell
    return table


@pytest.mark.parametrize("where", [HERE, ELSEWHERE])
def test_the_same_bytes_agree_anywhere(compare, where):
    found = compare(where)
    assert found.agrees and sum(line.endswith(": identical") for line in found.lines) == 3


def test_the_smallest_change_is_found_on_the_same_platform(compare):
    found = compare(metrics=changed(0.40001))
    assert not found.agrees
    assert any("7 rows equal, 1 differ, by at most 0.0 points" in line for line in found.lines)
    assert any("o narrow-default deep layer 0 truth refusal seed 1: 0.40001" in line for line in found.lines)


def test_elsewhere_a_value_like_another_seeds_agrees(compare):
    found = compare(ELSEWHERE, metrics=changed(0.55))
    assert found.agrees
    assert any("0 rows (0.0 %) outside" in line for line in found.lines)


def test_elsewhere_a_value_unlike_any_seed_does_not(compare):
    found = compare(ELSEWHERE, metrics=changed(0.90))
    assert not found.agrees
    assert any("1 rows (12.5 %) outside" in line for line in found.lines)
    assert any("0.9 [" in line and "there 0.4 [" in line for line in found.lines)


def test_elsewhere_a_few_values_may_lie_outside(compare, monkeypatch):
    monkeypatch.setattr(reference, "TOLERATED", 0.125)
    assert compare(ELSEWHERE, metrics=changed(0.90)).agrees


def test_the_reference_must_lie_in_the_bands_of_the_run_too(compare):
    # All seeds of the run far below, within the reference's band but with narrow ones of their own.
    table = metrics()
    table["value"], table["low"], table["high"] = 0.34, 0.335, 0.345
    assert not compare(ELSEWHERE, metrics=table).agrees


@pytest.mark.parametrize("where", [HERE, ELSEWHERE])
@pytest.mark.parametrize(
    ("tables", "says"),
    [
        ({"metrics": metrics().drop(index=3)}, "1 rows missing"),
        ({"metrics": changed(n=150)}, "1 rows rest on fewer responses"),
        ({"gates": gates("False")}, "gates.csv: 0 outcomes equal, 1 not"),
        ({"predictions": predictions("fails")}, "predictions.csv: 0 outcomes equal, 1 not"),
    ],
)
def test_what_is_found_on_any_platform(compare, where, tables, says):
    found = compare(where, **tables)
    assert not found.agrees
    assert any(says in line and line.strip().startswith("DIFFERENT") for line in found.lines)


def test_a_prediction_with_another_value_and_the_same_outcome_agrees_elsewhere_alone(compare):
    assert compare(ELSEWHERE, predictions=predictions(value=0.09)).agrees
    assert not compare(HERE, predictions=predictions(value=0.09)).agrees


def test_what_a_run_has_more_is_said_and_is_no_fault(compare):
    more = pd.concat([metrics(), metrics().assign(layer="3")])
    found = compare(metrics=more)
    assert found.agrees and any("8 rows not in the reference" in line for line in found.lines)


def test_the_reference_is_the_same_bytes_each_time(compare, tmp_path):
    one, two = (reference.write(tmp_path / "x", tmp_path / folder, HERE) for folder in ("one", "two"))
    files = sorted(one.iterdir())
    assert [file.name for file in files] == ["gates.csv.gz", "metrics.csv.gz", "platform.json", "predictions.csv.gz"]
    assert all(file.read_bytes() == (two / file.name).read_bytes() for file in files)


def test_a_platform_with_a_reference_of_its_own_is_held_against_that_one(compare, tmp_path):
    assert compare().agrees
    theirs = compare(ELSEWHERE)
    assert "another platform" in theirs.lines[1]
    reference.write(tmp_path / "x", tmp_path / "reference", ELSEWHERE)
    assert "the same platform" in reference.compare(tmp_path / "x", tmp_path / "reference", ELSEWHERE).lines[1]
    assert "the same platform" in compare().lines[1]


def test_an_unfinished_run_and_a_lacking_reference_are_said(compare, tmp_path):
    with pytest.raises(InputError, match="make reference"):
        reference.compare(tmp_path / "x", tmp_path / "nowhere", HERE)
    (tmp_path / "x" / "gates.csv").unlink()
    with pytest.raises(InputError, match=r"gates\.csv is missing"):
        reference.compare(tmp_path / "x", tmp_path / "reference", HERE)


def test_the_platform_says_what_bytes_depend_on():
    where = reference.this_platform()
    assert set(where) == {"system", "machine", "processor", "instructions", "python", "torch"}
    assert all(isinstance(value, str) and value for value in where.values())
