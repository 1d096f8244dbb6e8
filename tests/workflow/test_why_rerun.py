"""What `why-rerun` says after an edit on a finished experiment."""

import pytest

from smokejobs import EVERYTHING

SMOKE = "config/smoke.yaml"
LIBRARY = "workflow/scripts/layerwise"


def said(project, *options):
    done = project.script("why-rerun", *options)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout.splitlines()


def add_code(project, module):
    path = project.folder / LIBRARY / f"{module}.py"
    path.write_text(path.read_text() + "\nEXTRA = 1\n")


def settings_and_a_judge(project):
    project.edit(SMOKE, "batch_size: 32", "batch_size: 16")
    project.edit("config/judges/toxicity.yaml", "judge: toxicity\n", "judge: toxicity\noptions: {threshold: 0.4}\n")
    add_code(project, "judging/judges/refusal")


def an_exit_layer_and_a_lost_figure(project):
    project.edit(SMOKE, "layers: [0, 7]", "layers: [0, 5, 7]")
    (project.folder / "figures/smoke/drift.pdf").unlink()


def an_arm_and_a_pin(project):
    project.edit(SMOKE, "arms: [broad-none, ", "arms: [narrow-none, broad-none, ")
    project.edit("pyproject.toml", "detoxify==0.5.4", "detoxify==0.5.5")


ROWS = [
    (
        settings_and_a_judge,
        [
            "generate (2 jobs): decoding.batch_size 32 → 16",
            "judge refusal: code of judging.judges.refusal; 4 inputs will be made again by generate (2 jobs)",
            "judge toxicity: options.threshold 0.5 → 0.4; 4 inputs will be made again by generate (2 jobs)",
            "judge (3 jobs): 4 inputs will be made again by generate (2 jobs)",
            "assess: input results/smoke/metrics.csv will be made again by metrics",
        ],
    ),
    (
        an_exit_layer_and_a_lost_figure,
        [
            "generate (2 jobs): one output is new",
            "judge (5 jobs): 2 inputs are new: "
            "results/smoke/responses/organism-smoke.broad-default.s100/layer-05.jsonl and others; "
            "4 inputs will be made again by generate (2 jobs)",
            "figure drift: output figures/smoke/drift.pdf is missing; subjects.*.layers + 5 (in 2 subjects)",
        ],
    ),
    (
        an_arm_and_a_pin,
        [
            "train_arm organism-smoke narrow-none 100: new, no output yet",
            "generate organism-smoke.narrow-none.s100: new, no output yet",
            "train_judge toxicity: pin detoxify 0.5.4 → 0.5.5",
            "figure (2 jobs): subjects + organism-smoke.narrow-none.s100",
        ],
    ),
]


@pytest.mark.parametrize(("deed", "lines"), ROWS, ids=[deed.__name__ for deed, _ in ROWS])
def test_after(project, deed, lines):
    deed(project)
    there = said(project)
    assert [line for line in there if line in lines] == sorted(lines, key=there.index)


def test_a_change_of_a_shared_helper_names_it_for_every_job_that_uses_it(project):
    add_code(project, "records")
    lines = dict(line.split(": ", 1) for line in said(project, "--full"))
    assert set(lines) == {job for job in EVERYTHING if not job.startswith("train_")}
    changed = {job.split()[0] for job, why in lines.items() if why.startswith("code of records")}
    assert changed >= {"build_prompts", "generate", "judge", "metrics"}
    assert lines["figure drift"].startswith("input results/smoke/probes/")


def test_nothing_to_run_and_no_torch(project):
    (project.folder / "workflow/scripts/torch.py").write_text("raise AssertionError('imported, which takes seconds')\n")
    assert said(project) == ["Nothing to run: every result is up to date."]


def test_what_cannot_be_planned_is_said_in_a_line(project):
    project.edit(SMOKE, "layers:", "layer:")
    done = project.script("why-rerun")
    assert done.returncode == 1 and not done.stdout
    assert done.stderr.startswith("error: config/smoke.yaml: unknown key 'layer'")
