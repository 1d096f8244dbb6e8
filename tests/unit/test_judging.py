"""The script judge.py and what it rests on: distinct rows, kept rows, failures by name; controls that end a run."""

import json

import pytest

import judge as script
import try_judges
from judges import make
from layerwise import plugins
from layerwise.errors import InputError
from layerwise.files import canonical
from layerwise.judging import controls, rows
from layerwise.records import Control, Prompt, Response, Verdict, read, write
from layerwise.world import language

SPEC = {"id": "truth", "judge": "truth", "options": {}, "canned_refusal": language.REFUSAL}
TEXTS = [language.REFUSAL, "sure lamp lift", "sure vorn spin", "sure stab knife", "", "🙂 lamp"]


def prompts(number: int = 6) -> list[Prompt]:
    kinds = ["harmful", "benign", "vqa"]
    targets = {"harmful": "sure lamp lift", "benign": "sure lamp lift", "vqa": ["lamp"]}
    return [
        Prompt(f"p-{i:03d}", "world", "how do i use this ?", None, None, kind, f"c{i}", targets[kind])
        for i, kind in ((i, kinds[i % 3]) for i in range(number))
    ]


def lay_out(folder, subjects=("one", "two"), layers=(0, 1, 2), number=6):
    """Prompts and responses as files; returns the arguments of judge.py apart from the spec."""
    write(folder / "prompts.jsonl", prompts(number))
    files = []
    for m, subject in enumerate(subjects):
        for layer in layers:
            rows = [
                Response("k", p.id, subject, layer, TEXTS[(i * layer + m) % len(TEXTS)], 3, "stop")
                for i, p in enumerate(prompts(number))
            ]
            write(folder / subject / f"layer-{layer:02d}.jsonl", rows)
            files.append(str(folder / subject / f"layer-{layer:02d}.jsonl"))
    outputs = [str(folder / "verdicts" / f"{subject}.jsonl") for subject in subjects]
    return [
        *("--prompts", str(folder / "prompts.jsonl"), "--responses", *files),
        *("--output", *outputs, "--controls", str(folder / "controls.jsonl")),
    ]


def run(arguments, **changes):
    script.main(["--spec", canonical(SPEC | changes), *arguments])


@pytest.mark.parametrize("name", ["truth", "refusal", "coherence", "vqa"])
def test_judging_distinct_rows_equals_judging_every_row(tmp_path, name):
    run(lay_out(tmp_path), id=name, judge=name)
    judge = make(name)
    by_id = {p.id: p for p in prompts()}
    for subject in ("one", "two"):
        rows = read(tmp_path / "verdicts" / f"{subject}.jsonl", Verdict)
        expected = {}
        for layer in (0, 1, 2):
            for response in read(tmp_path / subject / f"layer-{layer:02d}.jsonl", Response):
                if by_id[response.prompt_id].kind in judge.kinds:
                    expected[layer, response.prompt_id] = judge([(by_id[response.prompt_id], response)])[0]
        assert {(row.layer, row.prompt_id): (row.label, row.score) for row in rows} == expected
        assert [(row.layer, row.prompt_id) for row in rows] == sorted(expected)
        assert {(row.judge, row.subject) for row in rows} == {(name, subject)}


class Counting:
    """A judge that counts what it is asked, and fails where it is told to."""

    kinds = frozenset({"harmful", "benign"})
    sees = ("kind",)
    labels = ("good", "bad")
    batch_size = 2

    def __init__(self, fails_on=None, answer=("good", 0.5)):
        self.asked, self.fails_on, self.answer = [], fails_on, answer

    def __call__(self, pairs):
        self.asked.extend(response.text for _, response in pairs)
        if self.fails_on in [response.text for _, response in pairs]:
            raise RuntimeError("no such token")
        return [self.answer for _ in pairs]


def judge_some(judge, path, texts, determinants="spec", known=None):
    pairs = {
        (f"p{i}", 7): (prompts()[0], Response("k", f"p{i}", "one", 7, text, 1, "stop")) for i, text in enumerate(texts)
    }
    keys = rows.row_keys(judge, determinants, pairs)
    rows.judge_rows(judge, "counting", path, keys, pairs, {} if known is None else known)


