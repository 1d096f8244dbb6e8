"""What the explorer's page holds: packing without loss, letters for outcomes, limits of size, a test of its own."""

import base64
import gzip
import io
import json
import random

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from layerwise import records
from layerwise.explorer import answers, contents, study, tables
from layerwise.explorer.document import compressed
from layerwise.explorer.pictures import Pictures, difference
from layerwise.files import file_digest
from layerwise.jobs import aggregates
from layerwise.records import Prompt, Response, Verdict
from layerwise.study.config import Dataset
from layerwise.study.sources import Source
from layerwise.vocabulary import OUTCOMES, WITHOUT_HARM, possible

ROLES = {"truth": None, "refusal": "refusal", "coherence": "coherence", "harm": "guard"}
JUDGES = {
    "refusal": {"labels": ["refusal", "answer"], "claims": {"refusal": "refusal"}, "measures": []},
    "coherence": {"labels": ["coherent", "incoherent"], "claims": {"incoherent": "incoherent"}, "measures": []},
    "guard": {"labels": ["safe", "unsafe"], "claims": {"unsafe": "harmful"}, "measures": []},
    "vqa": {
        "labels": ["correct", "wrong"],
        "claims": {},
        "measures": [{"metric": "vqa_accuracy", "kind": "vqa", "label": "correct"}],
    },
}
LAYERS = (0, 7)
SAID = ("sorry", "sure", "", "sure, here")


def prompt(number, kind="harmful"):
    return Prompt(f"p{number}", "set", f"question {number}", None, None, kind, f"c{number // 2}")


@pytest.fixture
def packed(tmp_path):
    """Prompts, responses and verdicts drawn at random, some missing, and the same as `Answers`."""
    draw = random.Random(1)
    prompts = [prompt(number, draw.choice(["harmful", "benign", "vqa"])) for number in range(40)]
    given, said = {}, answers.Answers(prompts, JUDGES, ROLES)
    for subject in ("one", "two"):
        responses, verdicts = [], []
        for layer in LAYERS:
            for one in prompts:
                if draw.random() < 0.1:
                    continue
                text, margin = draw.choice(SAID), draw.choice([None, draw.uniform(-9, 9)])
                row = Response("k", one.id, subject, layer, text, len(text), draw.choice(["stop", "length"]), margin)
                responses.append(row)
                for id, judge in JUDGES.items():
                    if (id == "vqa") == (one.kind == "vqa") and draw.random() < 0.95:
                        score = draw.choice([None, round(draw.random(), 6)]) if id == "guard" else None
                        cut = id == "guard" and draw.random() < 0.2
                        verdicts.append(
                            Verdict("k", one.id, subject, layer, id, draw.choice(judge["labels"]), score, cut)
                        )
        records.write(tmp_path / f"{subject}/all.jsonl", responses)
        records.write(tmp_path / f"verdicts/{subject}.jsonl", verdicts)
        said.add(LAYERS, [tmp_path / f"{subject}/all.jsonl"], [tmp_path / f"verdicts/{subject}.jsonl"])
        given[subject] = responses, verdicts
    return prompts, given, said


def unpacked(said, arrays, texts):
    """Every response: {(subject number, layer, prompt number): (text, tokens, finish, margin, verdicts)}."""
    columns = {name: np.frombuffer(arrays.data, kind, size, at) for name, (kind, at, size) in arrays.places.items()}
    found = {}
    size = len(said.prompts)
    for place, state in enumerate(columns["cells"]):
        subject, rest = divmod(place, len(LAYERS) * size)
        layer, number = divmod(rest, size)
        if state:
            labels = {}
            for id, judge in JUDGES.items():
                code = columns[f"label {id}"][state - 1]
                score = columns[f"score {id}"][state - 1] if f"score {id}" in columns else np.nan
                if code != answers.NO_LABEL:
                    cut = f"cut {id}" in columns and bool(columns[f"cut {id}"][state - 1])
                    labels[id] = (judge["labels"][code], None if np.isnan(score) else float(score), cut)
            finish = answers.FINISHED[columns["finish"][state - 1]]
            margins = columns.get(f"margin {subject}")
            margin = None if margins is None or np.isnan(margins[rest]) else float(margins[rest])
            row = texts[columns["text"][state - 1]], columns["tokens"][state - 1], finish, margin, labels
            found[subject, LAYERS[layer], number] = row
    return found


def test_every_response_and_verdict_comes_back(packed):
    prompts, given, said = packed
    kept = frozenset(one.cluster for one in prompts)
    found = unpacked(said, *said.packed(kept, [True, True]))
    wanted = {}
    for subject, (responses, verdicts) in enumerate(given.values()):
        labels = {}
        for row in verdicts:
            labels.setdefault((row.layer, row.prompt_id), {})[row.judge] = (row.label, row.score, row.cut)
        for row in responses:
            where = (row.layer, row.prompt_id)
            margin = None if row.margin is None else float(np.float32(row.margin))
            key = (subject, row.layer, int(row.prompt_id[1:]))
            wanted[key] = row.text, row.num_tokens, row.finish_reason, margin, labels.get(where, {})
    assert found == wanted and len(wanted) > 100


def test_what_is_left_out_are_words_alone_and_an_empty_answer_is_not_left_out(packed):
    prompts, _, said = packed
    whole = unpacked(said, *said.packed(frozenset(said.clusters()), [True, True]))
    kept = frozenset(said.clusters()[:5])
    less = unpacked(said, *said.packed(kept, [False, True]))
    assert less.keys() == whole.keys()
    for (subject, layer, number), row in less.items():
        before = whole[subject, layer, number]
        assert row[0] == (before[0] if prompts[number].cluster in kept else None)
        assert row[1:3] == before[1:3] and row[4] == before[4]
        assert row[3] == (before[3] if subject else None)
    assert "" in {row[0] for row in less.values()}


