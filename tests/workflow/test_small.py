"""Small experiments end in a paper: one exit layer, one kind of prompts, one cluster."""

import pandas as pd
import pytest
from pypdf import PdfReader

from project import Project

SMOKE = "config/smoke.yaml"
LAYERS, DATASETS = "layers: [0, 7]", "datasets: [world-shallow, world-deep, world-text, world-vqa]"
# Half of the pairs of a data set of the world.
HALF = '''"""One role of the twin pairs of the synthetic world."""

from pathlib import Path

from layerwise.prompts.builders.world import SOURCES
from layerwise.prompts.builders.world import Options as Whole
from layerwise.prompts.builders import world
from layerwise.records import Prompt

TWINS = False


class Options(Whole):
    """As those of the world's pairs, and which kind is kept."""

    kept: str


def kinds(options: Options) -> frozenset[str]:
    return frozenset({options.kept})


def build(spec: dict, sources: dict[str, Path], folder: Path) -> list[Prompt]:
    kept = spec["options"].pop("kept")
    return [prompt for prompt in world.build(spec, sources, folder) if prompt.kind == kept]
'''


def only(kept: str):
    """Ask nothing but one kind of prompts."""

    def edit(project: Project) -> None:
        builders = project.folder / "workflow/scripts/layerwise/prompts/builders"
        (builders / "half.py").write_text(HALF)
        (project.folder / f"config/datasets/{kept}.yaml").write_text(
            f"display: Only {kept}\nbuilder: half\nseed: 1\nsize: 200\nprompts: 200\n"
            f"options: {{cue: deep, kept: {kept}}}\n"
        )
        project.edit(SMOKE, DATASETS, f"datasets: [{kept}]")

    return edit


def first_layer_alone(project: Project) -> None:
    """A model whose default layer is 0, so that no other one is asked for."""
    project.edit("config/models/organism.yaml", "default_layer: 7", "default_layer: 0")
    project.edit(SMOKE, LAYERS, "layers: [0]")


SMALL = {
    "the default layer alone": lambda project: project.edit(SMOKE, LAYERS, "layers: [7]"),
    "layer 0 alone": first_layer_alone,
    "only visual questions": lambda project: project.edit(SMOKE, DATASETS, "datasets: [world-vqa]"),
    "only benign prompts": only("benign"),
    "only harmful prompts": only("harmful"),
    "data sets asked here and there": lambda project: project.edit(
        SMOKE,
        DATASETS,
        "datasets: [world-shallow, world-deep, {id: world-text, layers: default}, {id: world-vqa, arms: [broad-none]}]",
    ),
    "one cluster": lambda project: project.edit(SMOKE, "limit: 24", "limit: 1"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_a_small_experiment_ends_in_a_paper(project, name):
    SMALL[name](project)
    project.run()
    pages = PdfReader(project.folder / "paper/smoke.pdf").pages
    assert len(pages) > 3
    metrics, paired = (pd.read_csv(project.folder / f"results/smoke/{table}.csv") for table in ("metrics", "paired"))
    assert len(metrics) and metrics["value"].notna().all()
    assert paired.empty == ("alone" in name or "benign" in name)
    assert project.planned() == set()
