"""The rerun matrix of code: a change in each room of the library, and exactly the jobs that are planned after it."""

import pytest

from smokejobs import (
    AGGREGATES,
    ASSESSING,
    BUILDING,
    DRIFT,
    EVERYTHING,
    EXPLORER,
    FIGURE_JOBS,
    GENERATING,
    JUDGE_TRAINED,
    JUDGING,
    LAST,
    MEASURES,
    NOTHING,
    PROBING,
    TABLE_JOBS,
    TRAINED,
    TRAINING,
    VALIDITY,
)

LIBRARY = "workflow/scripts/layerwise"
# Jobs that hang on the training of arms, but not of the encoder.
ARMS = TRAINING - {job for job in TRAINED if job.startswith("train_vision")}
# A module of each room, and of those where jobs import different ones several: it gets one more name.
ROOMS = {
    "files": EVERYTHING,
    "records": BUILDING | PROBING,
    "vocabulary": JUDGING | FIGURE_JOBS,
    "paths": NOTHING,
    "plugins": NOTHING,
    "study/config": FIGURE_JOBS | TABLE_JOBS | LAST,
    "jobs/specs": NOTHING,
    "jobs/rows": GENERATING,
    "jobs/threads": TRAINING | JUDGE_TRAINED,
    "assets/hub": NOTHING,
    "world/world": TRAINING | BUILDING,
    "prompts/draws": BUILDING,
    "prompts/builders/world": BUILDING,
    "prompts/builders/xstest": NOTHING,
    "models/engine": GENERATING | PROBING,
    "models/checkpoints": TRAINING,
    "models/families/llava": TRAINING,
    "models/families/idefics3": NOTHING,
    "models/organisms/mllama": NOTHING,
    "models/backbones": NOTHING,
    "judging/rows": JUDGING,
    "judging/judges/refusal": {"judge refusal"} | AGGREGATES,
    "judging/judges/guard": NOTHING,
    "training/loop": TRAINING | JUDGE_TRAINED,
    "training/organisms": ARMS,
    "training/assembled": NOTHING,
    "training/methods/sft": ARMS
    - {"train_arm organism-smoke broad-none 100", "generate organism-smoke.broad-none.s100"},
    "training/rewards": NOTHING,
    "training/judges/toxicity": JUDGE_TRAINED | {"judge toxicity"} | AGGREGATES,
    "analysis/outcomes": AGGREGATES,
    "analysis/paired": MEASURES,
    "analysis/probes": PROBING,
    "analysis/judge_validity": VALIDITY,
    "analysis/predictions": ASSESSING,
    "analysis/results": ASSESSING | FIGURE_JOBS | TABLE_JOBS,
    "report/style": FIGURE_JOBS | LAST,
    "report/figures/drift": DRIFT | LAST,
    "report/figures/dose": NOTHING,
    "report/tables/gates": {"table gates"} | LAST,
    "report/numbers/collect": LAST,
    "runs/plan": NOTHING,
    "runs/provenance": EXPLORER,
    "explorer/answers": EXPLORER,
}


@pytest.mark.slow
@pytest.mark.parametrize("module", ROOMS)
def test_after_a_change_in_a_room(project, module):
    path = project.folder / LIBRARY / module
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    path.write_text(path.read_text() + "\nEXTRA = 1\n")
    assert project.planned() == ROOMS[module]
