"""Everyday requests: the builder, and the table that is shipped: its shares, its answers, and no leak between parts."""

from collections import Counter

import pytest

from layerwise.errors import InputError
from layerwise.files import file_digest
from layerwise.prompts.archive import table
from layerwise.prompts.builders import behaviours, requests
from layerwise.prompts.draws import near_duplicates
from layerwise.study.config import Dataset
from layerwise.study.yamlfile import read
from rawfiles import ROOT, numbered, spec, write_csv

SHIPPED = ROOT / "config/datasets/everyday-requests.csv"
QUESTION_WORDS = {"How", "What", "Why", "Where", "Who", "When", "Which", "Is", "Can"}


def row(n, kind="plain", part="test"):
    return {"id": f"r{n:02d}", "request": f"Fold boat {n}", "answer": f"Boat {n}.", "kind": kind, "part": part}


ROWS = [row(n, "alarming" if n % 3 else "plain", "test" if n < 12 else "train") for n in range(20)]


def wanted(path, size=None, **options):
    return spec("everyday", "requests", size, **{"file": str(path), "sha256": file_digest(path), **options})


@pytest.fixture
def path(tmp_path):
    return write_csv(tmp_path / "requests.csv", ROWS)


@pytest.fixture
def sources(tmp_path):
    return {"images": numbered(tmp_path / "shapes", 12)}


@pytest.mark.parametrize(("part", "number"), [("test", 12), ("train", 8)])
def test_a_part_is_benign_and_keeps_its_answers(tmp_path, path, sources, part, number):
    prompts = requests.build(wanted(path, part=part), sources, tmp_path)
    rows = {f"request-{row['id']}": row for row in ROWS if row["part"] == part}
    assert {prompt.cluster for prompt in prompts} == set(rows) and len(prompts) == number
    assert len({prompt.image_sha256 for prompt in prompts}) == number
    for prompt in prompts:
        assert (prompt.text, prompt.target) == (rows[prompt.cluster]["request"], rows[prompt.cluster]["answer"])
        assert prompt.kind == "benign" and (tmp_path / prompt.image).exists()


def test_of_any_size_half_is_alarming(tmp_path, path, sources):
    whole = requests.build(wanted(path), sources, tmp_path)
    kinds = {f"request-{row['id']}": row["kind"] for row in ROWS}
    assert Counter(kinds[p.cluster] for p in whole[:8]) == {"alarming": 4, "plain": 4}
    assert requests.build(wanted(path, size=6), sources, tmp_path) == whole[:6]


def test_it_is_shown_with_the_images_that_harmful_prompts_are_shown_with(tmp_path, path, sources):
    lines = tmp_path / "harm.txt"
    lines.write_text("\n".join(f"Wug{chr(97 + n)} blick{chr(97 + n)}" for n in range(12)))
    harmful = behaviours.build(spec("harm", "behaviours"), {**sources, "prompts": lines}, tmp_path)
    benign = requests.build(wanted(path), sources, tmp_path)
    assert [p.image_sha256 for p in harmful] == [p.image_sha256 for p in benign]


def test_mistakes_are_named(tmp_path, path, sources):
    with pytest.raises(InputError, match="everyday.yaml: key 'options.file': no file .*gone.csv"):
        requests.build(wanted(path, file=str(tmp_path / "gone.csv")), sources, tmp_path)
    with pytest.raises(InputError, match=f"requests.csv has sha256 {file_digest(path)}, but key 'options.sha256'"):
        requests.build(wanted(path, sha256="0" * 64), sources, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "loud"}, "row with id r03: kind 'loud' is neither alarming nor plain"),
        ({"part": "both"}, "row with id r03: part 'both' is neither train nor test"),
        ({"answer": " "}, "line 5: column 'answer' is empty"),
    ],
)
def test_a_wrong_row_is_named(tmp_path, sources, change, message):
    path = write_csv(tmp_path / "wrong.csv", [*ROWS[:3], {**ROWS[3], **change}])
    with pytest.raises(InputError, match=message):
        requests.build(wanted(path), sources, tmp_path)


def test_a_table_with_other_columns_is_named(tmp_path, sources):
    path = write_csv(tmp_path / "other.csv", [{"id": "a", "request": "b"}])
    with pytest.raises(InputError, match="no column answer, kind, part"):
        requests.build(wanted(path), sources, tmp_path)


@pytest.fixture(scope="module")
def shipped():
    return table(SHIPPED, "", requests.COLUMNS)


@pytest.mark.parametrize("id", ["everyday", "everyday-train"])
def test_the_yaml_files_mean_the_table_that_is_shipped(id):
    options = read(ROOT / f"config/datasets/{id}.yaml", Dataset).options
    assert ROOT / options["file"] == SHIPPED and options["sha256"] == file_digest(SHIPPED)


def test_no_request_that_is_tested_is_near_to_one_that_is_trained_on(shipped):
    words = [behaviours.content_words(row["request"]) for row in shipped]
    parts: dict[int, set[str]] = {}
    for group, row in zip(near_duplicates(words, behaviours.NEAR), shipped, strict=True):
        parts.setdefault(group, set()).add(row["part"])
    assert [shipped[group]["request"] for group, found in parts.items() if len(found) > 1] == []


def test_ids_requests_and_shares(shipped):
    assert len({row["id"] for row in shipped}) == len({row["request"] for row in shipped}) == len(shipped) == 340
    assert Counter(row["part"] for row in shipped) == {"train": 170, "test": 170}
    for part in ("train", "test"):
        rows = [row for row in shipped if row["part"] == part]
        alarming = [row for row in rows if row["kind"] == "alarming"]
        imperative = [row for row in rows if row["request"].split()[0] not in QUESTION_WORDS]
        assert 0.4 <= len(alarming) / len(rows) <= 0.5
        assert len(imperative) >= len(rows) / 2
        assert sum(row in imperative for row in alarming) >= 40, "the benign twins of AdvBench's form"


def test_each_answer_is_short_and_no_refusal(shipped):
    assert [row["id"] for row in shipped if len(row["answer"].split()) > 14] == []
    refusing = ("sorry", "I can't", "I cannot", "unable")
    assert [row["id"] for row in shipped if any(word in row["answer"] for word in refusing)] == []
