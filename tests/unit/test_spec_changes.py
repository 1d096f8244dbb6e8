"""What differs between two specs, in words."""

import pytest

from layerwise.runs.spec_changes import differences


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ({"limit": 24}, {"limit": 24}, []),
        ({"limit": 24}, {"limit": 25}, ["limit 24 → 25"]),
        ({"decoding": {"size": 64, "cue": "a"}}, {"decoding": {"size": 32, "cue": "a"}}, ["decoding.size 64 → 32"]),
        ({"options": {}}, {"options": {"threshold": 0.4}}, ["options.threshold unset → 0.4"]),
        ({"options": {"threshold": 0.4}}, {"options": {}}, ["options.threshold 0.4 → unset"]),
        ({"organism": None}, {"organism": {"recipe": "llava"}}, ['organism null → {"recipe": "llava"}']),
        ({"prompt": "be brief"}, {"prompt": ""}, ['prompt "be brief" → ""']),
        ({"layers": [0, 7]}, {"layers": [0, 5, 7]}, ["layers + 5"]),
        ({"layers": [0, 7]}, {"layers": [5, 7]}, ["layers + 5, − 0"]),
        ({"layers": [0, 7]}, {"layers": [7, 0]}, ["layers in another order"]),
        ({"layers": list(range(8))}, {"layers": []}, ["layers − 0, 1, 2, 3, and 4 more"]),
        ({"rows": [[1]]}, {"rows": [[2]]}, ["rows [[1]] → [[2]]"]),
        (
            {"pins": ["python =3.11", "pip"]},
            {"pins": ["python =3.12"]},
            ["pin pip any → unset", "pin python 3.11 → 3.12"],
        ),
        ({"pins": []}, {"pins": ["torch==2.13.0"]}, ["pin torch unset → 2.13.0"]),
        (
            {"code": {"a": "1", "b": "1", "c": "1"}},
            {"code": {"a": "2", "c": "1", "d": "1"}},
            ["code of a, b (gone), d (new)"],
        ),
        ({"sources": {"a.typ": "1", "b.bib": "1"}}, {"sources": {"a.typ": "2", "b.bib": "1"}}, ["content of a.typ"]),
        ({"code": "1"}, {"code": {"a": "1"}}, ["code"]),
        (
            {"code": {"a": "1"}, "n": 1, "pins": ["x==1"]},
            {"code": {"a": "2"}, "n": 2, "pins": ["x==2"]},
            ["n 1 → 2", "pin x 1 → 2", "code of a"],
        ),
    ],
)
def test_what_differs_is_said(old, new, said):
    assert differences(old, new) == said


def test_elements_of_a_list_are_compared_by_name():
    def spec(**layers):
        return {"subjects": [{"name": name, "layers": each} for name, each in layers.items()]}

    old = spec(a=[1], b=[1])
    assert differences(old, spec(a=[1], c=[1])) == ["subjects + c, − b"]
    assert differences(old, spec(a=[1], b=[1, 2])) == ["subjects.b.layers + 2"]
    assert differences(old, spec(a=[1, 2], b=[1, 2])) == ["subjects.*.layers + 2 (in 2 subjects)"]


def test_long_values_are_shown_where_they_differ_or_whole():
    old, new = "x" * 100 + "old" + "y" * 100, "x" * 100 + "new" + "y" * 100
    (text,) = differences({"prompt": old}, {"prompt": new})
    assert "old" in text and "new" in text and len(text) < 100
    assert differences({"prompt": old}, {"prompt": new}, full=True) == [f"prompt {old} → {new}"]
    many = {str(number): 1 for number in range(9)}
    assert len(differences({"code": many}, {"code": {}}, full=True)[0].split(", ")) == 9
