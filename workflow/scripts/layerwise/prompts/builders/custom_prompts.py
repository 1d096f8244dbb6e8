"""Custom Prompts: ten AdvBench behaviours, each beside the same ten harmless photographs.

arXiv 2411.04291 pairs 10 AdvBench prompts with 10 safe images from the web, and publishes neither which prompts nor the
images. Declared stand-ins: the ten behaviours that `advbench_coco` holds out with the same seed, and ten COCO val2017
photographs from the far end of its draw, so that the two data sets share neither (both use `rawdata.draw`). The 100
prompts are only ten clusters: intervals are as wide as ten make them.
"""

from pathlib import Path

from layerwise.prompts.archive import Archive, expect, table
from layerwise.prompts.draws import draw
from layerwise.prompts.images import coco_images, save_image
from layerwise.prompts.options import settings, source
from layerwise.records import Prompt


def build(spec: dict, sources: dict[str, Path], folder: Path) -> list[Prompt]:
    """`held_out` times `images` harmful prompts; a behaviour is a cluster. Sources: `behaviours` (CSV), `coco`.

    Options: `held_out`, behaviours, as of `advbench_coco`; `images`, photographs beside each; `rows`, how many the
    behaviours' file must have. Raises InputError for a file that is not whole.
    """
    options = settings(spec, held_out=10, images=10, rows=None)
    behaviours = source(spec, sources, "behaviours")
    rows = table(behaviours, "harmful_behaviors.csv", ["goal"])
    expect(rows, options["rows"], behaviours)
    archive = Archive(source(spec, sources, "coco"))
    members = coco_images(archive)
    images = [(image, archive.read(members[image])) for image in draw(members, spec["seed"])[-options["images"] :]]
    prompts = []
    for row in draw(range(len(rows)), spec["seed"], options["held_out"])[: spec["size"]]:
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
                    **fields,
                )
            )
    return prompts
