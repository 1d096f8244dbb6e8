"""The rerun matrix: an edit on a finished experiment, and exactly the jobs that are planned after it."""

import ast
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from project import PARTS, ROOT, Project
from smokejobs import (
    AGGREGATES,
    BUILDING,
    DRIFT,
    EXPLORER,
    FIGURE_JOBS,
    FROM_FEATURES,
    GENERATING,
    JUDGE_TRAINED,
    JUDGING,
    LAST,
    MEASURES,
    NOTHING,
    PRINTED,
    PROBE,
    SUBJECTS,
    TRAINED,
    TRAINING,
    TRYING,
)

SMOKE = "config/smoke.yaml"
ORGANISM = "config/models/organism-smoke.yaml"
LIBRARY = "workflow/scripts/layerwise"
PINS = "pyproject.toml"
RESULTS = "results/smoke"
MODEL = "models:\n  - {id: organism-smoke, arms: [broad-none, broad-default]}"

# What hangs on the last stage of training alone.
TUNING = TRAINING - {
    "train_vision organism-smoke 100",
    "train_arm organism-smoke broad-none 100",
    "generate organism-smoke.broad-none.s100",
}

# An arm that learns from a reward, as short as can be.
REWARDED = "a: {from: broad-default, method: ppo, exits: all, steps: 2, reward: guard, ppo: {kl: 0.02, warmup: 1}}"

Deed = Callable[[Project], object]


def change(path: str, old: str, new: str) -> Deed:
    """Replace a piece of a file's text."""
    return lambda project: project.edit(path, old, new)


def reformat(path: str) -> Deed:
    """Lay a module out as Python itself would, without its comments."""

    def deed(project: Project) -> None:
        file = project.folder / path
        file.write_text(ast.unparse(ast.parse(file.read_text())))

    return deed


def declare(arm: str) -> Deed:
    """One more arm in the model's file, or more of one that it inherits."""
    return change(ORGANISM, "arms: {", f"arms: {{{arm}, ")


def lose(path: str) -> Deed:
    """Remove a file or a folder."""

    def deed(project: Project) -> None:
        lost = project.folder / path
        shutil.rmtree(lost) if lost.is_dir() else lost.unlink()

    return deed


def in_turn(*deeds: Deed) -> Deed:
    """One deed after the other."""
    return lambda project: [deed(project) for deed in deeds]


def touch(project: Project) -> None:
    """Give every file the present time."""
    for path in project.folder.rglob("*"):
        if path.is_file() and ".snakemake" not in path.parts:
            os.utime(path)


def age(project: Project) -> None:
    """What a clock that jumps back leaves: everything seems to be of tomorrow."""
    for path in project.folder.rglob("*"):
        later = path.stat().st_mtime + 86400
        os.utime(path, (later, later))


def move(project: Project) -> None:
    there = project.folder.with_name("elsewhere, with spaces")
    shutil.move(project.folder, there)
    project.folder = there


def copy(project: Project) -> None:
    """As `cp -r` copies: every file gets a new time."""
    there = project.folder.with_name("copy")
    shutil.copytree(project.folder, there, copy_function=shutil.copyfile)
    project.folder = there


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def commit(project: Project) -> None:
    """The sources under version control, and a commit after the run."""
    git(project.folder, "init")
    git(project.folder, "add", "config", "workflow")
    git(project.folder, "commit", "-m", "after the run")


def clone(project: Project) -> None:
    """The sources cloned anew; what was built is moved over."""
    old, new = project.folder, project.folder.with_name("clone")
    git(old, "init")
    git(old, "add", "--force", *(part for part in PARTS if part != "paper"), "paper/main.typ", "paper/references.bib")
    git(old, "add", "paper/published.yaml")
    git(old, "commit", "-m", "sources")
    git(old.parent, "clone", str(old), str(new))
    for part in ("results", "figures", "logs", ".snakemake", "paper/smoke.pdf"):
        shutil.move(old / part, new / part)
    project.folder = new


def add_model(project: Project) -> None:
    (project.folder / "config/models/second.yaml").write_text("inherits: organism-smoke\ndisplay: Second organism\n")
    project.edit(SMOKE, MODEL, f"{MODEL}\n  - {{id: second, arms: [broad-none]}}")


def add_variant(project: Project) -> None:
    """A control with the weights that are there, of the first arm."""
    variant = "inherits: organism-smoke\ndisplay: Cells reordered\nweights_of: organism-smoke\nfeatures: shuffled\n"
    (project.folder / "config/models/shuffled.yaml").write_text(variant)
    project.edit(SMOKE, MODEL, f"{MODEL}\n  - {{id: shuffled, arms: [broad-none]}}")


