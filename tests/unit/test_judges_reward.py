"""The judge of kind `reward`, on a small GPT-2 with one logit: what it reads, what it refuses, what it measures."""

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from hubfiles import reward_model
from judges import make
from layerwise.errors import InputError
from layerwise.judging.judges import reward
from layerwise.judging.rows import ask
from layerwise.judging.weights import record_checksums
from layerwise.records import Prompt, Response
from smallmodels import save_classifier

OPTIONS = {"inputs": "pair", "max_tokens": 128, "request_tokens": 16}
TEXTS = ["fold it", "", "boat " * 70, "no <|endoftext|> no"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gpt2")
    reward_model(folder)
    record_checksums(folder)
    return folder / "model.safetensors"


def pairs(request, texts):
    prompt = Prompt("p", "d", request, None, None, "harmful", "c")
    return [(prompt, Response("k", "p", "model", 0, text, 1, "stop")) for text in texts]


def test_the_score_is_the_stock_models_logit_of_a_dialogue(saved):
    judge = make("reward", [saved], **OPTIONS)
    answers = judge(pairs("fold a boat", TEXTS))
    model = AutoModelForSequenceClassification.from_pretrained(saved.parent).eval()
    words = AutoTokenizer.from_pretrained(saved.parent)
    for text, (label, score) in zip(TEXTS[:3], answers, strict=False):
        asked = "\n\nHuman: fold a boat\n\nAssistant:"
        tokens = words(asked, text, truncation="only_second", max_length=128, return_tensors="pt")
        with torch.inference_mode():
            assert score == pytest.approx(model(**tokens).logits.item(), abs=1e-5)
        assert label == ("high" if score >= 0 else "low")
    assert len({score for _, score in answers}) == 4
    assert answers != judge(pairs("sail a boat", TEXTS))


def test_a_long_request_is_cut_and_its_frame_is_not(saved):
    judge = make("reward", [saved], **OPTIONS)
    (cut,) = (judge.model.encode("boat " * 300, "yes", judge.options.frame)["input_ids"],)
    text = judge.model.tokenizer.decode(cut)
    assert text.startswith("\n\nHuman: boat") and text.endswith("\n\nAssistant:yes")
    assert text.count("boat") < 17


def test_a_reward_may_be_any_number_and_another_judges_score_may_not(saved):
    judge = make("reward", [saved], **OPTIONS)
    judge.model.logits = lambda read: [[-7.25], [3.5]]
    assert [answer.score for answer in ask(judge, "r", pairs("fold", ["a", "b"]))] == [-7.25, 3.5]
    judge.bounds = (0, 1)
    with pytest.raises(InputError, match="score -7.25"):
        ask(judge, "r", pairs("fold", ["a", "b"]))


def test_a_classifier_of_several_classes_is_no_reward_model(tmp_path):
    folder = save_classifier(tmp_path / "bert", "bert", ["NORMAL", "REJECTION"])
    record_checksums(folder)
    with pytest.raises(InputError, match="has 2 logits, and a reward model has one"):
        make("reward", [folder / "model.safetensors"], **OPTIONS)


def test_a_frame_without_the_request_is_refused():
    with pytest.raises(ValueError, match="must contain {request} once"):
        reward.Options(frame="Human:")
