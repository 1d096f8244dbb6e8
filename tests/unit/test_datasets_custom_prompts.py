"""Custom Prompts: the behaviours that AdvBench-COCO holds out, beside images that it does not use."""

import pytest

from layerwise.prompts.builders import advbench_coco, custom_prompts
from layerwise.study.config import Dataset
from layerwise.study.yamlfile import read
from rawfiles import ROOT, behaviours, coco, spec

IDS = list(range(100, 116))


@pytest.fixture
def sources(tmp_path):
    return {
        "behaviours": behaviours(tmp_path / "harmful_behaviors.csv", 12),
        "coco": coco(tmp_path / "val2017.zip", IDS),
    }


def test_every_behaviour_stands_beside_every_image(tmp_path, sources):
    options = {"held_out": 3, "images": 4}
    prompts = custom_prompts.build(spec("custom-prompts", "custom_prompts", **options), sources, tmp_path)
    assert len(prompts) == 12 == len({(p.text, p.image_sha256) for p in prompts})
    assert len({p.cluster for p in prompts}) == 3 and len({p.image_sha256 for p in prompts}) == 4
    assert all(p.kind == "harmful" and (tmp_path / p.image).stem == p.id for p in prompts)


def test_nothing_is_shared_with_advbench_coco(tmp_path, sources):
    here = custom_prompts.build(spec("custom-prompts", "custom_prompts", held_out=3, images=4), sources, tmp_path)
    there = advbench_coco.build(spec("advbench-coco", "advbench_coco", held_out=3), sources, tmp_path)
    assert {p.cluster for p in here}.isdisjoint(p.cluster for p in there)
    assert {p.cluster for p in here} | {p.cluster for p in there} == {f"advbench-{row:03d}" for row in range(12)}
    assert {p.image_sha256 for p in here}.isdisjoint(p.image_sha256 for p in there)


def test_the_shipped_settings_keep_the_two_apart():
    here, there = (read(ROOT / f"config/datasets/{id}.yaml", Dataset) for id in ("custom-prompts", "advbench-coco"))
    assert (here.seed, here.sources) == (there.seed, there.sources)
    assert here.options["held_out"] == there.options["held_out"] == 10
    assert there.options["rows"] - there.options["held_out"] + here.options["images"] <= 5000


def test_a_size_keeps_whole_behaviours(tmp_path, sources):
    options = {"held_out": 3, "images": 4}
    whole = custom_prompts.build(spec("custom-prompts", "custom_prompts", **options), sources, tmp_path)
    assert custom_prompts.build(spec("custom-prompts", "custom_prompts", 2, **options), sources, tmp_path) == whole[:8]
