"""AdvBench-COCO: each AdvBench behaviour beside a photograph that has nothing to do with it.

AdvBench (Zou et al. 2023, arXiv 2307.15043) has 520 behaviours. Following arXiv 2411.04291, 10 are held out and each of
the other 510 gets its own MS-COCO image. Which ten, and which images, is not published: here both are drawn with the
data set's `seed` (`prompts.draws.draw`), and `config/datasets/advbench-coco-pairs.csv` lists what seed 0 draws from
COCO val2017. `custom_prompts` with the same seed uses the held-out ten.
"""

from collections.abc import Iterable
from pathlib import Path

from pydantic import Field

from layerwise.errors import InputError
from layerwise.prompts.archive import Archive, attributes, expect, table
from layerwise.prompts.draws import draw
from layerwise.prompts.images import coco_images, save_image
from layerwise.records import Prompt
from layerwise.study.settings import Positive, Settings, Whole

SOURCES = {"behaviours": True, "coco": True}
TWINS = False


class Options(Settings):
    """How the file of behaviours is checked and split."""

    held_out: Whole = Field(10, description="Number of behaviours to hold out.")
    rows: Positive | None = Field(None, description="Number of rows the file must have; if absent, any.")


def kinds(options: Options) -> frozenset[str]:
    """The kinds of prompts it builds."""
    return frozenset({"harmful"})


def build(spec: dict, sources: dict[str, Path], folder: Path) -> list[Prompt]:
    """Harmful prompts, in the order drawn; a behaviour is a cluster.

    Sources: `behaviours` (CSV), `coco` (zip or folder). Raises InputError for an incomplete file.
    """
    options = Options(**spec["options"])
    behaviours = sources["behaviours"]
    rows = table(behaviours, "harmful_behaviors.csv", ["goal"])
    expect(rows, options.rows, behaviours)
    archive = Archive(sources["coco"])
    images = coco_images(archive)
    prompts = []
    for row, image in list(pair(len(rows), images, spec["seed"], options.held_out).items())[: spec["size"]]:
        id, member = f"{spec['dataset']}-{row:03d}", images[image]
        fields = save_image(archive.read(member), folder, spec["dataset"], id, f"{archive.path}: {member}")
        prompts.append(
            Prompt(
                id=id,
                dataset=spec["dataset"],
                text=rows[row]["goal"],
                kind="harmful",
                cluster=f"advbench-{row:03d}",
                attributes={"behaviour": str(row), "photograph": str(image)} | attributes(rows[row], "category"),
                **fields,
            )
        )
    return prompts


def pair(rows: int, images: Iterable[int], seed: int, held_out: int) -> dict[int, int]:
    """Row of the behaviours' file (from 0) -> COCO image id, in the order drawn, without the rows held out.

    Behaviours and images are each put in `draw`'s order; the first `held_out` behaviours are left out, the next one
    gets the first image, and so on. Raises InputError if no behaviour is left, or if there are too few images.
    """
    if held_out >= rows:
        raise InputError(
            f"key 'options.held_out' leaves out {held_out} of {rows} behaviours, so none is left. Lower it."
        )
    behaviours, drawn = draw(range(rows), seed)[held_out:], draw(images, seed)
    if len(drawn) < len(behaviours):
        raise InputError(f"{len(behaviours)} behaviours, but only {len(drawn)} images: each behaviour needs its own.")
    return dict(zip(behaviours, drawn, strict=False))


def pairs_csv(rows: int, images: Iterable[int], seed: int, held_out: int) -> str:
    """The pairing as CSV: row of the behaviours' file (from 0), COCO image id (empty for a row that is held out)."""
    pairs = pair(rows, images, seed, held_out)
    return "".join(["row,coco_image_id\n", *(f"{row},{pairs.get(row, '')}\n" for row in range(rows))])
