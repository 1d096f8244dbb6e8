"""Custom Prompts: ten AdvBench behaviours, each beside the same ten harmless photographs.

arXiv 2411.04291 pairs 10 AdvBench prompts with 10 safe images from the web, and publishes neither the list of prompts
nor the images. The stand-ins here are the ten behaviours that `advbench_coco` holds out with the same seed, and ten
COCO val2017 photographs from the far end of its draw, so that the two data sets share neither. The 100 prompts form
only ten clusters, so intervals are as wide as those of ten observations.
"""

from pathlib import Path

from pydantic import Field

from layerwise.prompts.archive import Archive, attributes, expect, table
from layerwise.prompts.draws import draw
from layerwise.prompts.images import coco_images, save_image
from layerwise.records import Prompt
from layerwise.study.settings import Positive, Settings

SOURCES = {"behaviours": True, "coco": True}
TWINS = False


class Options(Settings):
    """The number of behaviours, and of photographs for each."""

    held_out: Positive = Field(10, description="Number of behaviours; those that `advbench_coco` holds out.")
    images: Positive = Field(10, description="Number of photographs for each behaviour.")
    rows: Positive | None = Field(None, description="Number of rows the file must have; if absent, any.")


def kinds(options: Options) -> frozenset[str]:
    """The kinds of prompts it builds."""
    return frozenset({"harmful"})


def build(spec: dict, sources: dict[str, Path], folder: Path) -> list[Prompt]:
    """`held_out` times `images` harmful prompts; a behaviour is a cluster. Sources: `behaviours` (CSV), `coco`.

    Raises InputError for an incomplete file.
    """
    options = Options(**spec["options"])
    behaviours = sources["behaviours"]
    rows = table(behaviours, "harmful_behaviors.csv", ["goal"])
    expect(rows, options.rows, behaviours)
    archive = Archive(sources["coco"])
    members = coco_images(archive)
    images = [(image, archive.read(members[image])) for image in draw(members, spec["seed"])[-options.images :]]
    prompts = []
    for row in draw(range(len(rows)), spec["seed"], options.held_out)[: spec["size"]]:
        for image, raw in images:
            id = f"{spec['dataset']}-{row:03d}-{image:012d}"
            fields = save_image(raw, folder, spec["dataset"], id, f"{archive.path}: {members[image]}")
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
