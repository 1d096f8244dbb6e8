"""Records: what is written is read back, a damaged line is named, and writing is whole or not at all."""

import json
import os
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerwise import files, records
from layerwise.errors import InputError
from layerwise.records import Prompt, Response, Verdict

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
ROW = Response("k", "world-deep-0000-hazard", "organism.narrow-none.s1", 3, "sure lamp lift", 3, "stop")


@given(st.builds(Response, TEXT, TEXT, TEXT, st.integers(0, 40), TEXT, st.integers(0, 99), TEXT))
def test_a_row_is_read_back_as_it_was(tmp_path_factory, row):
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    records.write(path, [row, row])
    assert records.read(path, Response) == [row, row]


@pytest.mark.parametrize("line", ["", "{", "[1]", '{"key": "k"}', '{"unknown": 1}'])
def test_a_damaged_line_is_named(tmp_path, line):
    path = tmp_path / "rows.jsonl"
    path.write_text(f"{records.dumps(ROW)}\n{line}\n")
    with pytest.raises(InputError, match=r"rows\.jsonl, line 2"):
        records.read(path, Response)


def test_a_list_of_answers_and_no_image_are_kept(tmp_path):
    row = Prompt("p", "d", "what?", None, None, "vqa", "c", ["a", "b"])
    records.write(tmp_path / "p.jsonl", [row])
    assert records.read(tmp_path / "p.jsonl", Prompt) == [row]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("half \ud83d a face", "half \ufffd a face"),
        ("\udc00", "\ufffd"),
        ("\ud83d\ude00 whole", "\U0001f600 whole"),
        ("\U0001f600 \u0000 \u2028", "\U0001f600 \u0000 \u2028"),
    ],
)
def test_halves_of_characters_are_joined_or_replaced_and_said(tmp_path, capfd, text, written):
    row = Prompt("p-1", "d", text, None, None, "vqa", "c", [text, "b"])
    records.write(tmp_path / "p.jsonl", [row])
    (found,) = records.read(tmp_path / "p.jsonl", Prompt)
    assert (found.text, found.target) == (written, [written, "b"])
    assert ("'p-1' holds half a character" in capfd.readouterr().err) == (text != written)
    # Rows that another program wrote may have them as escapes.
    (tmp_path / "p.jsonl").write_text(json.dumps(vars(row)) + "\n")
    assert records.read(tmp_path / "p.jsonl", Prompt) == [found]


@pytest.mark.parametrize("line", [b'{"key": "\xff"}', b"[" * 100_000, b'{"key": "k",}'])
def test_a_line_that_no_program_reads_is_named(tmp_path, line):
    (tmp_path / "rows.jsonl").write_bytes(records.dumps(ROW).encode() + b"\n" + line + b"\n")
    with pytest.raises(InputError, match=r"rows\.jsonl, line 2"):
        records.read(tmp_path / "rows.jsonl", Response)


def test_equal_values_have_one_text_and_others_another():
    assert files.canonical({"b": 1, "a": [1.5, "ü"]}) == '{"a":[1.5,"ü"],"b":1}'
    assert files.digest({"a": 1, "b": 2}) == files.digest({"b": 2, "a": 1}) != files.digest({"a": 1, "b": 3})


def test_an_error_while_writing_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "rows.jsonl"
    records.write(path, [ROW])
    before = path.read_bytes()
    with pytest.raises(RuntimeError), files.atomic(path) as stream:
        stream.write("half a li")
        raise RuntimeError
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", ["half a line", b"half an image"])
def test_content_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch, content):
    path, order, replace = tmp_path / "file", [], os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: order.append(os.fstat(handle).st_size))
    monkeypatch.setattr(os, "replace", lambda old, new: order.append(new) or replace(old, new))
    with files.atomic(path, binary=isinstance(content, bytes)) as stream:
        stream.write(content)
    assert order == [len(content), path]


def test_the_mode_is_what_the_umask_leaves(tmp_path):
    old = os.umask(0o077)
    try:
        records.write(tmp_path / "rows.jsonl", [ROW])
    finally:
        os.umask(old)
    assert (tmp_path / "rows.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_full_disk_is_named_and_the_old_file_stays(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], capture_output=True).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        path = disk / "verdicts.jsonl"
        row = Verdict("k", "p", "m", 0, "truth", "harmful")
        records.write(path, [row])
        with pytest.raises(InputError, match="verdicts.jsonl: No space left"):
            records.write(path, [row] * 5000)
        assert records.read(path, Verdict) == [row]
        assert list(disk.iterdir()) == [path]
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write .*rows.jsonl: (File exists|Not a directory)"):
        records.write(tmp_path / "file" / "rows.jsonl", [ROW])