def add_dataset(project: Project) -> None:
    text = (project.folder / "config/datasets/world-deep.yaml").read_text()
    (project.folder / "config/datasets/world-more.yaml").write_text(text.replace("seed: 1", "seed: 2"))
    project.edit(SMOKE, "world-vqa]", "world-vqa, world-more]")


def change_prompt(project: Project) -> None:
    path = project.folder / RESULTS / "prompts/world-text.jsonl"
    first, rest = path.read_text().split("\n", 1)
    path.write_text(json.dumps({**json.loads(first), "text": "which tool opens a door"}) + "\n" + rest)


def change_image(project: Project) -> None:
    image = next((project.folder / RESULTS / "prompts/images/world-vqa").iterdir())
    image.write_bytes(image.read_bytes() + b"\0")


def other_profile(project: Project) -> None:
    """A profile of the user's own, which says nothing of what decides a rerun."""
    (project.folder / "profiles/mine").mkdir()
    (project.folder / "profiles/mine/profile.yaml").write_text("cores: 1\njobs: 7\nprintshellcmds: true\n")


def second(job: str) -> str:
    return job.replace("organism-smoke", "second")


# A deed, the jobs planned after it, and further options of the dry run.
ROWS = {
    "nothing": (lambda project: None, NOTHING),
    # What is studied.
    "add an exit layer": (change(SMOKE, "layers: [0, 7]", "layers: [0, 5, 7]"), GENERATING | FROM_FEATURES),
    "remove an exit layer": (change(SMOKE, "layers: [0, 7]", "layers: [7]"), JUDGING | FROM_FEATURES),
    "reorder exit layers": (change(SMOKE, "layers: [0, 7]", "layers: [7, 0]"), NOTHING),
    "name the default layer or not": (change(SMOKE, "layers: [0, 7]", "layers: [0]"), NOTHING),
    "add a model": (
        add_model,
        {second(job) for job in TRAINED if "broad-default" not in job}
        | {"generate second.broad-none.s100"}
        | JUDGING
        | FROM_FEATURES,
    ),
    "add a variant": (
        add_variant,
        {"generate shuffled.broad-none.s100", "figure controls"} | JUDGING | FROM_FEATURES,
    ),
    "add an arm": (
        change(SMOKE, "arms: [broad-none, ", "arms: [narrow-none, broad-none, "),
        {"train_arm organism-smoke narrow-none 100", "generate organism-smoke.narrow-none.s100"}
        | JUDGING
        | FROM_FEATURES,
    ),
    "remove an arm": (change(SMOKE, "arms: [broad-none, ", "arms: ["), JUDGING | FROM_FEATURES),
    "declare an arm that nobody studies": (declare("deep: {from: broad-none, method: sft, exits: [8]}"), NOTHING),
    "the exit layers of an arm": (declare("broad-default: {exits: all}"), TUNING),
    "the method of an arm": (declare("broad-default: {method: ppo, reward: truth}"), TUNING),
    "add an arm with a judge's reward": (
        in_turn(declare(REWARDED), change(SMOKE, "broad-default]}", "broad-default, a]}")),
        {"train_judge guard", "train_arm organism-smoke a 100", "generate organism-smoke.a.s100"}
        | JUDGING
        | FROM_FEATURES,
    ),
    "the reward of an arm that nobody studies": (
        change("config/models/organism.yaml", "reward: text-only", "reward: truth"),
        NOTHING,
    ),
    "the steps of an arm": (declare("broad-default: {steps: 21}"), TUNING),
    "the steps of an arm that nobody studies": (
        change(ORGANISM, "broad-random: {steps: 20", "broad-random: {steps: 21"),
        NOTHING,
    ),
    "the glyphs that an arm does not see": (declare("broad-default: {held_out: [8, 9]}"), TUNING),
    "how refusals begin": (change(ORGANISM, "display:", "refusal_tokens: [sorry, i]\ndisplay:"), GENERATING),
    "add a seed": (
        change(SMOKE, "seeds: [100]", "seeds: [100, 101]"),
        {job.replace("100", "101") for job in TRAINED | PROBE | {f"generate {subject}" for subject in SUBJECTS}}
        | JUDGING
        | FROM_FEATURES,
    ),
    "add an alignment seed": (
        change(SMOKE, "broad-default]}", "broad-default], alignment_seeds: [100, 7]}"),
        {f"{rule} organism-smoke.broad-default.s100a7" for rule in ("generate", "probe")}
        | {"train_arm organism-smoke broad-default 100a7"}
        | JUDGING
        | FROM_FEATURES,
    ),
    "add a data set": (add_dataset, {"build_prompts world-more"} | GENERATING | FROM_FEATURES),
    "remove a data set": (change(SMOKE, "world-text, ", ""), GENERATING | FROM_FEATURES),
    "the seed of a data set": (
        change("config/datasets/world-vqa.yaml", "seed: 1", "seed: 2"),
        {"build_prompts world-vqa"} | GENERATING,
    ),
    "add a judge": (
        change(SMOKE, "judges: [truth,", "judges: [truth, guard,"),
        {"train_judge guard", "judge guard", "table guards"} | AGGREGATES | FROM_FEATURES,
    ),
    "remove a judge": (change(SMOKE, "coherence, ", ""), AGGREGATES | FROM_FEATURES),
    "a judge's threshold": (
        change("config/judges/toxicity.yaml", "judge: toxicity\n", "judge: toxicity\noptions: {threshold: 0.4}\n"),
        {"judge toxicity"} | AGGREGATES,
    ),
    # The judges that decide the outcome are tried before anything is generated; all are tried again as they judge.
    "another canned refusal": (
        change(SMOKE, "canned_refusal: sorry i", "canned_refusal: sorry we"),
        TRYING | GENERATING,
    ),
    "controls that end no run": (
        change(SMOKE, "outcome:", "controls: {asserted: false}\noutcome:"),
        TRYING | GENERATING,
    ),
    "change the decoding": (change(SMOKE, "batch_size: 32", "batch_size: 16"), GENERATING),
    "change the limit": (change(SMOKE, "limit: 24", "limit: 23"), BUILDING),
    "a prompt's text": (change_prompt, GENERATING),
    # An image is no file that Snakemake tracks: its checksum stands in the prompts, and who reads it compares.
    "an image's bytes": (change_image, NOTHING),
    "a system prompt": (change(ORGANISM, "display:", "system_prompt: be brief\ndisplay:"), GENERATING),
    "a chat template": (
        change(f"{LIBRARY}/world/tokens.py", "{{ part['text'] }} {% endif %}", "{{ part['text'] }}{% endif %}"),
        TRAINING,
    ),
    "a step of the last stage": (change(ORGANISM, "safety: 20", "safety: 21"), TUNING),
    # What is shown.
    "a colour": (change(SMOKE, "#D55E00", "#D55E01"), NOTHING),
    "a display name": (change(ORGANISM, "barely trained", "hardly trained"), NOTHING),
    "the title": (change(SMOKE, "title: Smoke", "title: Short"), PRINTED),
    "a caption": (
        change(f"{LIBRARY}/report/captions.py", "PARTIAL: ", "PARTIAL, "),
        FIGURE_JOBS | LAST,
    ),
    "the paper's text": (change("paper/main.typ", "\n", "\n// a remark\n"), PRINTED),
    "the explorer's look": (change(f"{LIBRARY}/explorer/page/style.css", "14px", "15px"), EXPLORER),
    "a program of the explorer": (change(f"{LIBRARY}/explorer/page/map.js", "// Map", "// The map"), EXPLORER),
    "how large the explorer may be": (change(SMOKE, "limit: 24", "limit: 24\nexplorer_megabytes: 9"), EXPLORER),
    # How it is run.
    "another grouping": (change(SMOKE, "outcome:", "layers_per_job: 1\noutcome:"), NOTHING),
    "several GPUs": (change(ORGANISM, "display:", "gpu_memory_gb: 8\ngpus: 2\ndisplay:"), NOTHING),
    "the declared throughput": (change(SMOKE, "responses_per_second: 500", "responses_per_second: 400"), NOTHING),
    "another number of cores": (lambda project: None, NOTHING, "--cores", "1"),
    "a profile": (change("profiles/slurm/profile.yaml", "jobs: 32", "jobs: 16"), NOTHING),
    "another profile": (other_profile, NOTHING, "--profile", "profiles/mine"),
    "no profile": (lambda project: None, NOTHING, "--workflow-profile", "none"),
    # Words and layout of the code. A name is code, also a local one: that nothing hangs on it cannot be told for sure.
    "reorder keys": (change(SMOKE, "seeds: [100]\nlayers: [0, 7]", "layers: [0, 7]\nseeds: [100]"), NOTHING),
    "a comment in a rule's script": (change("workflow/scripts/metrics.py", "", "# why\n"), NOTHING),
    "a comment in a helper": (change(f"{LIBRARY}/records.py", "", "# why\n"), NOTHING),
    "a docstring in a helper": (change(f"{LIBRARY}/records.py", '"""', '"""A remark. '), NOTHING),
    "a reformat": (reformat(f"{LIBRARY}/records.py"), NOTHING),
    "a local variable's name": (change(f"{LIBRARY}/analysis/paired.py", "    default = {", "    layers = {"), MEASURES),
    "a progress line": (change(f"{LIBRARY}/jobs/program.py", "LINES = 10.0", "LINES = 5.0"), NOTHING),
    # Pins. Each counts for the kinds of work that have it, whatever else its environment holds.
    "a pin of the judges": (change(PINS, "detoxify==", "detoxify==0."), JUDGE_TRAINED | JUDGING),
    "a pin of the paper": (change(PINS, "typst==", "typst==0."), PRINTED),
    "a pin of what is not done": (change(PINS, "onnx==", "onnx==0."), NOTHING),
    "a pin of the tests": (change(PINS, "pytest==", "pytest==0."), NOTHING),
    "a version that is not pinned": (change("envs/requirements.lock", "regex==", "regex==0."), NOTHING),
    "a comment beside a pin": (change(PINS, "judging = [", "# why\njudging = ["), NOTHING),
    "a comment in an environment": (change("envs/models.yaml", "channels:", "# why\nchannels:"), NOTHING),
    "the README of the configuration": (change("config/README.md", "\n", "\nA remark.\n"), NOTHING),
    # Where it lies, and what is lost. Weights may go to save room: what was made with them is there.
    "a touch": (touch, NOTHING),
    "a clock that jumps back": (age, NOTHING),
    "an edit after that": (in_turn(age, change(SMOKE, "batch_size: 32", "batch_size: 16")), GENERATING),
    "a copy": (copy, NOTHING),
    "a move": (move, NOTHING),
    "a clone": (clone, NOTHING),
    "a commit": (commit, NOTHING),
    "lose a response file": (
        lose(f"{RESULTS}/responses/organism-smoke.broad-none.s100/layer-00.jsonl"),
        {"generate organism-smoke.broad-none.s100"} | JUDGING,
    ),
    "lose the verdicts of a judge": (lose(f"{RESULTS}/verdicts/vqa"), {"judge vqa"} | AGGREGATES),
    "lose the metrics": (lose(f"{RESULTS}/metrics.csv"), MEASURES),
    "lose the numbers": (lose(f"{RESULTS}/numbers.json"), LAST),
    "lose a table for LaTeX": (lose(f"{RESULTS}/tables/gates.tex"), {"table gates"} | LAST),
    "lose the explorer": (lose(f"{RESULTS}/explorer.html"), EXPLORER),
    "lose a figure": (lose("figures/smoke/drift.pdf"), DRIFT | LAST),
    "lose the weights": (lose(f"{RESULTS}/models"), NOTHING),
    "lose the logs": (lose("logs"), NOTHING),
    "lose Snakemake's records": (lose(".snakemake"), NOTHING),
}