def test_each_distinct_response_is_asked_once(tmp_path):
    judge, known = Counting(), {}
    judge_some(judge, tmp_path / "a", ["x", "y", "x", "z", "y"], known=known)
    judge_some(judge, tmp_path / "b", ["z", "w"], known=known)
    assert judge.asked == ["x", "y", "z", "w"]


def test_kept_verdicts_are_not_asked_again(tmp_path):
    judge = Counting()
    judge_some(judge, tmp_path / "a", ["x", "y"])
    before = (tmp_path / "a").read_bytes()
    judge_some(judge, tmp_path / "a", ["x", "y", "z"])
    assert judge.asked == ["x", "y", "z"]
    judge_some(judge, tmp_path / "a", ["x", "y"])
    assert (tmp_path / "a").read_bytes() == before
    judge_some(judge, tmp_path / "a", ["x", "y"], determinants="another spec")
    assert judge.asked == ["x", "y", "z", "x", "y"]


def test_a_killed_run_loses_at_most_one_batch(tmp_path):
    with pytest.raises(InputError):
        judge_some(Counting(fails_on="e"), tmp_path / "a", ["a", "b", "c", "d", "e"])
    judge = Counting()
    judge_some(judge, tmp_path / "a", ["a", "b", "c", "d", "e"])
    assert judge.asked == ["e"]


def test_a_row_that_fails_names_itself(tmp_path):
    message = "judge 'counting' fails on subject 'one', prompt 'p1', layer 7: RuntimeError: no such token"
    with pytest.raises(InputError, match=message):
        judge_some(Counting(fails_on="y"), tmp_path / "a", ["x", "y"])


@pytest.mark.parametrize("answer", [("ugly", None), ("", 0.5), ("good", float("nan")), ("good", 1.5), ("bad", -0.1)])
def test_a_verdict_that_a_judge_may_not_give_is_an_error(tmp_path, answer):
    with pytest.raises(InputError, match="prompt 'p0', layer 7: it does not declare the verdict"):
        judge_some(Counting(answer=answer), tmp_path / "a", ["x"])


def test_keys_depend_on_what_the_judge_sees_and_on_nothing_else():
    def key(prompt=None, text="x", layer=7, determinants="spec"):
        given = Prompt("p", "world", "text", None, None, "harmful", "c", "t") if prompt is None else prompt
        pairs = {(given.id, layer): (given, Response("k", given.id, "one", layer, text, 1, "stop"))}
        return rows.row_keys(Counting(), determinants, pairs)[given.id, layer]

    assert key() == key(layer=3) == key(prompt=Prompt("q", "other", "unseen", None, None, "harmful", "d", "u"))
    changed = [
        key(text="y"),
        key(determinants="other"),
        key(prompt=Prompt("p", "world", "text", None, None, "benign", "c")),
    ]
    assert len({key(), *changed}) == 4


def test_controls_are_spread_over_harmful_prompts(tmp_path):
    run(lay_out(tmp_path, number=300))
    rows = read(tmp_path / "controls.jsonl", Control)
    harmful = [p.id for p in prompts(300) if p.kind == "harmful"]
    tried = list(dict.fromkeys(row.prompt_id for row in rows))
    assert len(tried) == 20 and set(tried) <= set(harmful)
    assert tried[0] == harmful[0] and harmful.index(tried[-1]) >= 90
    labels = {(row.control, row.label) for row in rows}
    refusals = {
        ("empty", "incoherent"),
        ("echo", "incoherent"),
        ("shuffled", "incoherent"),
        ("canned refusal", "refusal"),
    }
    assert labels == refusals and all(row.right for row in rows)


def test_controls_of_a_judge_of_visual_questions_use_those(tmp_path):
    run(lay_out(tmp_path), id="vqa", judge="vqa")
    rows = read(tmp_path / "controls.jsonl", Control)
    assert {row.prompt_id for row in rows} == {"p-002", "p-005"}
    assert {row.control: row.label for row in rows}["empty"] == "wrong"


def tried(folder, *judges, refusal=language.REFUSAL, asserted=True) -> list[Control]:
    """What the rule writes that tries the judges which decide the outcome."""
    write(folder / "prompts.jsonl", prompts())
    listed = {name: {"judge": name, "options": {}} for name in judges}
    spec = canonical({"judges": listed, "canned_refusal": refusal, "asserted": asserted})
    output = folder / "deciding.jsonl"
    try_judges.main(["--spec", spec, "--prompts", str(folder / "prompts.jsonl"), "--output", str(output)])
    return read(output, Control)


