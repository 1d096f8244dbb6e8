"""XSTest (Röttger et al. 2024, arXiv 2308.01263): safe questions that sound unsafe, and unsafe ones that contrast them.

A safe question refused is over-refusal. Questions have no image; with `image: blank` or `noise` in the YAML file each
is asked beside one, so that it passes through the vision encoder's exit.
"""

from pathlib import Path

from layerwise.errors import InputError
from layerwise.prompts.archive import expect, table
from layerwise.prompts.draws import draw
from layerwise.prompts.options import settings, source
from layerwise.records import Prompt

KINDS = {"safe": "benign", "unsafe": "harmful"}


def build(spec: dict, sources: dict[str, Path], folder: Path) -> list[Prompt]:
    """Prompts without images, in the order drawn; each question is a cluster. Source: `prompts` (CSV).

    Options: `labels`, which of `safe` (kind benign) and `unsafe` (kind harmful) are asked; `rows`, how many the file
    must have. Raises InputError for another label.
    """
    options = settings(spec, labels=["safe", "unsafe"], rows=None)
    if unknown := set(options["labels"]) - set(KINDS):
        raise InputError(
            f"config/datasets/{spec['dataset']}.yaml: key 'options.labels': there is no label "
            f"{sorted(unknown)[0]!r}; give safe, unsafe or both."
        )
    path = source(spec, sources, "prompts")
    rows = table(path, "xstest_prompts.csv", ["id", "prompt", "label"])
    expect(rows, options["rows"], path)
    for row in rows:
        if row["label"] not in KINDS:
            raise InputError(
                f"{path}, row with id {row['id']}: label {row['label']!r} is neither safe nor unsafe. Fetch it again."
            )
    asked = [row for row in rows if row["label"] in options["labels"]]
    return [
        Prompt(
            id=f"{spec['dataset']}-{int(row['id']):03d}",
            dataset=spec["dataset"],
            text=row["prompt"],
            image=None,
            image_sha256=None,
            kind=KINDS[row["label"]],
            cluster=f"xstest-{int(row['id']):03d}",
        )
        for row in draw(asked, spec["seed"], spec["size"], cluster=lambda row: row["id"])
    ]
