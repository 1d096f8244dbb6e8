"""Zip archives that would fill the memory or the disk, or hide something: each is one error."""

import io
import random
import resource
import struct
import zipfile
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest

from layerwise import zips
from layerwise.errors import InputError
from layerwise.prompts.archive import Archive, content, table
from rawfiles import write_zip


@contextmanager
def little_memory(bytes_more: int):
    """Let this process take only so much more memory."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + bytes_more, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def bomb(path: Path, size: int, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        with archive.open("a.csv", "w", force_zip64=True) as stream:
            for _ in range(0, size, 2**20):
                stream.write(bytes(2**20))
    return path


def edited(path: Path, name: str, **values: int) -> Path:
    """The archive with other values for a member, in its directory and before its bytes."""
    raw = bytearray(path.read_bytes())
    places = {"flags": (8, 6, "<H"), "method": (10, 8, "<H"), "size": (24, 22, "<I"), "packed": (20, 18, "<I")}
    central = raw.index(b"PK\x01\x02")
    while bytes(raw[central + 46 : central + 46 + len(name)]).decode() != name:
        central = raw.index(b"PK\x01\x02", central + 4)
    (local,) = struct.unpack_from("<I", raw, central + 42)
    for key, value in values.items():
        in_directory, before, form = places[key]
        struct.pack_into(form, raw, central + in_directory, value)
        struct.pack_into(form, raw, local + before, value)
    path.write_bytes(raw)
    return path


def refused(path: Path, said: str, name: str = "a.csv") -> None:
    with pytest.raises(InputError, match=said):
        Archive(path).read(name)
    with pytest.raises(InputError, match=said):
        table(path, name, ["id"])


def test_a_member_that_expands_too_much_is_refused_before_it_takes_memory(tmp_path):
    path = bomb(tmp_path / "x.zip", 40_000_000)
    with little_memory(20_000_000):
        refused(path, r"x.zip: member 'a.csv' unpacks to 4\d MB from 0.\d+ MB, as a zip bomb does: refused")


def test_a_member_too_large_for_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(zips, "IN_MEMORY", 1000)
    refused(write_zip(tmp_path / "x.zip", {"a.csv": b"id\n" * 500}), "member 'a.csv' unpacks to")
    (tmp_path / "a.csv").write_bytes(b"id\n" * 500)
    with pytest.raises(InputError, match="a.csv: more than .* refused"):
        content(tmp_path / "a.csv", "a.csv")


def test_a_bomb_in_a_bomb_is_opened_no_further_than_its_name(tmp_path):
    inner = bomb(tmp_path / "inner.zip", 20_000_000).read_bytes()
    archive = Archive(write_zip(tmp_path / "x.zip", {"data.zip": inner}))
    assert archive.names == ["data.zip"]
    assert archive.read("data.zip") == inner


def test_a_declared_size_that_is_a_lie_gains_nothing(tmp_path):
    path = edited(bomb(tmp_path / "x.zip", 5_000_000), "a.csv", size=10)
    refused(path, "member 'a.csv' is damaged")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressions_that_no_size_limits_are_refused(tmp_path, method):
    refused(bomb(tmp_path / "x.zip", 1_000_000, method), f"compression other than deflate .number {method}")


@pytest.mark.parametrize(
    ("values", "said"), [({"flags": 1}, "is encrypted"), ({"method": 99}, "number 99"), ({"method": 9}, "number 9")]
)
def test_encrypted_and_unknown_members_are_refused(tmp_path, values, said):
    path = edited(write_zip(tmp_path / "x.zip", {"a.csv": b"id\n1\n", "b.csv": b"id\n2\n"}), "a.csv", **values)
    refused(path, f"member 'a.csv' .*{said}.*: refused")
    assert Archive(path).read("b.csv") == b"id\n2\n", "the others are as good as before"


def test_too_much_in_all_is_refused(tmp_path, monkeypatch):
    path = write_zip(tmp_path / "x.zip", {f"{number}.png": bytes(100) for number in range(5)})
    monkeypatch.setattr(zips, "IN_ALL", 400)
    with pytest.raises(InputError, match=r"x.zip holds 5 files .* in all"):
        Archive(path)
    monkeypatch.setattr(zips, "IN_ALL", 500)
    monkeypatch.setattr(zips, "MOST_MEMBERS", 4)
    with pytest.raises(InputError, match=r"x.zip holds 5 files"):
        Archive(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.csv", b"id\n1\n")
        archive.writestr("a.csv", b"id\n2\n")
    refused(tmp_path / "x.zip", "holds two files 'a.csv'")


def test_a_half_archive_is_one_error(tmp_path):
    raw = write_zip(tmp_path / "x.zip", {f"{number}.csv": bytes(5000) for number in range(9)}).read_bytes()
    (tmp_path / "x.zip").write_bytes(raw[:300] + raw[500:])
    with pytest.raises(InputError, match=r"x.zip: a damaged zip archive|member '0.csv' is damaged"):
        Archive(tmp_path / "x.zip").read("0.csv")


def test_whatever_is_wrong_with_an_archive_or_a_table_is_one_error(tmp_path):
    """Spoilt copies of each: every one is read, or refused by name."""
    rows = b'\xef\xbb\xbfid,prompt,label\r\n1,"hello, you",safe\r\n2,"a ""b""\nc",unsafe\r\n'
    packed = write_zip(tmp_path / "whole.zip", {"a.csv": rows * 20, "d/b.csv": rows}).read_bytes()
    pieces = (b",", b'"', b"\n", b"\r", b"\0", b"\xff", b";", b"\xed\xa0\x80", b"1", b"#", b"\t")
    outcomes = Counter()
    for number in range(150):
        rng = random.Random(number)
        spoilt = bytearray(packed)
        for _ in range(rng.randint(1, 5)):
            spoilt[rng.randrange(len(spoilt))] = rng.randrange(256)
        (tmp_path / "x.zip").write_bytes(spoilt[: rng.randrange(len(spoilt))] if number % 5 == 0 else spoilt)
        text = bytearray(rows)
        for _ in range(rng.randint(1, 4)):
            place = rng.randrange(len(text))
            text[place : place + rng.randint(0, 2)] = rng.choice(pieces)
        (tmp_path / "x.csv").write_bytes(text)
        for path in (tmp_path / "x.zip", tmp_path / "x.csv"):
            try:
                if path.suffix == ".zip":
                    archive = Archive(path)
                    assert all(archive.read(name) for name in archive.names)
                else:
                    table(path, path.name, ["prompt"], id="id")
                outcomes[path.name] += 1
            except InputError as error:
                assert path.name in str(error)
    assert 5 < outcomes["x.zip"] < 100 and 5 < outcomes["x.csv"] < 100, outcomes


@pytest.mark.parametrize("kind", ["tar", "tar.gz"])
def test_other_archives_are_named(tmp_path, kind):
    import tarfile

    device = tarfile.TarInfo("dev/null")
    device.type = tarfile.CHRTYPE
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz" if kind == "tar.gz" else "w") as archive:
        archive.addfile(device)
    (tmp_path / "x.zip").write_bytes(stream.getvalue())
    with pytest.raises(
        InputError, match=f"neither a zip archive nor a folder, but a {'gzip file' if 'gz' in kind else 'tar archive'}"
    ):
        Archive(tmp_path / "x.zip")


def test_links_and_absolute_paths_in_an_archive_lead_nowhere(tmp_path):
    (tmp_path / "secret").write_bytes(b"secret")
    link = zipfile.ZipInfo("a.csv")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(link, str(tmp_path / "secret"))
        archive.writestr(str(tmp_path / "secret"), b"of the archive")
    archive = Archive(tmp_path / "x.zip")
    assert archive.read("a.csv") == str(tmp_path / "secret").encode(), "the link's text, not what it leads to"
    assert archive.read(archive.find("secret")) == b"of the archive"
