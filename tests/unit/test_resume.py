"""The file that survives a kill: what is kept, what is dropped, and who may write."""

import io
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from conftest import ROOT
from layerwise.errors import InputError
from layerwise.jobs.rows import Rows
from layerwise.records import Response, read


def response(prompt: str, layer: int = 0, key: str = "k", text: str = "sure lamp lift") -> Response:
    return Response(key, prompt, "model", layer, text, 3, "stop")


def wanted(*prompts: str, layer: int = 0, key: str = "k") -> dict:
    return {(prompt, layer): key for prompt in prompts}


def complete(path, keys, text="sure lamp lift"):
    """Compute whatever is missing, one row a batch; returns what had to be computed."""
    with Rows(path, Response, keys) as rows:
        missing = rows.missing
        for prompt, layer in missing:
            rows.append([response(prompt, layer, keys[prompt, layer], text)])
        rows.finish()
    return missing


def test_finished_rows_are_sorted_and_the_partial_file_is_gone(tmp_path):
    path = tmp_path / "rows.jsonl"
    complete(path, {**wanted("b", "a", layer=2), **wanted("c", layer=1)})
    assert [(row.layer, row.prompt_id) for row in read(path, Response)] == [(1, "c"), (2, "a"), (2, "b")]
    assert [file.name for file in tmp_path.iterdir()] == ["rows.jsonl"]


def test_only_new_rows_are_computed_and_unwanted_ones_dropped(tmp_path):
    path = tmp_path / "rows.jsonl"
    complete(path, wanted("a", "b", "c"))
    assert complete(path, wanted("a", "c", "d")) == [("d", 0)]
    assert [row.prompt_id for row in read(path, Response)] == ["a", "c", "d"]


def test_a_changed_key_is_computed_again(tmp_path):
    path = tmp_path / "rows.jsonl"
    complete(path, wanted("a", "b"), text="old")
    keys = {**wanted("a"), **wanted("b", key="other")}
    assert complete(path, keys, text="new") == [("b", 0)]
    assert [row.text for row in read(path, Response)] == ["old", "new"]


def test_partial_rows_are_kept_and_the_bytes_are_those_of_one_run(tmp_path):
    keys = wanted("a", "b", "c")
    whole, broken = tmp_path / "whole.jsonl", tmp_path / "broken.jsonl"
    complete(whole, keys)
    with pytest.raises(RuntimeError), Rows(broken, Response, keys) as rows:
        rows.append([response("b")])
        raise RuntimeError("killed")
    assert not broken.exists()
    assert complete(broken, keys) == [("a", 0), ("c", 0)]
    assert broken.read_bytes() == whole.read_bytes()


def test_a_torn_last_line_costs_that_row_alone(tmp_path):
    path = tmp_path / "rows.jsonl"
    keys = wanted("a", "b", "c")
    with pytest.raises(RuntimeError), Rows(path, Response, keys) as rows:
        rows.append([response("a"), response("b")])
        raise RuntimeError
    partial = tmp_path / "rows.jsonl.partial"
    partial.write_bytes(partial.read_bytes()[:-20])
    with pytest.raises(RuntimeError), Rows(path, Response, keys) as rows:
        assert rows.missing == [("b", 0), ("c", 0)]
        rows.append([response("b")])
        raise RuntimeError
    assert complete(path, keys) == [("c", 0)]


def test_a_file_torn_anywhere_costs_its_last_row_alone(tmp_path):
    path, whole, keys = tmp_path / "rows.jsonl", tmp_path / "whole.jsonl", wanted("a", "b", "c")
    complete(whole, keys)
    text = whole.read_bytes()
    for length in range(len(text)):
        (tmp_path / "rows.jsonl.partial").write_bytes(text[:length])
        # A row that lacks no more than its line's end is whole.
        kept = text[:length].count(b"\n") + text[:length].endswith(b"}")
        assert len(complete(path, keys)) == 3 - kept
        assert path.read_bytes() == text
        path.unlink()


def test_a_batch_is_on_the_disk_before_the_next_one(tmp_path, monkeypatch):
    sizes = []
    monkeypatch.setattr(os, "fsync", lambda handle: sizes.append(os.fstat(handle).st_size))
    with Rows(tmp_path / "rows.jsonl", Response, wanted("a", "b")) as rows:
        for name in "ab":
            rows.append([response(name)])
            assert sizes[-1] == rows.partial.stat().st_size > 0
    assert len(sizes) == 2


@pytest.mark.parametrize("line", ["", "not json", "[]", "3", '{"key": "k"}', '{"surprise": 1}', "\x00\xff"])
def test_a_damaged_former_output_is_computed_again(tmp_path, line):
    path = tmp_path / "rows.jsonl"
    complete(path, wanted("a"))
    path.write_text(line + "\n" + path.read_text())
    assert complete(path, wanted("a", "b")) == [("b", 0)]


@pytest.mark.parametrize("text", ["", "two\nlines", "line\u2028separator \x85", "emoji 🤖", 'quote " and \\'])
def test_any_text_comes_back(tmp_path, text):
    path = tmp_path / "rows.jsonl"
    complete(path, wanted("a"), text=text)
    assert complete(path, wanted("a")) == []
    assert read(path, Response)[0].text == text


def test_a_row_with_another_key_than_asked_for_is_refused(tmp_path):
    with pytest.raises(ValueError, match="row a of layer 0"), Rows(tmp_path / "r", Response, wanted("a")) as rows:
        rows.append([response("a", key="other")])


def test_a_folder_that_cannot_be_made_is_an_input_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"), Rows(tmp_path / "file" / "rows.jsonl", Response, {}):
        pass


HOLDER = """
import signal, sys
sys.path.insert(0, sys.argv[1])
from layerwise.records import Response
from layerwise.jobs.rows import Rows
with Rows(sys.argv[2], Response, {("a", 0): "k", ("b", 0): "k"}) as rows:
    rows.append([Response("k", "a", "model", 0, "by the orphan", 3, "stop")])
    print("holding", flush=True)
    if sys.argv[3] == "finish":
        sys.stdin.readline()
        rows.append([Response("k", "b", "model", 0, "by the orphan", 3, "stop")])
        rows.finish()
    else:
        signal.pause()
"""


def start_holder(path, how: str) -> subprocess.Popen:
    command = [sys.executable, "-c", textwrap.dedent(HOLDER), str(ROOT / "workflow/scripts"), str(path), how]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "holding\n"
    return holder


def test_an_heir_waits_for_the_orphan_and_takes_its_rows(tmp_path, monkeypatch):
    path = tmp_path / "rows.jsonl"
    holder = start_holder(path, "finish")

    class Told(io.StringIO):
        """Standard error: as soon as the heir says on it that it waits, the orphan may go on."""

        def write(self, text: str) -> int:
            if "another process" in text:
                print("go on", file=holder.stdin, flush=True)
            return super().write(text)

    monkeypatch.setattr(sys, "stderr", Told())
    assert complete(path, wanted("a", "b", "c")) == [("c", 0)]
    assert holder.wait() == 0
    assert [row.text for row in read(path, Response)] == ["by the orphan", "by the orphan", "sure lamp lift"]
    assert not (tmp_path / "rows.jsonl.partial").exists()


def test_a_killed_process_loses_nothing_that_it_appended(tmp_path):
    path = tmp_path / "rows.jsonl"
    holder = start_holder(path, "sleep")
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    started = time.monotonic()
    assert complete(path, wanted("a", "b")) == [("b", 0)]
    assert time.monotonic() - started < 5
