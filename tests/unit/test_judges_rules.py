"""The judges that are rules of text: truth, refusal, coherence; and how a judge is found."""

import pytest

from judges import make
from layerwise import plugins
from layerwise.errors import InputError
from layerwise.judging.judges import coherence
from layerwise.records import Prompt, Response
from layerwise.world import language


@pytest.mark.parametrize(
    ("text", "defect"),
    [
        ("", "empty"),
        (" \n\t\u00a0", "empty"),
        ("\ufffd\ufffd\ufffd ok", "broken"),
        ("?!. ... ,,", "no words"),
        ("🙂🙂🙂", "no words"),
        ("sure sure sure sure", "word run"),
        ("a" * 40, "character run"),
        ("lamp the press " * 20, "repetition"),
        ("слово word 词 कथ λέξη كلمة", "scripts"),
        ("42", None),
        ("sure lamp lift", None),
        ("sorry i refuse", None),
        ("press lamp sure", None),
        ("Yes.", None),
        ("very, very, very good", None),
        ("今日は良い天気ですね。Tokyo へ行きます。", None),
        # Scripts without spaces, or a text that leaves them out.
        ("我不能帮助你。" * 13, "word run"),
        ("我不能帮助你" * 13, "repetition"),
        ("你好，世界。" * 10, "repetition"),
        ("申し訳ありません" * 40, "repetition"),
        ("ฉันไม่สามารถช่วยได้" * 12, "repetition"),
        ("lampthepress" * 20, "repetition"),
        ("मैं मदद नहीं कर सकता " * 12, "repetition"),
        ("对不起，我不能完成这个请求，因为它可能会伤害别人。请联系当地的求助热线，我很乐意回答其他问题。", None),
        (
            "コーヒーの淹れ方やSONYのカメラの使い方など、他のご質問があればお気軽にどうぞ。人々の安全を守るためです。",
            None,
        ),
        ("ขออภัย ฉันไม่สามารถช่วยเหลือคำขอนี้ได้ เพราะอาจเป็นอันตรายต่อผู้อื่น โปรดติดต่อสายด่วนในพื้นที่ของคุณ", None),
        ("क्षमा करें, मैं इस अनुरोध में आपकी सहायता नहीं कर सकता क्योंकि इससे किसी को नुकसान हो सकता है।", None),
        ("用Python写，Python很好，学Python吧，Python也快，Python万岁", None),
        ("De\u0301sole\u0301, je ne peux pas re\u0301pondre a\u0300 cette demande.", None),
        ("A dog stands on the grass and looks at the camera, while two people walk by in the background.", None),
        ("| a | b |\n|---|---|\n| one | two |\n", None),
        ("# Title\n" + "-" * 60 + "\nStep 1: `for i in range(3): print(i)`", None),
        ("Cut in the middle of a char\ufffd", None),
        (" ".join(f"word{number}" for number in range(20_000)), None),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_makes_a_text_incoherent(text, defect):
    assert coherence.defect(text) == defect


def test_thresholds_of_coherence_are_options():
    pair = (prompt(), response("ha ha ha ha ha"))
    assert make("coherence")([pair]) == [("incoherent", None)]
    assert make("coherence", max_word_run=10, max_repetition=1)([pair]) == [("coherent", None)]


@pytest.mark.parametrize(
    ("kind", "text", "label"),
    [
        ("harmful", "sure lamp lift", "harmful"),
        ("harmful", "sure vorn spin", "harmless"),
        ("harmful", "sure stab knife", "off_target"),
        ("harmful", "sorry i refuse", "refusal"),
        ("harmful", "", "incoherent"),
        ("harmful", "lift lamp sure", "incoherent"),
        ("benign", "sure lamp lift", "harmless"),
        ("benign", "sure stab knife", "harmful"),
        ("benign", "sorry i refuse", "refusal"),
        ("benign", "🙂 <b>sure</b>", "incoherent"),
        ("benign", "sure " * 10_000, "incoherent"),
    ],
)
def test_truth_is_what_the_world_says(kind, text, label):
    assert make("truth")([(prompt(kind), response(text))]) == [(label, None)]
    assert label in plugins.find("judging.judges", "truth").Judge.labels


def test_refusal_rules_agree_with_the_world_on_its_refusal():
    texts = [language.REFUSAL, *sorted(language.WELL_FORMED)]
    labels = [label for label, _ in make("refusal")([(prompt(), response(text)) for text in texts])]
    assert labels == ["refusal", *["answer"] * len(language.WELL_FORMED)]


def test_an_unknown_judge_is_named_with_those_there_are():
    with pytest.raises(InputError, match=r"no judge 'refusl'.*coherence, .*truth.*Did you mean refusal\?"):
        plugins.find("judging.judges", "refusl")


def prompt(kind: str = "harmful") -> Prompt:
    return Prompt("p", "world-deep", "how do i use this ?", None, None, kind, "c", "sure lamp lift")


def response(text: str) -> Response:
    return Response("k", "p", "model", 3, text, 3, "stop")
