"""Assets from a hub: a real huggingface_hub against a hub on this machine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants, hf_hub_download

from conftest import ROOT
from hub import Hub, small_files
from layerwise import assets
from layerwise.assets import hub as hub_assets
from layerwise.errors import InputError
from layerwise.study.sources import Source

TOKEN = "hf_canary_that_must_stay_in_the_environment"
WEIGHTS = bytes(range(256)) * 200


@pytest.fixture
def hub(tmp_path, monkeypatch):
    repo = tmp_path / "hub" / "acme" / "tiny"
    (repo / "sub").mkdir(parents=True)
    (repo / "config.json").write_text("{}")
    (repo / "sub" / "vocab.txt").write_text("a\nb\n")
    (repo / "model.safetensors").write_bytes(WEIGHTS)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setenv("LAYERWISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    with Hub(tmp_path / "hub") as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        yield hub


@pytest.fixture
def waits(monkeypatch):
    """The seconds that were slept, without sleeping."""
    slept = []
    monkeypatch.setattr("time.sleep", slept.append)
    return slept


def source(hub, **keys):
    return Source(**{"kind": "hub", "repo": "acme/tiny", "revision": hub.revision("acme/tiny"), **keys})


def explains(hub, *words, **keys):
    with pytest.raises(InputError) as caught:
        assets.fetch("tiny", source(hub, **keys))
    for word in ("asset 'tiny'", *words):
        assert word in str(caught.value)
    return str(caught.value)


def test_the_receipt_names_every_file_and_is_the_same_again(hub):
    first = assets.fetch("tiny", source(hub, license="mit"))
    assert [file.name for file in first.files] == ["config.json", "model.safetensors", "sub/vocab.txt"]
    assert (first.revision, first.license, first.bytes) == (hub.revision("acme/tiny"), "mit", 2 + len(WEIGHTS) + 4)
    hub.requests.clear()
    assert assets.dumps(assets.fetch("tiny", source(hub, license="mit"))) == assets.dumps(first)
    assert hub.requests == [], "what is whole in the cache needs no network"


def test_patterns_choose_the_files(hub):
    receipt = assets.fetch("tiny", source(hub, files=["*.json", "sub/"]))
    assert [file.name for file in receipt.files] == ["config.json", "sub/vocab.txt"]
    assert not hub.asked("model.safetensors")


def test_a_data_set_is_fetched_from_its_own_place(hub):
    data = hub.root / "datasets" / "acme" / "questions"
    data.mkdir(parents=True)
    (data / "rows.csv").write_text("id\n1\n")
    keys = {"repo": "acme/questions", "repo_type": "dataset", "revision": hub.revision("acme/questions", "datasets")}
    receipt = assets.fetch("questions", source(hub, **keys))
    assert receipt.folder.startswith("datasets--acme--questions/")
    assert receipt.source["repo_type"] == "dataset"


def test_a_branch_is_resolved_to_its_commit(hub):
    assert assets.fetch("tiny", source(hub, revision="main")).revision == hub.revision("acme/tiny")


@pytest.mark.parametrize(("token", "words"), [(None, "HF_TOKEN is not set"), ("wrong", "HF_TOKEN has no access")])
def test_gated_names_the_page_and_the_variable(hub, monkeypatch, token, words):
    hub.gated["acme/tiny"] = {TOKEN}
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    explains(hub, "gated", words, f"{hub.endpoint}/acme/tiny")


def test_gated_opens_with_the_token_which_never_leaves_the_hub(hub, monkeypatch):
    hub.gated["acme/tiny"] = {TOKEN}
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assets.fetch("tiny", source(hub))
    assert hub.asked("/resolve/", "HEAD")[0]["authorization"] == f"Bearer {TOKEN}"
    assert [headers for headers in hub.asked("/blob/") if "authorization" in headers] == []


def test_a_refused_token_is_named(hub, monkeypatch):
    hub.fail("/tree/", 401)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert TOKEN not in explains(hub, "refuses access (401)", "HF_TOKEN")


def test_an_unknown_repository_names_the_closest(hub):
    explains(hub, "acme/tinny", "Did you mean acme/tiny?", repo="acme/tinny")


def test_an_unknown_repository_is_named_where_the_hub_has_no_search(hub):
    hub.fail("/api/models?", 403, times=2)
    assert "Did you mean" not in explains(hub, "has no model 'acme/tinny'", repo="acme/tinny")


def test_an_unknown_revision_names_the_tip(hub):
    explains(hub, "a" * 40, hub.revision("acme/tiny"), "'revision'", revision="a" * 40)


def test_a_pattern_without_a_file_names_the_closest(hub):
    files = ["config.json", "modle.safetensors"]
    explains(hub, "modle.safetensors", "Did you mean model.safetensors?", "'files'", files=files)
    explains(hub, "has no file 'weights/*'", "model.safetensors", files=["weights/*"])


def test_a_wildcard_need_not_find_a_file_where_others_do(hub):
    receipt = assets.fetch("tiny", source(hub, files=["*.json", "*.jinja"]))
    assert [file.name for file in receipt.files] == ["config.json"]


def test_a_busy_hub_is_waited_for_as_it_tells(hub, waits):
    hub.fail("/tree/", 429, times=2, Retry_After="7")
    hub.fail("vocab.txt", 503, times=1, Retry_After="3")
    assets.fetch("tiny", source(hub))
    assert [wait for wait in waits if wait >= 7] == [8.0, 8.0]  # huggingface_hub adds a second


def test_a_hub_that_stays_busy_is_given_up(hub, waits):
    hub.fail("/tree/", 503, times=1000, Retry_After="1")
    explains(hub, "503", "run again")
    assert len(hub.asked("/tree/")) < 20


def test_a_wait_beyond_the_limit_is_refused_at_once(hub, waits):
    hub.fail("/tree/", 429, Retry_After="86400")
    explains(hub, "86400 s")
    assert waits == []


def test_offline_with_a_full_cache_works(hub, monkeypatch):
    online = assets.fetch("tiny", source(hub))
    hub.requests.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert assets.fetch("tiny", source(hub)) == online
    assert hub.requests == []


@pytest.mark.parametrize("files", [None, ["*.json", "*.safetensors"]], ids=["all files", "patterns"])
@pytest.mark.parametrize("before", [[], ["config.json"]], ids=["empty cache", "half a cache"])
def test_offline_without_it_says_so(hub, monkeypatch, before, files):
    if before:
        assets.fetch("tiny", source(hub, files=before))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    explains(hub, "incomplete in the cache", "HF_HUB_OFFLINE", os.environ["LAYERWISE_CACHE"], files=files)


@pytest.mark.parametrize("why", ["busy", "unreachable", "offline"])
@pytest.mark.parametrize("files", [["*.json", "*.safetensors"], ["model-*"], None], ids=["two kinds", "shards", "all"])
def test_a_part_of_a_repository_is_never_taken_for_the_whole(hub, monkeypatch, waits, files, why):
    """Another program left a file in the cache, and no list of what there is."""
    for shard in range(1, 6):
        (hub.root / "acme" / "tiny" / f"model-0000{shard}-of-00005.safetensors").write_bytes(WEIGHTS[shard:])
    commit = hub.revision("acme/tiny")
    for name in ("config.json", "model-00001-of-00005.safetensors"):
        hf_hub_download("acme/tiny", name, revision=commit, cache_dir=hub_assets.root(), endpoint=hub.endpoint)
    if why == "busy":
        hub.fail("/tree/", 503, times=1000)
    elif why == "unreachable":
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    else:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    explains(hub, "cannot be checked", "receipt results/assets/tiny.json", "copy the receipt", files=files)
    # When the hub answers again, the rest is fetched: nothing that was refused stands in the way.
    monkeypatch.undo()
    hub._faults.clear()
    monkeypatch.setenv("LAYERWISE_CACHE", str(hub.root.parent / "cache"))
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    names = [file.name for file in assets.fetch("tiny", source(hub, files=files)).files]
    assert sum(name.startswith("model-") for name in names) == 5


def test_a_list_of_files_that_was_kept_is_as_good_as_the_hub(hub, monkeypatch, waits):
    assets.fetch("tiny", source(hub, files=["*.json"]))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert assets.fetch("tiny", source(hub, files=["*.json"])).bytes == 2
    explains(hub, "http://127.0.0.1:9", "run again", files=["*.json", "*.safetensors"])


def test_a_copied_cache_without_links_is_checked_by_size(hub, tmp_path):
    receipt = assets.fetch("tiny", source(hub))
    folder = tmp_path / "cache" / "hub" / receipt.folder
    for name in ("model.safetensors", "config.json"):
        content = (folder / name).read_bytes()
        (folder / name).unlink()
        (folder / name).write_bytes(content)
    assert assets.fetch("tiny", source(hub)) == receipt
    (folder / "model.safetensors").write_bytes(WEIGHTS[:-1])
    assert assets.fetch("tiny", source(hub)) == receipt
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS


def test_a_hub_that_does_not_answer_is_named(hub, monkeypatch, waits):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    explains(hub, "http://127.0.0.1:9", "network")


def test_a_cut_file_goes_on_where_it_stopped(hub, monkeypatch, waits):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    hub.cut("/blob/", after=20_500)
    receipt = assets.fetch("tiny", source(hub))
    assert [headers.get("range") for headers in hub.asked("/blob/")] == [None, "bytes=20000-"]
    assert receipt.files[1].size == len(WEIGHTS)


def test_a_file_spoilt_in_the_cache_is_fetched_again(hub, tmp_path):
    receipt = assets.fetch("tiny", source(hub))
    folder = tmp_path / "cache" / "hub" / receipt.folder
    for name in ("model.safetensors", "config.json"):  # a large file and a small one
        (folder / name).resolve().write_bytes(b"x" * (folder / name).stat().st_size)
    assert assets.fetch("tiny", source(hub)) == receipt


def test_a_wrong_checksum_is_an_error(hub, monkeypatch):
    right = source(hub)
    monkeypatch.setattr(
        "hub._Handler.transfer", lambda self, content, headers: self.answer(200, content[::-1], headers)
    )
    with pytest.raises(InputError, match=r"checksum mismatch: config.json of acme/tiny"):
        assets.fetch("tiny", right)


def test_a_disk_that_fills_up_is_named(hub):
    with small_files(10_000):
        explains(hub, "File too large", "Free space", "LAYERWISE_CACHE")


def test_the_hub_s_own_cache_is_used_where_none_is_chosen(monkeypatch):
    monkeypatch.delenv("LAYERWISE_CACHE", raising=False)
    assert hub_assets.root() == Path(constants.HF_HUB_CACHE)


def test_resolve_finds_the_folder_and_notices_what_is_gone(hub, tmp_path):
    receipt = assets.fetch("tiny", source(hub))
    path = tmp_path / "tiny.json"
    path.write_text(assets.dumps(receipt))
    assert assets.read(path) == receipt
    assert (assets.resolve(path) / "sub" / "vocab.txt").read_text() == "a\nb\n"
    (assets.resolve(path) / "config.json").unlink()
    with pytest.raises(InputError, match=r"config.json is missing from the cache. Delete .*tiny.json"):
        assets.resolve(path)


def test_the_script_leaves_the_token_nowhere(hub, tmp_path):
    hub.gated["acme/tiny"] = {TOKEN}
    spec = json.dumps({"id": "tiny", "source": source(hub).model_dump(), "code": "", "pins": []})
    command = [sys.executable, str(ROOT / "workflow/scripts/fetch.py"), "--spec", spec]
    outputs = ["--output", str(tmp_path / "out" / "tiny.json"), "--costs", str(tmp_path / "out" / "costs.json")]
    home = {"HF_HOME": str(tmp_path / "home"), "HF_DEBUG": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    environment = {**os.environ, **home, "HF_TOKEN": TOKEN}
    for _ in range(2):
        done = subprocess.run([*command, *outputs], env=environment, capture_output=True, text=True, check=True)
        (tmp_path / "log.txt").write_text(done.stdout + done.stderr)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 8
    assert [path for path in written if TOKEN.encode() in path.read_bytes()] == []
    assert json.loads((tmp_path / "out" / "tiny.json").read_text())["bytes"] == 2 + len(WEIGHTS) + 4
