"""`plan --check`: what hub, server and package index on this machine say of an experiment's sources, unfetched."""

import os

import pytest
import yaml
from huggingface_hub import constants

from commands import plan
from hub import Hub
from layerwise.assets import wheel
from layerwise.errors import InputError
from wheels import build, publish

TOKEN = "hf_canary"


@pytest.fixture
def hub(tmp_path):
    root = tmp_path / "hub"
    for repo in ("acme/tiny", "acme/guard"):
        (root / repo).mkdir(parents=True)
        (root / repo / "config.json").write_text("{}")
        (root / repo / "model.safetensors").write_bytes(bytes(3_000_000))
        (root / repo / "unwanted.bin").write_bytes(bytes(9_000_000))
    folder = root / "files" / "simple" / "acme-data"
    folder.mkdir(parents=True)
    build(folder, {"acme_data/rows.csv": b"id,prompt,label\n"})
    publish(folder)
    (root / "files" / "rows.csv").write_bytes(bytes(2_000_000))
    with Hub(root) as hub:
        yield hub


@pytest.fixture
def config(hub, tmp_path):
    """An experiment with a source of each kind; one is gated, one has a mirror."""
    weights = {"kind": "hub", "revision": hub.revision("acme/tiny"), "files": ["*.json", "*.safetensors"], "size_mb": 3}
    rows = {"kind": "url", "url": f"{hub.endpoint}/files/rows.csv", "sha256": "a" * 64, "license": "MIT"}
    member = {"kind": "wheel", "package": "acme-data", "version": "1.0", "member": "acme_data/rows.csv"}
    data = {"display": "Rows", "builder": "xstest", "size": 5}
    guard = {**weights, "repo": "acme/guard", "revision": hub.revision("acme/guard"), "gated": True, "size_mb": 14000}
    roles = {"refusal": "refusal", "coherence": "coherence", "harm": "guard"}
    files = {
        "trial.yaml": {
            "title": "A trial",
            "models": ["tiny"],
            "layers": [1, 3],
            "datasets": ["plain", "packed"],
            "judges": ["guard", "refusal", "coherence"],
            "outcome": roles,
            "responses_per_second": 2,
        },
        "models/tiny.yaml": {
            "display": "Tiny",
            "family": "llava",
            "blocks": 4,
            "default_layer": 3,
            "source": {**weights, "repo": "acme/tiny"},
        },
        **{f"judges/{name}.yaml": {"display": name, "judge": name} for name in ("refusal", "coherence")},
        "judges/guard.yaml": {"display": "Guard", "judge": "guard", "source": guard},
        "datasets/plain.yaml": {**data, "sources": {"prompts": {**rows, "mirrors": [member]}}},
        "datasets/packed.yaml": {**data, "sources": {"prompts": {**member, "sha256": "b" * 64}}},
    }
    for name, values in files.items():
        path = tmp_path / "config" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(values))
    return tmp_path / "config"


@pytest.fixture
def asked(hub, config, tmp_path, monkeypatch, capsys):
    """A function that runs the command: the line of each source, and the error at the end if there is one."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "HF_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.chdir(tmp_path)
    settings = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1", "PIP_RETRIES": "0"}
    settings |= {"LAYERWISE_CACHE": str(tmp_path / "cache"), "HF_ENDPOINT": hub.endpoint}
    settings |= {"PIP_INDEX_URL": f"{hub.endpoint}/files/simple"}

    def ask(**environment):
        wheel._index.cache_clear()
        for name, value in {**settings, **environment}.items():
            monkeypatch.setenv(name, value)
        said = ""
        try:
            plan.main(["--experiment", "trial", "--check"])
        except InputError as error:
            said = str(error)
        lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("  ok ", "  FAILS "))]
        names = [line.split(":")[0].split(maxsplit=1)[1] for line in lines]
        return dict(zip(names, lines, strict=True)), said

    return ask


def test_every_source_is_asked_and_none_fetched(hub, asked, tmp_path):
    hub.gated["acme/guard"] = {TOKEN}
    lines, said = asked(HF_TOKEN=TOKEN)
    assert said == ""
    assert set(lines) == {"tiny", "guard", "plain.prompts", "plain.prompts (mirror)", "packed.prompts"}
    assert all(line.startswith("  ok ") for line in lines.values())
    assert "4 MB; acme/tiny on the model hub" in lines["tiny"], "what it needs of the repository, and no more"
    assert "gated, and HF_TOKEN opens it; key 'size_mb' says 14000" in lines["guard"]
    assert f"2 MB; {hub.endpoint}/files/rows.csv" in lines["plain.prompts"]
    assert "1 MB; the package acme-data 1.0" in lines["packed.prompts"]
    assert not (tmp_path / "cache").exists()
    sent = [path for verb, path, _ in hub.requests if verb == "GET"]
    assert not [path for path in sent if path.startswith(("/blob/", "/files/rows")) or path.endswith(".whl")]
    assert [h for h in hub.asked("/files/", "HEAD") if "authorization" in h] == []


def test_what_is_wrong_is_one_line_each_and_an_error_at_the_end(hub, asked, config):
    hub.gated["acme/guard"] = {TOKEN}
    tiny = config / "models" / "tiny.yaml"
    tiny.write_text(tiny.read_text().replace(hub.revision("acme/tiny"), "a" * 40))
    packed = config / "datasets" / "packed.yaml"
    packed.write_text(packed.read_text().replace("version: '1.0'", "version: '1.7'"))
    hub.fail("rows.csv", 404, times=1000)
    lines, said = asked()
    assert f"'{'a' * 40}'. The latest commit of its main branch is {hub.revision('acme/tiny')}" in lines["tiny"]
    assert "is gated and HF_TOKEN is not set. Request access at" in lines["guard"]
    assert "no wheel of acme-data==1.7" in lines["packed.prompts"] and "Available: 1.0" in lines["packed.prompts"]
    assert "FAILS" in lines["plain.prompts"] and "is gone (404)" in lines["plain.prompts"]
    assert lines["plain.prompts (mirror)"].startswith("  ok "), "so this one can be fetched"
    assert said == "3 of 4 cannot be fetched: tiny, guard, packed.prompts."


def test_places_that_do_not_answer_are_lines_too(hub, asked):
    hub.fail("/files/rows.csv", 405, times=1)  # a server that knows only GET
    lines, said = asked(HF_ENDPOINT="http://127.0.0.1:9", PIP_INDEX_URL="http://127.0.0.1:9/simple")
    assert "cannot be fetched from http://127.0.0.1:9" in lines["tiny"]
    assert "no package index could be reached" in lines["packed.prompts"]
    assert "2 MB" in lines["plain.prompts"]
    assert "3 of 4" in said
