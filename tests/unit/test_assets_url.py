"""Plain files, fetched from a server on this machine that misbehaves to order."""

import fcntl
import hashlib
import os
from types import SimpleNamespace

import pytest

from hub import Hub, small_files
from layerwise import assets
from layerwise.assets import url
from layerwise.errors import InputError
from layerwise.study.sources import Source

CONTENT = bytes(range(256)) * 100
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server(tmp_path, monkeypatch):
    (tmp_path / "hub" / "files").mkdir(parents=True)
    (tmp_path / "hub" / "files" / "raw data.csv").write_bytes(CONTENT)
    monkeypatch.setenv("LAYERWISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", "hf_canary")
    with Hub(tmp_path / "hub") as hub:
        yield hub


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """The seconds that were slept, without sleeping."""
    slept = []
    monkeypatch.setattr("time.sleep", slept.append)
    return slept


def source(server, **keys):
    return Source(**{"kind": "url", "url": f"{server.endpoint}/files/raw%20data.csv", "sha256": SHA256, **keys})


def explains(server, *words, **keys):
    with pytest.raises(InputError) as caught:
        assets.fetch("raw", source(server, **keys))
    for word in ("asset 'raw'", *words):
        assert word in str(caught.value)


def part(tmp_path):
    return tmp_path / "cache" / "url" / SHA256[:16] / "raw data.csv.part"


def ranges(server):
    return [headers.get("range") for headers in server.asked("/files/")]


def test_the_receipt_describes_the_file_and_is_the_same_again(server, tmp_path):
    first = assets.fetch("raw", source(server, license="CC-BY-4.0"))
    assert first.files == (assets.File("raw data.csv", len(CONTENT), SHA256),)
    assert (first.license, first.revision, first.bytes) == ("CC-BY-4.0", None, len(CONTENT))
    assert assets.dumps(assets.fetch("raw", source(server, license="CC-BY-4.0"))) == assets.dumps(first)
    assert len(server.asked("/files/")) == 1, "what is whole in the cache needs no network"
    assert "authorization" not in server.asked("/files/")[0]
    receipt = tmp_path / "raw.json"
    receipt.write_text(assets.dumps(first))
    assert assets.resolve(receipt).read_bytes() == CONTENT


def test_a_cut_transfer_goes_on_where_it_stopped(server, waits):
    server.cut("/files/", after=10_000)
    server.cut("/files/", after=5_000)
    assert assets.fetch("raw", source(server)).bytes == len(CONTENT)
    assert ranges(server) == [None, "bytes=10000-", "bytes=15000-"]
    assert waits == [1.0, 1.0], "a transfer that moves is not slowed down more and more"


def test_a_killed_fetch_goes_on_where_it_stopped(server, tmp_path):
    part(tmp_path).parent.mkdir(parents=True)
    part(tmp_path).write_bytes(CONTENT[:7000])
    assert assets.fetch("raw", source(server)).bytes == len(CONTENT)
    assert ranges(server) == ["bytes=7000-"]


def test_a_fetch_killed_just_before_the_end_needs_no_network(server, tmp_path):
    part(tmp_path).parent.mkdir(parents=True)
    part(tmp_path).write_bytes(CONTENT)
    assert assets.fetch("raw", source(server)).bytes == len(CONTENT)
    assert ranges(server) == []


@pytest.mark.parametrize("size", [7000, len(CONTENT) + 5], ids=["shorter", "longer"])
def test_the_half_of_another_version_is_thrown_away(server, tmp_path, size):
    part(tmp_path).parent.mkdir(parents=True)
    part(tmp_path).write_bytes(b"x" * size)
    assert assets.fetch("raw", source(server)).bytes == len(CONTENT)
    assert ranges(server)[-1] is None


def test_a_server_without_resume_sends_the_whole(server, tmp_path, monkeypatch):
    monkeypatch.setattr("hub._Handler.transfer", lambda self, content, headers: self.answer(200, content, headers))
    part(tmp_path).parent.mkdir(parents=True)
    part(tmp_path).write_bytes(CONTENT[:7000])
    assert assets.fetch("raw", source(server)).bytes == len(CONTENT)
    assert len(ranges(server)) == 1


def test_one_process_at_a_time_fetches_an_asset(server, monkeypatch):
    held = []

    def download(address, sha256, target):
        other = os.open(target.parent, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(other)
        held.append(target.name)
        target.write_bytes(CONTENT)

    monkeypatch.setattr(url, "_download", download)
    assets.fetch("raw", source(server))
    assert held == ["raw data.csv"]


def test_a_half_made_file_never_counts_as_present(server, tmp_path):
    server.cut("/files/", after=5, times=1000)
    server.fail("/files/", 503, times=1000)
    explains(server, "503", "resumes where it stopped")
    assert not part(tmp_path).with_name("raw data.csv").exists()


def test_a_busy_server_is_waited_for_as_it_tells(server, waits):
    server.fail("/files/", 429, Retry_After="7")
    server.fail("/files/", 503)
    assets.fetch("raw", source(server))
    assert waits == [7.0, 2.0]


def test_attempts_have_a_limit(server, waits):
    server.fail("/files/", 503, times=1000)
    explains(server, "503", f"{url.ATTEMPTS} attempts", "network")
    assert len(ranges(server)) == url.ATTEMPTS
    assert waits == [1.0, 2.0, 4.0, 8.0]


def test_a_wait_beyond_the_limit_is_refused_at_once(server, waits):
    server.fail("/files/", 503, Retry_After="86400")
    explains(server, "86400 s")
    assert waits == []


def test_a_server_that_does_not_answer_is_named(server):
    explains(server, "http://127.0.0.1:9/x", "refused", "network", url="http://127.0.0.1:9/x")


@pytest.mark.parametrize(("status", "words"), [(404, "gone (404)"), (410, "'url'"), (403, "403")])
def test_what_no_second_attempt_mends_is_an_error_at_once(server, status, words):
    server.fail("/files/", status)
    explains(server, words)
    assert len(ranges(server)) == 1


def test_a_wrong_checksum_shows_both_and_leaves_nothing(server, tmp_path):
    explains(server, SHA256, "a" * 64, "'sha256'", sha256="a" * 64)
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_a_file_spoilt_in_the_cache_is_fetched_again(server, tmp_path):
    receipt = assets.fetch("raw", source(server))
    there = tmp_path / "cache" / receipt.folder / "raw data.csv"
    there.write_bytes(CONTENT[::-1])
    assert assets.fetch("raw", source(server)) == receipt
    assert there.read_bytes() == CONTENT


def test_a_disk_that_fills_up_is_named(server):
    with small_files(10_000):
        explains(server, "File too large", "Free space", "LAYERWISE_CACHE")
    assert len(ranges(server)) == 1


def test_a_file_larger_than_the_disk_is_refused_before_it_is_fetched(server, monkeypatch, tmp_path):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=100))
    explains(server, "not enough space", "LAYERWISE_CACHE")
    assert not part(tmp_path).exists()


def test_a_cache_that_cannot_be_made_is_named(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LAYERWISE_CACHE", str(tmp_path / "file"))
    explains(server, "cannot write to the cache", "LAYERWISE_CACHE")


def test_the_cache_lies_where_the_user_s_caches_lie(monkeypatch, tmp_path):
    monkeypatch.delenv("LAYERWISE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert url.root() == tmp_path / "unfair-alignment"


def test_the_first_digits_of_a_checksum_will_do(server):
    assert assets.fetch("raw", source(server, sha256=SHA256[:8])).files[0].sha256 == SHA256
    explains(server, SHA256, "aaaaaaaa", sha256="aaaaaaaa")
