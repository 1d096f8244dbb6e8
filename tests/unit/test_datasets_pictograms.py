"""Pictures of one thing each, drawn from a font: whatever is drawn follows from the seed, and the caption is true."""

from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

from layerwise.errors import InputError
from layerwise.files import file_digest
from layerwise.prompts.archive import table
from layerwise.prompts.builders import pictograms
from rawfiles import ROOT, spec, write_csv

SHIPPED = ROOT / "config/datasets/pictograms.csv"
FONT = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
ROWS = [{"code_point": f"{ord(letter):X}", "caption": f"the letter {letter}"} for letter in "ABC"]


@pytest.fixture
def path(tmp_path):
    return write_csv(tmp_path / "letters.csv", ROWS)


def built(path, folder, size=7, seed=0, font=FONT, **options):
    wanted = spec("letters", "pictograms", size, **{"file": str(path), "sha256": file_digest(path), **options})
    return pictograms.build(wanted | {"seed": seed}, {"font": font}, folder)


def test_things_take_turns_and_each_picture_is_another(tmp_path, path):
    prompts = built(path, tmp_path)
    targets = [prompt.target for prompt in prompts]
    assert sorted(targets[:3]) == [[row["caption"]] for row in ROWS] and targets[3:6] == targets[:3]
    assert len({prompt.image_sha256 for prompt in prompts}) == len({prompt.cluster for prompt in prompts}) == 7
    assert {prompt.kind for prompt in prompts} == {"vqa"}
    assert [{**prompt.attributes, "target": prompt.target} for prompt in prompts] == [
        {"item": caption, "target": [caption]} for (caption,) in targets
    ]


def test_a_picture_follows_from_seed_and_number_alone(tmp_path, path):
    few, many, others = (
        [prompt.image_sha256 for prompt in built(path, tmp_path / name, size, seed)]
        for name, size, seed in (("few", 3, 0), ("many", 7, 0), ("others", 7, 1))
    )
    assert many[:3] == few and not set(many) & set(others)


def test_a_thing_lies_whole_within_its_picture(tmp_path, path):
    """The ground changes from row to row only; a letter changes a row, and none touches the edge."""
    for prompt in built(path, tmp_path, pixels=64):
        picture = np.asarray(Image.open(tmp_path / prompt.image).convert("RGB")).astype(int)
        assert picture.shape == (64, 64, 3)
        drawn = np.abs(picture - picture[:, :1]).sum(-1) > 0
        assert 0.02 < drawn.mean() < 0.7


def test_a_font_without_the_pictogram_or_no_font_is_refused(tmp_path, path):
    lacking = write_csv(tmp_path / "lacking.csv", [{"code_point": "1F984", "caption": "a unicorn"}])
    with pytest.raises(InputError, match=r"DejaVuSans.ttf: not OpenMoji's font.*no pictogram 1F984.*glyf_colr0"):
        built(lacking, tmp_path)
    with pytest.raises(InputError, match=r"letters.csv: not OpenMoji's font"):
        built(path, tmp_path, font=path)


def test_the_shipped_captions_name_each_thing_once():
    rows = table(SHIPPED, SHIPPED.name, pictograms.COLUMNS, id="code_point")
    captions = [row["caption"] for row in rows]
    assert len(rows) > 100 and len(set(captions)) == len(captions)
    assert all(caption.startswith(("a ", "an ")) and len(caption.split()) <= 4 for caption in captions)
    assert all(int(row["code_point"], 16) > 0x2000 for row in rows)
