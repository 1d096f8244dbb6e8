"""The judges in `config/judges/`: valid, with options that they know, and sources that cannot change unseen."""

import re
from urllib.parse import urlsplit

import pytest

from conftest import ROOT
from layerwise import assets, plugins
from layerwise.assets import url
from layerwise.files import file_digest
from layerwise.study import config, declarations, sources, yamlfile

FILES = sorted((ROOT / "config" / "judges").glob("*.yaml"), key=lambda path: path.stem)


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def settings(request) -> config.Judge:
    return yamlfile.read(request.param, config.Judge)


def test_a_judge_knows_its_options(settings, request):
    found = yamlfile.read(request.node.callspec.params["settings"], config.Judge, declarations.judge_file)
    assert set(found.options.model_dump()) >= set(settings.options)
    has_weights = bool(settings.source or settings.train)
    assert bool(plugins.constant("judging.judges", settings.judge, "WEIGHTS")) == has_weights


def test_a_source_cannot_change_unseen(settings):
    for source in filter(None, (settings.source, settings.base)):
        if source.kind == "hub":
            assert re.fullmatch("[0-9a-f]{40}", source.revision)
            assert source.files and not [name for name in source.files if re.search(r"\.(bin|pth?|ckpt)|\*$", name)]
        elif source.kind == "wheel":
            assert re.fullmatch("[0-9a-f]{64}", source.sha256)
        else:
            named = re.search(r"-([0-9a-f]{8})\.ckpt$", urlsplit(source.url).path)
            assert source.sha256.startswith(named[1])
        assert source.license and source.size_mb


def test_gated_guards_and_others_are_told_apart():
    gated = {path.stem for path in FILES if (source := yamlfile.read(path, config.Judge).source) and source.gated}
    assert gated == {"llama-guard-3-8b", "llama-guard-3-1b", "llama-guard-3-11b-vision", "llama-guard-4-12b"}


def test_the_harmbench_template_has_the_length_of_the_official_one():
    template = yamlfile.read(ROOT / "config/judges/harmbench-cls.yaml", config.Judge).options["template"]
    official = template.removeprefix("<s>").replace("{prompt}", "{behavior}").replace("{response}", "{generation}")
    assert len(official) == 1359


@pytest.mark.parametrize("digits", [8, 16, 64])
def test_the_first_digits_of_a_checksum_will_do(tmp_path, monkeypatch, digits):
    monkeypatch.setenv("LAYERWISE_CACHE", str(tmp_path))
    (tmp_path / "file").write_bytes(b"a checkpoint")
    whole = file_digest(tmp_path / "file")
    folder = tmp_path / "url" / whole[: min(digits, 16)]
    folder.mkdir(parents=True)
    (tmp_path / "file").rename(folder / "toxic.ckpt")
    monkeypatch.setattr(url, "_download", lambda *_: pytest.fail("the file in the cache is the right one"))
    source = sources.Source(kind="url", url="https://x.org/toxic.ckpt", sha256=whole[:digits])
    assert assets.fetch("judge", source).files[0].sha256 == whole