def test_outcomes_are_those_of_the_analysis_and_questions_are_right_or_wrong(packed):
    _, given, said = packed
    arrays, _ = said.packed(frozenset(said.clusters()), [True, True])
    kind, at, size = arrays.places["mark"]
    marks = np.frombuffer(arrays.data, kind, size, at)
    names = said.marks()
    assert names == [*possible(ROLES), "right", "wrong"]
    seen = {names[mark] for mark in marks if mark != answers.NO_LABEL}
    assert seen == {"refusal", "harmful", "harmless", "incoherent", "right", "wrong"}
    assert answers.NO_LABEL in marks, "a response that a judge missed has no outcome"


@pytest.mark.parametrize(
    "names", [OUTCOMES, WITHOUT_HARM, ("refusal", "harmful", "harmless", "hard", "off_target", "rare")]
)
def test_outcomes_differ_in_letter_and_colour(names):
    found = study.marks([*names, "right", "wrong"], "vqa_accuracy")
    assert len({one["letter"] for one in found}) == len({one["colour"] for one in found}) == len(found)
    assert all(len(one["letter"]) == 1 for one in found)
    assert found[0] | {"colour": ""} == {
        "id": "refusal",
        "word": "refusal",
        "metric": "refusal",
        "letter": "R",
        "colour": "",
    }


def saved(folder, images):
    """Prompts of one cluster with these images, and the checksums of their files, both by name."""
    prompts, sums = [], {}
    for name, pixels in images.items():
        Image.fromarray(pixels).save(folder / f"{name}.png")
        sums[name] = file_digest(folder / f"{name}.png")
        prompts.append((Prompt(name, "set", "?", f"{name}.png", sums[name], "harmful", "c"), folder))
    return prompts, sums


def test_images_keep_their_pixels_and_twins_their_difference(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    twin, other = noise.copy(), noise[::-1].copy()
    twin[32:, :8] = 7
    prompts, sums = saved(tmp_path, {"hazard": noise, "twin": twin, "other": other, "again": noise})
    pictures = Pictures()
    pictures.add(prompts)
    hazard, part, whole = pictures.listed
    assert (
        "of" not in hazard
        and "of" not in whole
        and pictures.number
        == {
            sums["hazard"]: 0,
            sums["twin"]: 1,
            sums["other"]: 2,
        }
    )
    assert (part["of"], part["x"], part["y"]) == (0, 0, 32)
    text = "".join(pictures.text)
    cut = Image.open(io.BytesIO(base64.b64decode(text[part["at"] : part["at"] + part["length"]])))
    rebuilt = noise.copy()
    rebuilt[32:, :8] = np.asarray(cut)
    assert (rebuilt == twin).all()
    assert (
        difference(noise, noise) is None and difference(noise, noise[:20]) is None and difference(noise, other) is None
    )


def test_an_image_that_is_lost_or_another_is_left_out(tmp_path):
    draw = np.random.default_rng(0)
    images = {name: draw.integers(0, 256, (40, 40, 3), dtype=np.uint8) for name in ("lost", "changed", "there")}
    prompts, sums = saved(tmp_path, images)
    (tmp_path / "lost.png").unlink()
    Image.fromarray(images["there"]).save(tmp_path / "changed.png")
    pictures = Pictures()
    pictures.add(prompts)
    assert pictures.number == {sums["there"]: 0} and len(pictures.listed) == len(pictures.text) == 1


def test_a_table_comes_back_row_by_row():
    frame = pd.DataFrame({"name": ["a", "a", "b", ""], "layer": [1, None, 3, 0], "value": [0.5, np.nan, -1.25, 1e-300]})
    packed = json.loads(json.dumps(tables.table(frame.astype({"layer": "Int64"}))))
    assert packed["name"] == {"values": ["a", "b", ""], "codes": [0, 0, 1, 2]} or packed["name"] == ["a", "a", "b", ""]
    assert packed["layer"] == [1, None, 3, 0] and packed["value"] == [0.5, None, -1.25, 1e-300]


@pytest.mark.parametrize(
    ("dataset", "shown"),
    [
        ({"builder": "world", "options": {"cue": "deep"}}, {"invented": True, "pictures": True}),
        (
            {"builder": "advbench_coco", "licences": ["MIT", "one for each image"]},
            {"invented": False, "pictures": False},
        ),
        ({"builder": "behaviours", "licences": ["MIT", "MIT"]}, {"invented": False, "pictures": True}),
        ({"builder": "behaviours", "licences": ["MIT", None]}, {"invented": False, "pictures": False}),
        ({"builder": "advbench_coco", "licences": [None], "image": "noise"}, {"invented": False, "pictures": True}),
    ],
)
def test_what_may_be_shown_follows_from_builder_and_licences(dataset, shown):
    given = dict(dataset)
    licences = given.pop("licences", [])
    sources = {
        f"s{i}": Source(kind="url", url="https://example.org/x", sha256="0" * 64, license=one)
        for i, one in enumerate(licences)
    }
    assert aggregates.may_show(Dataset(display="x", sources=sources, **given)) == shown


def test_the_first_seeds_of_each_arm_are_told_apart():
    listed = [{"id": "m", "arm": arm, "name": f"{arm}{seed}"} for seed in range(5) for arm in ("a", "b")]
    assert contents.few_seeds(listed) == [True] * 6 + [False] * 4


def test_compression_has_no_time():
    text = compressed(b"x" * 1000)
    assert text == compressed(b"x" * 1000) and gzip.decompress(base64.b64decode(text)) == b"x" * 1000
