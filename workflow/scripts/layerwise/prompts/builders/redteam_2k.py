"""RedTeam-2K: the 2,000 red-team queries behind JailBreakV-28K (arXiv 2404.03027), each beside an unrelated photograph.

Bachu et al. (2025) train L-PPO on it "with images", without saying which. Here each query gets its own image of
MS-COCO, both in the order of the data set's `seed` (`prompts.draws.draw`). Queries that `held_out` asks (the mini
JailBreakV-28K does) are left out, so that no test query is trained on; a query is a cluster, named as there.
"""

import hashlib
from pathlib import Path

from pydantic import Field

from layerwise.errors import InputError
from layerwise.prompts.archive import Archive, attributes, expect, padded, table
from layerwise.prompts.draws import draw
from layerwise.prompts.images import coco_images, save_image
from layerwise.records import Prompt
from layerwise.study.settings import Positive, Settings

SOURCES = {"queries": True, "held_out": False, "coco": True}
TWINS = False


class Options(Settings):
    """How the file is checked."""

    rows: Positive | None = Field(None, description="Number of rows the file must have; if absent, any.")


def kinds(options: Options) -> frozenset[str]:
    """The kinds of prompts it builds."""
    return frozenset({"harmful"})


def build(spec: dict, sources: dict[str, Path], folder: Path) -> list[Prompt]:
    """Harmful prompts, in the order drawn.

    Sources: `queries` and `held_out` (CSV), `coco` (zip or folder). Raises InputError if there are too few images.
    """
    path = sources["queries"]
    rows = table(path, "RedTeam_2K.csv", ("id", "question"), id="id")
    expect(rows, Options(**spec["options"]).rows, path)
    held_out = set()
    if "held_out" in sources:
        asked = table(sources["held_out"], "mini_JailBreakV_28K.csv", ("redteam_query",))
        held_out = {cluster(row["redteam_query"]) for row in asked}
    archive = Archive(sources["coco"])
    images = coco_images(archive)
    drawn = draw(rows, spec["seed"], cluster=lambda row: row["id"])
    kept = [row for row in drawn if cluster(row["question"]) not in held_out][: spec["size"]]
    if len(images) < len(kept):
        raise InputError(f"{len(kept)} queries, but only {len(images)} images: each query needs its own.")
    prompts = []
    for row, image in zip(kept, draw(images, spec["seed"]), strict=False):
        id, member = f"{spec['dataset']}-{padded(row['id'], 4)}", images[image]
        fields = save_image(archive.read(member), folder, spec["dataset"], id, f"{archive.path}: {member}")
        prompts.append(
            Prompt(
                id=id,
                dataset=spec["dataset"],
                text=row["question"],
                kind="harmful",
                cluster=cluster(row["question"]),
                attributes=attributes(row, "policy", "from"),
                **fields,
            )
        )
    return prompts


def cluster(query: str) -> str:
    """The name of a query's cluster, which holds a hash of its text and not the text."""
    return f"redteam-{hashlib.sha256(query.strip().encode()).hexdigest()[:12]}"
