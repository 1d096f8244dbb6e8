"""The rerun matrix: an edit on a finished experiment, and exactly the jobs that are planned after it."""

import os
import shutil

import pytest

ARMS = ("robust", "default-on-robust")
SUBJECTS = {f"organism-smoke.{arm}.s100" for arm in ARMS}
JUDGES = {"truth", "refusal", "coherence", "toxicity", "vqa"}
DATASETS = {"world-shallow", "world-deep", "world-text", "world-vqa"}
FIGURES = {"refusal-and-harm", "outcomes", "toxicity", "utility", "drift", "probes", "predictions"}
TABLES = {"outcomes", "paired", "judges", "controls", "agreement", "published", "gates", "predictions"}

FIGURE_JOBS = {f"figure {name}" for name in FIGURES}
TABLE_JOBS = {f"table {name}" for name in TABLES}
LAST = {"numbers", "paper", "crate", "complete"}
# What is made from verdicts; the figure of drift is made from features alone.
AGGREGATES = {"metrics", "validity", "assess"} | FIGURE_JOBS - {"figure drift"} | TABLE_JOBS | LAST
JUDGING = {f"judge {judge}" for judge in JUDGES}
GENERATING = {f"generate {subject}" for subject in SUBJECTS}
PROBING = {"probe organism-smoke.default-on-robust.s100"}
TRAINING = {
    "train_vision organism-smoke 100",
    "train_base organism-smoke robust 100",
    "align organism-smoke default-on-robust 100",
}
ORGANISM = TRAINING | GENERATING | PROBING | JUDGING | AGGREGATES | {"figure drift"}
BUILDING = {f"build_prompts {dataset}" for dataset in DATASETS}

SMOKE = "config/smoke.yaml"
LIBRARY = "workflow/scripts/layerwise"
NOTHING: set[str] = set()


def test_nothing_after_a_run(project):
    assert project.planned() == NOTHING


# An edit: file, old text, new text; then the jobs planned after it.
EDITS = {
    "add an exit layer": (
        (SMOKE, "layers: [0, 7]", "layers: [0, 5, 7]"),
        GENERATING | JUDGING | AGGREGATES | {"figure drift"},
    ),
    "remove an exit layer": ((SMOKE, "layers: [0, 7]", "layers: [7]"), JUDGING | AGGREGATES | {"figure drift"}),
    "reorder exit layers": ((SMOKE, "layers: [0, 7]", "layers: [7, 0]"), NOTHING),
    "name the default layer or not": ((SMOKE, "layers: [0, 7]", "layers: [0]"), NOTHING),
    "another grouping": ((SMOKE, "outcome:", "layers_per_job: 1\noutcome:"), NOTHING),
    "reorder keys": ((SMOKE, "seeds: [100]\nlayers: [0, 7]", "layers: [0, 7]\nseeds: [100]"), NOTHING),
    "change the decoding": ((SMOKE, "batch_size: 32", "batch_size: 16"), GENERATING | JUDGING | AGGREGATES),
    "change the limit": ((SMOKE, "limit: 24", "limit: 23"), BUILDING | GENERATING | JUDGING | AGGREGATES),
    "several GPUs": (
        ("config/models/organism-smoke.yaml", "display:", "gpu_memory_gb: 8\ngpus: 2\ndisplay:"),
        NOTHING,
    ),
    "a colour": ((SMOKE, "#D55E00", "#D55E01"), NOTHING),
    "a display name": (("config/models/organism-smoke.yaml", "barely trained", "hardly trained"), NOTHING),
    "the declared throughput": ((SMOKE, "responses_per_second: 500", "responses_per_second: 400"), NOTHING),
    "the title": ((SMOKE, "title: Smoke", "title: Short"), {"paper", "crate", "complete"}),
    "a step of the last stage": (
        ("config/models/organism-smoke.yaml", "safety_steps: 20,", "safety_steps: 21,"),
        ORGANISM
        - {"train_vision organism-smoke 100", "train_base organism-smoke robust 100"}
        - {"generate organism-smoke.robust.s100"},
    ),
    "a step that no arm uses": (
        ("config/models/organism-smoke.yaml", "layerwise_safety_steps: 20", "layerwise_safety_steps: 21"),
        NOTHING,
    ),
    "the seed of a data set": (
        ("config/datasets/world-vqa.yaml", "seed: 1", "seed: 2"),
        {"build_prompts world-vqa"} | GENERATING | JUDGING | AGGREGATES,
    ),
    "a comment in a rule's script": (("workflow/scripts/metrics.py", "import", "# why\nimport"), NOTHING),
    "a comment in a helper": ((f"{LIBRARY}/records.py", "import dataclasses", "# why\nimport dataclasses"), NOTHING),
    "a docstring in a helper": ((f"{LIBRARY}/records.py", '"""All rows', '"""Every one of the rows'), NOTHING),
    "a progress line": ((f"{LIBRARY}/jobs.py", "LINES = 10.0", "LINES = 5.0"), NOTHING),
    "a helper of the judge": (
        (f"{LIBRARY}/judges/refusal.py", "import re\n", "import re\n\nEXTRA = 1\n"),
        {"judge refusal"} | AGGREGATES,
    ),
    "a helper of the statistics": (
        (f"{LIBRARY}/outcomes.py", "import", "EXTRA = 1\nimport"),
        AGGREGATES,
    ),
    "one figure": (
        (f"{LIBRARY}/figures/drift.py", "\ndef data(", "\nEXTRA = 1\n\n\ndef data("),
        {"figure drift", "paper", "crate", "complete"},
    ),
    "a pin of the judges": (
        ("envs/judging.yaml", "accelerate==1.15.0", "accelerate==1.14.0"),
        {"train_judge toxicity"} | JUDGING | AGGREGATES,
    ),
    "a comment in an environment": (("envs/judging.yaml", "channels:", "# why\nchannels:"), NOTHING),
    "the paper's text": (("paper/main.typ", "\n", "\n// a remark\n"), {"paper", "crate", "complete"}),
    "a profile": (("profiles/slurm/profile.yaml", "jobs: 32", "jobs: 16"), NOTHING),
    "the README of the configuration": (("config/README.md", "\n", "\nA remark.\n"), NOTHING),
}


@pytest.mark.parametrize("name", EDITS)
def test_after_an_edit(project, name):
    change, expected = EDITS[name]
    project.edit(*change)
    assert project.planned() == expected


def test_a_touch_plans_nothing(project):
    for path in project.folder.rglob("*"):
        if path.is_file() and ".snakemake" not in path.parts:
            os.utime(path)
    assert project.planned() == NOTHING


def test_another_folder_plans_nothing(project, tmp_path):
    shutil.move(project.folder, tmp_path / "elsewhere with spaces")
    project.folder = tmp_path / "elsewhere with spaces"
    assert project.planned() == NOTHING


def test_another_number_of_cores_plans_nothing(project):
    assert project.planned("--cores", "1") == NOTHING


def test_a_lost_figure_is_drawn_again(project):
    (project.folder / "figures/smoke/drift.pdf").unlink()
    assert project.planned() == {"figure drift", "paper", "crate", "complete"}


def test_a_new_seed_trains_its_own(project):
    project.edit(SMOKE, "seeds: [100]", "seeds: [100, 101]")
    new = {job.replace("100", "101") for job in TRAINING | GENERATING | PROBING}
    assert project.planned() == new | JUDGING | AGGREGATES | {"figure drift"}
