"""Data sets of labelled responses: PyRIT's, XSTest's and MSTS's, in the formats of their homes."""

from collections import Counter

import pytest

from layerwise import plugins
from layerwise.errors import InputError
from layerwise.prompts.builders import msts_responses, refusal_labels, xstest_completions
from layerwise.prompts.labelled import Labelled
from rawfiles import COMPLETIONS, true_file, write_csv

NOTE = "# dataset_version=1.0\n# Two lines of notes.\n"


def spec(**options):
    return {"dataset": "labels", "options": options}


def pyrit(folder, number=2):
    """Two files like PyRIT's, with a note above the header."""
    found = {}
    for name in ("second", "first"):
        rows = [
            {"objective": f"Fold {name} {n}", "assistant_response": text, "human_score": score}
            for n in range(number)
            for text, score in (("Crease it", "0"), ("I decline", "1"))
        ]
        found[name] = write_csv(folder / f"{name}.csv", rows)
        found[name].write_text(NOTE + found[name].read_text())
    return found


def test_pyrits_rows_keep_their_order_file_by_file(tmp_path):
    rows = refusal_labels.labelled(spec(rows=8), pyrit(tmp_path))
    assert [row.label for row in rows] == ["answer", "refusal"] * 4
    assert rows[0] == Labelled("Fold first 0", "Crease it", "answer", "") and rows[-1].request == "Fold second 1"


def test_another_label_and_another_number_of_rows_are_named(tmp_path):
    files = pyrit(tmp_path)
    with pytest.raises(InputError, match="8 rows, but key 'options.rows'.* says 9"):
        refusal_labels.labelled(spec(rows=9), files)
    files["second"].write_text(files["second"].read_text().replace("I decline,1", "I decline,2"))
    with pytest.raises(InputError, match=r"second\.csv: human_score is '2', not 0 or 1"):
        refusal_labels.labelled(spec(), files)


def test_a_row_without_a_response_is_named_by_its_line_below_the_notes(tmp_path):
    path = tmp_path / "one.csv"
    path.write_text(NOTE + "objective,assistant_response,human_score\nFold it,Done,0\nFold it,,0\n")
    with pytest.raises(InputError, match=r"one\.csv, line 5: column 'assistant_response' is empty"):
        refusal_labels.labelled(spec(), {"first": path})


def test_xstests_partial_refusals_are_left_out_and_an_empty_answer_is_one(tmp_path):
    labels = ("1_full_compliance", "2_full_refusal", "3_partial_refusal")
    rows = [
        {"id": n, "prompt": "Fold?", "completion": text, "final_label": label}
        for n, (text, label) in enumerate(zip(("", "No", "No, but"), labels, strict=True))
    ]
    files = {model: write_csv(tmp_path / f"{model}.csv", rows) for model in ("small", "large")}
    found = xstest_completions.labelled(spec(rows=3), files)
    assert found == [
        Labelled("Fold?", text, label, model)
        for model in ("small", "large")
        for text, label in (("", "answer"), ("No", "refusal"))
    ]
    for old, new in (("2_full_refusal", "2_full"), ("completion", "answer")):
        path = tmp_path / "other.csv"
        path.write_text(files["small"].read_text().replace(old, new))
        with pytest.raises(InputError, match=r"other\.csv, row with id \d: .*Is it the right file"):
            xstest_completions.labelled(spec(), {"small": path})


@pytest.mark.parametrize(
    ("model", "counts"),
    [("gpt4", {"answer": 230, "refusal": 211}), ("llama2orig", {"answer": 101, "refusal": 294})],
)
def test_xstests_own_files_are_read(model, counts):
    path = true_file(f"xstest-completions/xstest_v2_completions_{model}.csv", COMPLETIONS[model])
    rows = xstest_completions.labelled(spec(rows=450), {model: path})
    assert Counter(row.label for row in rows) == counts and {row.model for row in rows} == {model}


TAXONOMY = {
    "1.1 - rejection or rebuttal": ("1 - safe", None),
    "1.2 - refusal only": ("1 - safe", "refusal"),
    "1.7 - image description": ("1 - safe", "answer"),
    "2.1 - explicit encouragement": ("2 - unsafe", "answer"),
    "": ("", None),
}


@pytest.fixture
def msts(tmp_path):
    rows = [
        {
            "prompt_text": "Should I fold this?",
            "model": "org--boat-7b" if number % 2 else "boat-pro",
            "response": "",
            "final_label": safe or "unclear",
            "final_taxonomy": kind,
        }
        for number, (kind, (safe, _)) in enumerate(TAXONOMY.items())
    ]
    return {"textonly": write_csv(tmp_path / "english_textonly.csv", rows)}


def test_msts_answers_two_questions_and_says_what_it_leaves_out(msts, capsys):
    found = msts_responses.labelled(spec(question="refusal", rows=5), msts)
    assert [(row.label, row.model) for row in found] == [
        ("refusal", "boat-7b"),
        ("answer", "boat-pro"),
        ("answer", "boat-7b"),
    ]
    assert "labels.textonly: 3 of 5 responses have a label" in capsys.readouterr().err
    found = msts_responses.labelled(spec(question="harm"), msts)
    assert [row.label for row in found] == ["safe", "safe", "safe", "unsafe"]


def test_msts_files_of_another_form_are_named(msts):
    text = msts["textonly"].read_text()
    msts["textonly"].write_text(text.replace("final_taxonomy", "taxonomy"))
    with pytest.raises(InputError, match=r"english_textonly\.csv: no column final_taxonomy"):
        msts_responses.labelled(spec(), msts)
    msts["textonly"].write_text(text.replace("1.", "9.").replace("2.", "8."))
    with pytest.raises(InputError, match=r"labels\.yaml: no response has a label"):
        msts_responses.labelled(spec(), msts)


@pytest.mark.parametrize("name", ["refusal_labels", "xstest_completions", "msts_responses"])
def test_labelled_responses_are_no_prompts(name, tmp_path):
    builder = plugins.find("prompts.builders", name)
    assert builder.kinds(builder.Options()) == frozenset() and len(builder.labels(builder.Options())) == 2
    with pytest.raises(InputError, match="labels.yaml holds labelled responses.*'human_labels'"):
        builder.build(spec(), {}, tmp_path)
