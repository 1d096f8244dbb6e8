"""The rerun matrix of code: a change in each room of the library, and exactly the jobs that are planned after it."""

import pytest

from project import ROOT
from smokejobs import (
    AGGREGATES,
    ASSESSING,
    BUILDING,
    DRIFT,
    EVERYTHING,
    FIGURE_JOBS,
    GENERATING,
    JUDGE_TRAINED,
    JUDGING,
    LAST,
    MEASURES,
    NOTHING,
    PRINTED,
    PROBING,
    TABLE_JOBS,
    TRAINING,
    VALIDITY,
)

LIBRARY = "workflow/scripts/layerwise"
# A change in each room of the library: one more name in a module.
ROOMS = {
    "assets": NOTHING,
    "assets/hub": NOTHING,
    "checkpoints": JUDGE_TRAINED | JUDGING,
    "config": FIGURE_JOBS | TABLE_JOBS | LAST,
    "datasets": BUILDING,
    "datasets/world": BUILDING,
    "datasets/xstest": NOTHING,
    "differences": GENERATING | PROBING,
    "engine": GENERATING | PROBING,
    "evidence": ASSESSING,
    "exits": TRAINING,
    "exits/idefics3": NOTHING,
    "exits/llava": TRAINING,
    "figures/dose": NOTHING,
    "figures/drift": DRIFT | PRINTED,
    "figures/style": FIGURE_JOBS | PRINTED,
    "frames": ASSESSING | FIGURE_JOBS | TABLE_JOBS,
    "gates": ASSESSING,
    "gpus": NOTHING,
    "human_labels": NOTHING,
    "jobs": NOTHING,
    "judges": JUDGE_TRAINED | JUDGING,
    "judges/guard": NOTHING,
    "judges/refusal": {"judge refusal"} | AGGREGATES,
    "judging": JUDGING,
    "metrics": MEASURES,
    "numbers/seen": LAST,
    "organisms/language": EVERYTHING,
    "organisms/mllama": NOTHING,
    "organisms/world": TRAINING | BUILDING,
    "outcomes": AGGREGATES,
    "paired": MEASURES,
    "parts": NOTHING,
    "plan": NOTHING,
    "predictions": ASSESSING,
    "probes": PROBING,
    "provenance": {"crate", "complete"},
    "rawdata": BUILDING,
    "recipes": FIGURE_JOBS | TABLE_JOBS | LAST,
    "records": EVERYTHING,
    "reference": NOTHING,
    "resume": GENERATING,
    "sources": FIGURE_JOBS | TABLE_JOBS | LAST,
    "spec": NOTHING,
    "stats": AGGREGATES | PROBING,
    "tables/latex": TABLE_JOBS | PRINTED,
    "threads": TRAINING | JUDGE_TRAINED,
    "training/loop": TRAINING | JUDGE_TRAINED,
    "training/toxicity": JUDGE_TRAINED | {"judge toxicity"} | AGGREGATES,
    "validity": VALIDITY,
    "yamlfile": FIGURE_JOBS | TABLE_JOBS | LAST,
}


@pytest.mark.slow
@pytest.mark.parametrize("module", ROOMS)
def test_after_a_change_in_a_room(project, module):
    path = project.folder / LIBRARY / module
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    path.write_text(path.read_text() + "\nEXTRA = 1\n")
    assert project.planned() == ROOMS[module]


def test_each_room_is_tried():
    rooms = {path.stem for path in (ROOT / LIBRARY).iterdir() if path.name not in ("__init__.py", "__pycache__")}
    assert {module.split("/")[0] for module in ROOMS} == rooms
