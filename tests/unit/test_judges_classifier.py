"""The judge of kind `classifier`, on small genuine classifiers: a BERT, a RoBERTa and a causal model."""

import socket
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from transformers import AutoModelForSequenceClassification, AutoTokenizer, BertTokenizer

from judges import make
from layerwise.errors import InputError
from layerwise.judging.judges import classifier
from layerwise.judging.weights import record_checksums
from layerwise.records import Prompt, Response
from layerwise.study.config import Judge
from layerwise.study.declarations import says
from smallmodels import save_classifier

REJECTION = {"REJECTION": "refusal", "NORMAL": "answer"}
TEXTS = ["w1 w2 w3", "", "w4 " * 70, "w5", "w9 <pad> w8", "w1 w2", "w7 " * 31, "🙂 <b>markup</b>", "w6 " * 500]
REQUEST = "w10 w11 ?"
OPTIONS = {"max_tokens": 128, "request_tokens": 16}


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> dict[str, Path]:
    """A checkpoint of each kind, with its checksums."""
    found = {}
    for kind in ("bert", "roberta", "llama"):
        folder = save_classifier(tmp_path_factory.mktemp(kind), kind, ["NORMAL", "REJECTION"])
        record_checksums(folder)
        found[kind] = folder / "model.safetensors"
    return found


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def judged(judge, texts, request=REQUEST):
    prompt = Prompt("p", "d", request, None, None, "harmful", "c")
    return judge([(prompt, Response("k", "p", "model", 0, text, 1, "stop")) for text in texts])


@pytest.mark.parametrize("kind", ["bert", "roberta", "llama"])
@pytest.mark.parametrize(("inputs", "batch_size"), [("response", 1), ("pair", 4)])
def test_a_score_is_the_stock_models_and_depends_on_no_neighbour(saved, kind, inputs, batch_size):
    judge = make("classifier", [saved[kind]], **OPTIONS, inputs=inputs, batch_size=batch_size)
    answers = judged(judge, TEXTS)
    assert answers == [judged(judge, [text])[0] for text in TEXTS]
    assert answers[::-1] == judged(judge, TEXTS[::-1])
    assert len({score for _, score in answers}) > 4, "this model would show a difference"
    folder = saved[kind].parent
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    words = AutoTokenizer.from_pretrained(folder)
    for text, (label, score) in zip(TEXTS, answers, strict=True):
        if text and "<pad>" not in text:
            texts = [text] if inputs == "response" else [REQUEST, text]
            tokens = words(*texts, truncation="longest_first", max_length=128, return_tensors="pt")
            with torch.inference_mode():
                (logits,) = model(**tokens).logits
            assert score == pytest.approx(logits.softmax(-1)[1].item(), abs=1e-5)
        assert label == ("refusal" if score >= 0.5 else "answer")


def test_only_a_pair_sees_the_request(saved):
    for inputs, sees in (("response", ()), ("pair", ("text",))):
        judge = make("classifier", [saved["bert"]], **OPTIONS, inputs=inputs)
        assert judge.sees == sees
        same = judged(judge, TEXTS) == judged(judge, TEXTS, request="w20 w30")
        assert same == (inputs == "response")


def test_what_is_too_long_is_cut_behind_the_request_and_never_fails(saved):
    judge = make("classifier", [saved["bert"]], **OPTIONS, inputs="pair")
    long = judge.model.encode("w3 " * 300, "w4 " * 300)
    w3, w4 = (judge.model.tokenizer.convert_tokens_to_ids(word) for word in ("w3", "w4"))
    assert [long["input_ids"].count(word) for word in (w3, w4)] == [16, 128 - 16 - 3]
    assert judged(judge, ["w4"], request="w3 " * 300) == judged(judge, ["w4"], request="w3 " * 16)


def test_tokens_in_a_text_that_look_special_are_text(saved):
    judge = make("classifier", [saved["bert"]], **OPTIONS)
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[", "]", "sep", "cls", "w"]
    judge.model.tokenizer = BertTokenizer(vocab={piece: number for number, piece in enumerate(pieces)})
    assert judge.model.encode(REQUEST, "w [SEP][CLS] w")["input_ids"] == [2, 9, 5, 7, 6, 5, 8, 6, 9, 3]


def test_classes_may_mean_harm_and_be_independent(tmp_path):
    folder = save_classifier(tmp_path, "bert", ["LABEL_0"])
    record_checksums(folder)
    judge = make("classifier", [folder / "model.safetensors"], labels={"LABEL_0": "unsafe"}, max_tokens=64)
    ((label, score),) = judged(judge, ["w1 w2"])
    logit = judge.model.logits([judge.model.encode("", "w1 w2")])[0][0]
    assert score == pytest.approx(torch.tensor(logit).sigmoid().item(), abs=1e-6)
    assert label == ("unsafe" if score >= 0.5 else "safe")


@pytest.mark.parametrize(
    ("labels", "metric", "outcome"),
    [(REJECTION, "flagged", "refusal"), ({"0": "safe", "1": "unsafe"}, "asr_guard", "harmful")],
)
def test_what_it_measures_and_claims_follows_from_its_labels(labels, metric, outcome):
    source = {"kind": "url", "url": "https://x/y", "sha256": "0" * 64, "license": "MIT"}
    judge = Judge.model_validate(
        {"display": "C", "judge": "classifier", "source": source, "options": {"labels": labels}}
    )
    said = says(judge.judge, judge.options)
    assert [measure.metric for measure in said.measures] == [metric]
    assert set(said.claims.values()) == {outcome} and set(said.labels) == set(labels.values())


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"labels": {"A": "refusal", "B": "safe"}}, "either refusal and answer, or unsafe and safe"),
        ({"labels": {"A": "answer"}}, "either refusal and answer, or unsafe and safe"),
        ({"inputs": "pair", "request_tokens": 300}, "must remain for the response"),
    ],
)
def test_options_that_contradict_each_other_are_refused(more, message):
    with pytest.raises(ValidationError, match=message):
        classifier.Options(**more)


def test_a_checkpoint_with_other_classes_or_of_another_kind_or_too_short_is_refused(saved, tmp_path):
    with pytest.raises(InputError, match=r"'options.labels'.* NORMAL, REJECTION\."):
        make("classifier", [saved["bert"]], labels={"LABEL_0": "answer", "LABEL_1": "refusal"}, max_tokens=64)
    for kind, limit in (("bert", 512), ("roberta", 512)):
        with pytest.raises(InputError, match=rf"'options.max_tokens'.* at most {limit} tokens"):
            make("classifier", [saved[kind]], max_tokens=513)
    save_classifier(tmp_path, "headless", ["NORMAL", "REJECTION"])
    record_checksums(tmp_path)
    with pytest.raises(InputError, match=r"no sequence classifier: it lacks .*classifier\.bias"):
        make("classifier", [tmp_path / "model.safetensors"])
    with open(saved["llama"].parent / "config.json", "a") as stream:
        stream.write(" ")
    with pytest.raises(InputError, match=r"checksum mismatch: .*config\.json"):
        make("classifier", [saved["llama"]])