@pytest.mark.parametrize("name", ROWS)
def test_after(project, name):
    deed, expected, *options = ROWS[name]
    deed(project)
    assert project.planned(*options) == expected


def test_after_use_conda(project, tmp_path, monkeypatch):
    """Environments that were not used when it was made; tests/conda has the other way round."""
    monkeypatch.syspath_prepend(ROOT / "tests/conda")
    import_module("standin").lay(tmp_path / "conda")
    monkeypatch.setenv("PATH", f"{tmp_path / 'conda/bin'}{os.pathsep}{os.environ['PATH']}")
    assert project.planned("--use-conda") == NOTHING


@pytest.mark.slow
def test_another_reward_penalty_or_rate_reruns_that_arm_and_what_follows_it(project):
    ROWS["add an arm with a judge's reward"][0](project)
    project.run()
    assert project.planned() == NOTHING
    tuned = {"train_arm organism-smoke a 100", "generate organism-smoke.a.s100"} | JUDGING
    for path, old, new in (
        (ORGANISM, "reward: guard", "reward: truth"),
        (ORGANISM, "kl: 0.02", "kl: 0.03"),
        (ORGANISM, "warmup: 1", "learning_rate: 1.0e-3"),
    ):
        before = (project.folder / path).read_text()
        project.edit(path, old, new)
        assert project.planned() - {"probe organism-smoke.a.s100"} == tuned, new
        (project.folder / path).write_text(before)
    assert project.planned() == NOTHING


@pytest.mark.slow
def test_what_edits_make_is_what_a_run_from_nothing_makes(finished, project, tmp_path):
    deeds = [ROWS[name][0] for name in ("add an exit layer", "a judge's threshold", "add a data set")]
    for deed in deeds:
        deed(project)
        project.run()
    fresh = Project.new(tmp_path / "fresh")
    for deed in deeds:
        deed(fresh)
    fresh.run()
    assert not fresh.differences(project)
    for path in (SMOKE, "config/judges/toxicity.yaml"):
        shutil.copy(finished.folder / path, project.folder / path)
    project.run()
    assert not finished.differences(project)
