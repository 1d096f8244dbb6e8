"""mini JailBreakV-28K: the 280 rows that the authors of JailBreakV-28K (arXiv 2404.03027) chose from their 28,000.

Each row is a jailbreak text beside an image: typed text, noise, nature or the query's subject. Many rows attack the
same red-team query, so the query is the cluster; its name holds a hash of the text, not the text. The hub holds the
table and some of the images, the authors' archive holds all of them (see the YAML file).
"""

import hashlib
from pathlib import Path

from pydantic import Field

from layerwise.errors import InputError
from layerwise.prompts.archive import Archive, attributes, expect, padded, table
from layerwise.prompts.draws import draw
from layerwise.prompts.images import save_image
from layerwise.records import Prompt
from layerwise.study.settings import Positive, Settings

COLUMNS = ("id", "jailbreak_query", "redteam_query", "image_path", "selected_mini")
SOURCES = {"prompts": True, "images": True}
TWINS = False


class Options(Settings):
    """How the file is checked."""

    rows: Positive | None = Field(None, description="Number of selected rows there must be; if absent, any.")


def kinds(options: Options) -> frozenset[str]:
    """The kinds of prompts it builds."""
    return frozenset({"harmful"})


def build(spec: dict, sources: dict[str, Path], folder: Path) -> list[Prompt]:
    """Harmful prompts, clusters in the order drawn.

    Sources: `prompts` (the mini CSV or the full one), `images` (zip or folder). Raises InputError naming the row whose
    image is missing.
    """
    options = Options(**spec["options"])
    path = sources["prompts"]
    everything = table(path, "mini_JailBreakV_28K.csv", COLUMNS, id="id")
    rows = [row for row in everything if row["selected_mini"].strip().lower() == "true"]
    expect(rows, options.rows, path)
    archive = Archive(sources["images"])
    prompts = []
    for row in draw(rows, spec["seed"], spec["size"], cluster=_cluster):
        id = f"{spec['dataset']}-{padded(row['id'], 5)}"
        try:
            member = archive.find(row["image_path"])
        except InputError as error:
            raise InputError(
                f"{path}, row with id {row['id']}: {error} Key 'sources.images' of "
                f"config/datasets/{spec['dataset']}.yaml says where to get all images."
            ) from error
        fields = save_image(archive.read(member), folder, spec["dataset"], id, f"{archive.path}: {member}")
        prompts.append(
            Prompt(
                id=id,
                dataset=spec["dataset"],
                text=row["jailbreak_query"],
                kind="harmful",
                cluster=_cluster(row),
                attributes=attributes(row, "policy", "format", "from"),
                **fields,
            )
        )
    return prompts


def _cluster(row: dict[str, str]) -> str:
    return f"redteam-{hashlib.sha256(row['redteam_query'].strip().encode()).hexdigest()[:12]}"