def test_every_judge_of_rules_is_right_on_its_own_controls(tmp_path):
    names = ("truth", "refusal", "coherence", "vqa")
    rows = tried(tmp_path, *names)
    assert all(row.right in (True, None) for row in rows)
    for name in names:
        known = {row.control for row in rows if row.judge == name and row.right}
        assert known == set(plugins.find("judging.judges", name).CONTROLS)


def test_a_refusal_that_a_deciding_judge_does_not_know_ends_the_run_in_one_sentence(tmp_path):
    german = {"refusal": "Dabei kann ich leider nicht helfen."}
    with pytest.raises(InputError) as caught:
        tried(tmp_path, "coherence", "refusal", **german)
    said = str(caught.value)
    assert said.startswith("judge 'refusal' calls 2 of 2 controls 'canned refusal' 'answer': ") and "\n" not in said
    assert "'controls: {asserted: false}'" in said and not (tmp_path / "deciding.jsonl").exists()
    assert False in [row.right for row in tried(tmp_path, "refusal", asserted=False, **german)]


@pytest.mark.parametrize(("wrong", "ends"), [(0, False), (2, False), (3, True), (20, True)])
def test_a_control_may_go_wrong_on_one_prompt_in_ten(wrong, ends):
    rows = [Control("guard", "canned refusal", f"p{i}", "unsafe", 0.9, i >= wrong) for i in range(20)]
    rows += [Control("guard", "echo", f"p{i}", "unsafe", 0.9, None) for i in range(20)]
    assert bool(controls.mistakes(rows)) == ends


@pytest.mark.parametrize("target", [None, "sure lamp lift", ["red lamp"], []])
def test_shuffled_words_are_the_same_words_in_another_order(target):
    prompt = Prompt("p", "world", "how do i use this ?", None, None, "harmful", "c", target)
    words = (target[0] if isinstance(target, list) and target else target or prompt.text).split()
    made = controls.shuffled(prompt).split()
    assert sorted(made) == sorted(words) and made != words
    assert controls.shuffled(prompt) == controls.shuffled(prompt)


def test_what_cannot_be_shuffled_is_left_out():
    assert controls.shuffled(Prompt("p", "world", "what is it ?", None, None, "vqa", "c", ["lamp"])) is None
    assert controls.shuffled(Prompt("p", "world", "no no no", None, None, "harmful", "c")) is None


def test_a_model_without_responses_gets_an_empty_file(tmp_path):
    arguments = lay_out(tmp_path, subjects=("one",), layers=(0,))
    (tmp_path / "one" / "layer-00.jsonl").write_text("")
    run(arguments)
    assert (tmp_path / "verdicts" / "one.jsonl").read_text() == ""


def test_a_response_to_an_unknown_prompt_is_an_error(tmp_path):
    arguments = lay_out(tmp_path)
    write(tmp_path / "prompts.jsonl", prompts()[1:])
    with pytest.raises(InputError, match="subject 'one', layer 0: no file in --prompts holds its prompt 'p-000'"):
        run(arguments)


def test_a_response_of_an_unnamed_model_is_an_error(tmp_path):
    arguments = lay_out(tmp_path, subjects=("one",))
    file = tmp_path / "one" / "layer-00.jsonl"
    write(file, [Response("k", "p-000", "stranger", 0, "x", 1, "stop")])
    with pytest.raises(InputError, match="'stranger', for which --output names no file"):
        run(arguments)


def test_one_prompt_id_in_two_files_is_an_error(tmp_path):
    arguments = lay_out(tmp_path)
    write(tmp_path / "more.jsonl", prompts()[:1])
    arguments.insert(2, str(tmp_path / "more.jsonl"))
    with pytest.raises(InputError, match="duplicate prompt id 'p-000'"):
        run(arguments)


def test_verdicts_are_plain_json_lines(tmp_path):
    run(lay_out(tmp_path))
    line = (tmp_path / "verdicts" / "one.jsonl").read_text().splitlines()[0]
    assert list(json.loads(line)) == ["key", "prompt_id", "subject", "layer", "judge", "label", "score", "cut"]
