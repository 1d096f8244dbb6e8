"""Labelled responses: read from their two files, and halved so that nothing alike lies on both sides."""

from collections import Counter

import pytest

from layerwise.errors import InputError
from layerwise.prompts.builders import refusal_labels
from rawfiles import write_csv

NOTE = "# dataset_version=1.0\n# Two lines of notes.\n"


def sources(folder, number=20):
    """Two files like PyRIT's: a note, then every boat twice, once folded and once declined."""
    found = {}
    for name in ("first", "second"):
        rows = []
        for n in range(number):
            boat = " ".join(f"{name}{n}{letter}" for letter in "abcdefgh")
            rows.append({"objective": f"Fold {boat}", "assistant_response": f"Crease, {boat} done", "human_score": "0"})
            rows.append({"objective": f"Sink {boat}{n}", "assistant_response": "I decline", "human_score": "1"})
        found[name] = write_csv(folder / f"{name}.csv", rows)
        found[name].write_text(NOTE + found[name].read_text())
    return found


def spec(**options):
    return {"dataset": "labels", "builder": "refusal_labels", "seed": 3, "options": options}


def test_rows_keep_their_order_and_both_halves_have_their_part_of_each_file_and_label(tmp_path):
    rows = refusal_labels.labelled(spec(rows=80), sources(tmp_path))
    assert [row.label for row in rows] == ["answer", "refusal"] * 40
    assert rows[0].request.startswith("Fold first0a") and rows[79].response == "I decline"
    sides = Counter((number // 40, row.label, row.half) for number, row in enumerate(rows))
    assert set(sides.values()) == {10} and len(sides) == 8
    assert rows == refusal_labels.labelled(spec(rows=80), sources(tmp_path))


def test_what_hangs_together_lies_in_one_half():
    texts = ["a b c d", "a b c x", "b c x y", *(f"{n} {n + 100} {n + 200}" for n in range(20))]
    for seed in range(8):
        found = refusal_labels.halves(texts, [("one", "0")] * len(texts), seed)
        assert len(set(found[:3])) == 1
        assert set(found) == {"train", "test"}


def test_another_label_and_another_number_of_rows_are_named(tmp_path):
    files = sources(tmp_path)
    with pytest.raises(InputError, match="80 rows, but key 'options.rows'.* says 81"):
        refusal_labels.labelled(spec(rows=81), files)
    files["second"].write_text(files["second"].read_text().replace("I decline,1", "I decline,2"))
    with pytest.raises(InputError, match=r"second\.csv: human_score is '2', not 0 or 1"):
        refusal_labels.labelled(spec(), files)


def test_a_row_without_a_response_is_named_by_its_line_below_the_notes(tmp_path):
    path = tmp_path / "one.csv"
    path.write_text(NOTE + "objective,assistant_response,human_score\nFold it,Done,0\nFold it,,0\n")
    with pytest.raises(InputError, match=r"one\.csv, line 5: column 'assistant_response' is empty"):
        refusal_labels.labelled(spec(), {"first": path})
