"""The official accuracy of visual question answering."""

import itertools

import pytest

from layerwise.errors import InputError
from layerwise.judging.judges import vqa
from layerwise.records import Prompt, Response


@pytest.mark.parametrize(("agreeing", "score"), [(0, 0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1), (10, 1)])
def test_ten_answers_give_the_published_steps(agreeing, score):
    answers = ["red"] * agreeing + [f"other{number}" for number in range(10 - agreeing)]
    assert vqa.accuracy("red", answers) == pytest.approx(score)


@pytest.mark.parametrize("agreeing", range(11))
def test_accuracy_is_the_mean_over_sets_with_one_annotator_left_out(agreeing):
    answers = ["red"] * agreeing + ["blue"] * (10 - agreeing)
    sets = list(itertools.combinations(answers, 9))
    expected = sum(min(1, others.count("red") / 3) for others in sets) / len(sets)
    assert vqa.accuracy("red", answers) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("text", "score"), [("lamp", 1), ("The lamp.", 1), ("vorn", 0), ("", 0), ("lamp vorn", 0)])
def test_a_single_answer_must_match(text, score):
    assert vqa.accuracy(text, ["lamp"]) == score


# What vqaEval.py of github.com/GT-Vision-Lab/VQA makes of these (processPunctuation, then processDigitArticle).
@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The dog", "dog"),
        ("a red, blue and green flag", "red blue and green flag"),
        ("Two", "2"),
        ("none", "0"),
        ("dont know", "don't know"),
        ("don't know", "don't know"),
        ("couldnt've", "couldn't've"),
        ("yall'd've", "y'all'd've"),
        ("well", "well"),
        ("somebody'd", "somebodyd"),
        ("1,000", "1000"),
        ("1.5", "1.5"),
        ("yes.", "yes"),
        ("u.s.a.", "usa"),
        ("black/white", "black white"),
        ("black / white", "black  white".replace("  ", " ")),
        ("t-shirt", "t shirt"),
        ("t -shirt", "t shirt"),
        ("what?", "what"),
        ("line\nbreak\ttab", "line break tab"),
        ("  spaces   everywhere ", "spaces everywhere"),
        ("a", "a"),
        ("The a", "the a"),
        ("?", "?"),
        ("don’t know", "don't know"),
        ("🙂", "🙂"),
        ("", ""),
    ],
)
def test_normalisation_is_the_official_one(text, normal):
    assert vqa.normalise(text) == normal


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("cafe\u0301", "caf\u00e9"),
        ("CAFE\u0301.", "caf\u00e9"),
        ("红色。", "红色"),
        ("红色｡", "红色"),
        ("लाल।", "लाल"),
        ("أحمر؟", "أحمر"),
        ("ቀይ።", "ቀይ"),
        ("ｒｅｄ！", "red"),
        ("٣", "3"),
        ("３", "three"),
        ("한국", "한국"),
        ("twenty–one", "twenty-one"),
        ("«rouge»", "rouge"),
    ],
)
def test_one_answer_in_two_spellings_of_unicode_is_one(text, answer):
    assert vqa.accuracy(text, [answer]) == vqa.accuracy(answer, [text]) == 1


@pytest.mark.parametrize("answer", ["a", "the", "?", ".", "", "。", "red"])
@pytest.mark.parametrize("text", ["", " ", "\n\t"])
def test_an_empty_answer_is_never_right(text, answer):
    assert vqa.accuracy(text, [answer]) == vqa.accuracy(text, [answer] * 10) == 0


@pytest.mark.parametrize(("text", "answer"), [("a", "the"), ("?", "."), ("。", "?"), ("a", "")])
def test_answers_without_words_are_not_all_one(text, answer):
    assert vqa.accuracy(text, [answer]) == 0 and vqa.accuracy(text, [text]) == 1


def test_labels_and_scores():
    judge = vqa.Judge(vqa.Options())
    answers = ["red"] * 2 + ["blue"] * 8
    pairs = [(prompt(answers), response(text)) for text in ("red", "Blue.", "green", "x" * 100_000)]
    assert judge(pairs) == [("correct", pytest.approx(0.6)), ("correct", 1), ("wrong", 0), ("wrong", 0)]
    assert vqa.Judge(vqa.Options(threshold=0.7))(pairs[:1]) == [("wrong", pytest.approx(0.6))]
    assert judge([]) == []


def test_a_question_without_answers_is_an_error():
    with pytest.raises(InputError, match="prompt 'q' has no accepted answers"):
        vqa.Judge(vqa.Options())([(prompt([]), response("red"))])


def prompt(target) -> Prompt:
    return Prompt("q", "vqa", "what colour?", None, None, "vqa", "c", target)


def response(text: str) -> Response:
    return Response("k", "q", "model", 3, text, 1, "stop")
