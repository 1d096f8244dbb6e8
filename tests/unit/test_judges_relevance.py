"""The judge of relevance, on a tiny model whose scores a neighbour in the batch would change."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from judges import make
from layerwise.errors import InputError
from layerwise.judging import rows
from layerwise.judging.weights import SUMS, record_checksums
from layerwise.records import Answer, Prompt, Response

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "boat", "fold", "paper", "no", "sink", "sail"]
# What each word adds to the logit: talk of boats is relevant, "no" is not.
WEIGHTS = [0, 0, 0, 0, 9.0, 3.3, 1.7, -40.0, 0.9, 0.01]
OPTIONS = {"threshold": 0.9, "request_tokens": 4, "response_tokens": 7}


def model() -> bytes:
    """ids -> weights of the words, quantised by the range of the whole batch -> mean over those of the response."""
    table = numpy_helper.from_array(np.array(WEIGHTS, np.float32), "table")
    axes = numpy_helper.from_array(np.array([1], np.int64), "axes")
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["weights"]),
        helper.make_node("DynamicQuantizeLinear", ["weights"], ["q", "scale", "zero"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["coarse"]),
        helper.make_node("Cast", ["token_type_ids"], ["said"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["attention_mask"], ["there"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["coarse", "said"], ["of_response"]),
        helper.make_node("Mul", ["of_response", "there"], ["seen"]),
        helper.make_node("ReduceMean", ["seen", "axes"], ["logits"], keepdims=0),
        helper.make_node("Unsqueeze", ["logits", "axes"], ["out"]),
    ]
    names = ("input_ids", "attention_mask", "token_type_ids")
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["rows", "tokens"]) for name in names]
    outputs = [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["rows", 1])]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, [table, axes])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(made)
    return made.SerializeToString()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkpoint: the model, a tokenizer that knows ten words and would pad and cut, and their checksums."""
    folder = tmp_path_factory.mktemp("relevance")
    (folder / "model.onnx").write_bytes(model())
    tokenizer = {
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 5, "strategy": "LongestFirst", "stride": 0},
        "padding": {
            "strategy": {"Fixed": 12},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": "[PAD]",
        },
        "added_tokens": [],
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": {word: id for id, word in enumerate(WORDS)}, "unk_token": "[UNK]"},
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    record_checksums(folder)
    return folder


@pytest.fixture(scope="module")
def judge(folder):
    return make("relevance", [folder / "model.onnx"], **OPTIONS)


def pair(request: str, response: str) -> tuple[Prompt, Response]:
    prompt = Prompt("p", "boats", request, None, None, "harmful", "c")
    return prompt, Response("k", "p", "model", 3, response, 3, "stop")


FOLD, REFUSE = pair("Fold a paper boat", "fold paper sail"), pair("Fold a paper boat", "no")


def test_a_response_to_the_request_is_an_answer_and_another_a_refusal(judge):
    (said, high), (refused, low) = judge([FOLD, REFUSE])
    assert (said, refused) == ("answer" if high >= 0.9 else "refusal", "refusal")
    assert 0 <= low < 0.1 < high <= 1
    assert rows.ask(judge, "relevance", [FOLD, REFUSE]) == [Answer(said, high), Answer(refused, low)]


def test_the_threshold_decides_the_label_and_not_the_score(folder, judge):
    ((_, score),) = judge([FOLD])
    for threshold, label in ((score, "answer"), (score + 1e-6, "refusal")):
        other = make("relevance", [folder / "model.onnx"], **OPTIONS | {"threshold": threshold})
        assert other([FOLD]) == [(label, score)]


def test_a_verdict_does_not_depend_on_its_neighbours(folder, judge):
    alone = [judge([one])[0] for one in (FOLD, REFUSE)]
    assert judge([FOLD, REFUSE]) == alone
    assert judge([REFUSE, FOLD, REFUSE]) == [alone[1], alone[0], alone[1]]
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    rows = [judge.tokens(prompt.text, response.text) for prompt, response in (FOLD, pair("fold", "no no no no no no"))]
    names = ("input_ids", "attention_mask", "token_type_ids")
    parts = [[ids, [1] * len(ids), types] for ids, types in rows]
    together = {name: np.array([part[place] for part in parts]) for place, name in enumerate(names)}
    (logits,) = session.run(None, together)
    assert abs(1 / (1 + np.exp(-logits[0, 0])) - alone[0][1]) > 1e-5, "this model would show a dependence"


def test_what_is_too_long_is_cut_at_its_end(judge):
    ids, types = judge.tokens("fold paper", "boat " * 30)
    assert types == [0] * 4 + [1] * 8
    assert [WORDS[id] for id in ids[:4]] == ["[CLS]", "fold", "paper", "[SEP]"] and WORDS[ids[-1]] == "[SEP]"
    assert judge([pair("fold paper", "boat " * 7 + "no")]) == judge([pair("fold paper", "boat " * 7 + "sink")])
    assert judge([pair("fold paper", "boat " * 6 + "no")]) != judge([pair("fold paper", "boat " * 6 + "sink")])
    ids, types = judge.tokens("fold " * 30, "no")
    assert types.count(0) == 6 and WORDS[ids[-2]] == "no"


def test_an_empty_response_has_a_score(judge):
    ((label, score),) = judge([pair("fold", "")])
    assert label == "refusal" and 0 <= score <= 1


def test_changed_weights_are_refused(folder, tmp_path):
    for name in ("model.onnx", "tokenizer.json", SUMS):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "tokenizer.json").write_text((folder / "tokenizer.json").read_text().replace("sail", "tail"))
    with pytest.raises(InputError, match=r"checksum mismatch: .*tokenizer\.json"):
        make("relevance", [tmp_path / "model.onnx"])
