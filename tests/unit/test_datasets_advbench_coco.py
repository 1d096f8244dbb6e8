"""AdvBench-COCO: who is held out, which image stands beside whom, and the list of that for others."""

import hashlib
import zipfile

import pytest

from layerwise.errors import InputError
from layerwise.prompts.archive import table
from layerwise.prompts.builders import advbench_coco
from layerwise.study.config import Dataset
from layerwise.study.yamlfile import read
from rawfiles import ROOT, behaviours, coco, picture, spec, true_file, write_zip

IDS = [139, 285, 632, 724, 776, 785, 802, 872, 885, 1000]
COCO_IDS = [int(line) for line in (ROOT / "tests/data/coco-val2017-ids.txt").read_text().split()]
# The file at its home, and a copy with the targets of three rows interchanged; the behaviours are the same.
ADVBENCH = (
    "6cd1a5c63c07610d7eb67307772ee5606017ee950b5770ab288a2c487489d3e1",
    "5c9d87515c4d431c3614f25a0af7a462eabdfa6035aa35d746e64159823836e3",
)
# sha256 of the 520 behaviours, one a line.
GOALS = "f035131936bb56f411e3a206c189d4ced7196138ed769752751deccd978c0c68"


@pytest.fixture
def sources(tmp_path):
    return {
        "behaviours": behaviours(tmp_path / "harmful_behaviors.csv", 8),
        "coco": coco(tmp_path / "val2017.zip", IDS),
    }


def test_each_behaviour_gets_an_image_of_its_own(tmp_path, sources):
    prompts = advbench_coco.build(spec("advbench-coco", "advbench_coco", held_out=2), sources, tmp_path / "prompts")
    assert len(prompts) == 6
    assert len({p.image_sha256 for p in prompts}) == len({p.cluster for p in prompts}) == 6
    listed = table(sources["behaviours"], "", ["goal"])
    pairs = advbench_coco.pair(8, IDS, 0, 2)
    with zipfile.ZipFile(sources["coco"]) as archive:
        for prompt in prompts:
            row = int(prompt.id.removeprefix("advbench-coco-"))
            raw = archive.read(f"val2017/{pairs[row]:012d}.jpg")
            assert prompt.text == listed[row]["goal"]
            assert prompt.kind == "harmful" and prompt.cluster == f"advbench-{row:03d}"
            assert prompt.image == f"images/advbench-coco/{prompt.id}.jpg"
            assert (tmp_path / "prompts" / prompt.image).read_bytes() == raw
            assert prompt.image_sha256 == hashlib.sha256(raw).hexdigest()
            assert prompt.attributes == {"behaviour": str(row), "photograph": str(pairs[row])}


def test_building_again_gives_the_same_and_a_size_the_first_of_it(tmp_path, sources):
    whole = advbench_coco.build(spec("advbench-coco", "advbench_coco", held_out=2), sources, tmp_path / "a")
    part = advbench_coco.build(spec("advbench-coco", "advbench_coco", size=3, held_out=2), sources, tmp_path / "b")
    assert part == whole[:3]
    assert len(list((tmp_path / "b/images/advbench-coco").iterdir())) == 3


def test_the_shipped_pairing_is_the_one_that_is_built():
    settings = read(ROOT / "config/datasets/advbench-coco.yaml", Dataset)
    rows, held_out = settings.options["rows"], settings.options["held_out"]
    shipped = (ROOT / "config/datasets/advbench-coco-pairs.csv").read_text()
    assert shipped == advbench_coco.pairs_csv(rows, COCO_IDS, settings.seed, held_out)
    assert shipped.count("\n") == 521 and shipped.count(",\n") == 10


def test_too_few_images_are_refused(tmp_path, sources):
    with pytest.raises(InputError, match="8 behaviours, but only 3 images"):
        advbench_coco.build(
            spec("advbench-coco", "advbench_coco", held_out=0),
            {**sources, "coco": coco(tmp_path / "few.zip", IDS[:3])},
            tmp_path,
        )


def test_a_file_cut_short_is_refused(tmp_path, sources):
    with pytest.raises(InputError, match="harmful_behaviors.csv: 8 rows, but key 'options.rows'"):
        advbench_coco.build(spec("advbench-coco", "advbench_coco", rows=520), sources, tmp_path)


def test_a_damaged_photograph_is_named(tmp_path, sources):
    broken = {f"val2017/{id:012d}.jpg": picture(id)[:-300] for id in IDS}
    sources["coco"] = write_zip(tmp_path / "coco.zip", broken)
    with pytest.raises(InputError, match=r"coco\.zip: val2017/000000\d{6}\.jpg: not a complete image"):
        advbench_coco.build(spec("advbench-coco", "advbench_coco", held_out=2), sources, tmp_path)


def test_holding_out_all_is_refused(tmp_path, sources):
    with pytest.raises(InputError, match="key 'options.held_out' leaves out 10 of 8 behaviours"):
        advbench_coco.build(spec("advbench-coco", "advbench_coco"), sources, tmp_path)


def test_another_archive_is_refused(tmp_path, sources):
    other = tmp_path / "other"
    other.mkdir()
    (other / "000139.jpg").write_bytes(b"")
    with pytest.raises(InputError, match="other: no image named like 000000000139.jpg"):
        advbench_coco.build(spec("advbench-coco", "advbench_coco"), {**sources, "coco": other}, tmp_path)


def test_the_true_behaviours(tmp_path):
    path = true_file("advbench/harmful_behaviors.csv", *ADVBENCH)
    sources = {"behaviours": path, "coco": coco(tmp_path / "val2017.zip", COCO_IDS[:510])}
    prompts = advbench_coco.build(spec("advbench-coco", "advbench_coco", rows=520, held_out=10), sources, tmp_path)
    assert len(prompts) == 510 == len({p.text for p in prompts})
    goals = "\n".join(row["goal"] for row in table(path, "", ["goal"]))
    assert hashlib.sha256(goals.encode()).hexdigest() == GOALS
