"""What decides a rerun: the canonical settings of a job, the pins of its kind of work, the fingerprint of its code."""

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from layerwise.errors import InputError
from layerwise.jobs import fingerprint, specs
from layerwise.study import arms, loading

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A copy of the scripts, pins and configuration that a test may edit."""
    for folder in ("workflow", "config"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    monkeypatch.setattr(fingerprint, "SCRIPTS", tmp_path / "workflow" / "scripts")
    monkeypatch.setattr(fingerprint, "PROJECT", tmp_path / "pyproject.toml")
    forget()
    yield tmp_path
    forget()


def forget():
    for cached in (fingerprint.fingerprint, fingerprint.pins, fingerprint._module):
        cached.cache_clear()


def every_spec(project, experiment="bench"):
    """Every spec of an experiment, by job."""
    forget()
    study = loading.load(project / "config" / f"{experiment}.yaml")
    every = specs.Specs(study)
    found = {f"build_prompts {id}": every.build_prompts(id) for id in study.datasets}
    found |= {f"judge {id}": every.judge(id) for id in study.judges}
    found |= {f"train_judge {id}": every.train_judge(id) for id, judge in study.judges.items() if judge.train}
    for subject in study.subjects:
        found[f"generate {subject.name}"] = every.generate(subject)
        found[f"probe {subject.name}"] = every.probe(subject)
        if subject.arm:
            base = subject.seed.partition("a")[0]
            if subject.model.organism:
                found[f"train_vision {subject.id}.s{base}"] = every.train_vision(subject.id, int(base))
            for arm in arms.lineage(subject.model.arms, subject.arm):
                seed = arms.seed_of(subject.model.arms, arm, subject.seed)
                found[f"train {subject.id}.{arm}.s{seed}"] = every.train_arm(subject.id, arm, seed)
    return found


def changed(before, after):
    return {job for job in before.keys() | after.keys() if before.get(job) != after.get(job)}


def edit(path, old, new):
    text = path.read_text()
    assert old in text, f"{path} has no {old!r}"
    path.write_text(text.replace(old, new, 1))


def test_a_spec_is_canonical(project):
    for text in every_spec(project).values():
        assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@pytest.mark.parametrize(
    "written",
    [
        lambda text: f"# why\n{text}",
        lambda text: text.replace('"""', '"""A remark. ', 1),
        lambda text: ast.unparse(ast.parse(text)),
    ],
    ids=["comment", "docstring", "layout"],
)
def test_words_and_layout_decide_nothing(project, written):
    before = every_spec(project)
    path = project / "workflow/scripts/layerwise/records.py"
    path.write_text(written(path.read_text()))
    assert not changed(before, every_spec(project))


def test_what_a_key_means_decides_nothing_and_its_default_does(project):
    before, path = every_spec(project), project / "workflow/scripts/layerwise/judging/judges/vqa.py"
    edit(path, 'description="', 'description="In other words: ')
    assert not changed(before, every_spec(project))
    edit(path, "Share = Field(0.5,", "Share = Field(0.6,")
    assert changed(before, every_spec(project)) == {"judge vqa"}


def test_a_models_own_batch_and_cache_decide_for_its_responses_alone(project):
    before = every_spec(project)
    edit(project / "config/models/organism-mllama.yaml", "display:", "batch_size: 7\ncache: static\ndisplay:")
    assert not changed(before, every_spec(project))
    edit(project / "config/models/organism-f2.yaml", "display:", "batch_size: 7\ncache: static\ndisplay:")
    after = every_spec(project)
    ours = {job for job in after if job.startswith("generate organism-f2.")}
    assert ours and changed(before, after) == ours
    assert all(
        json.loads(after[job])["decoding"] == {"max_new_tokens": 4, "batch_size": 7, "cache": "static"} for job in ours
    )


def extend(path):
    """One more name in a module."""
    path.write_text(path.read_text() + "\nEXTRA = 1\n")


def test_a_helper_decides_for_those_who_import_it(project):
    before = every_spec(project)
    extend(project / "workflow/scripts/layerwise/files.py")
    assert changed(before, every_spec(project)) == set(before)


def test_a_judge_decides_for_itself_alone(project):
    before = every_spec(project)
    extend(project / "workflow/scripts/layerwise/judging/judges/refusal.py")
    after = every_spec(project)
    assert changed(before, after) == {"judge refusal"}
    assert changed(*(json.loads(every["judge refusal"])["code"] for every in (before, after))) == {
        "judging.judges.refusal"
    }


@pytest.mark.parametrize("line", ["from . import helper", "from .helper import EXTRA", "from ... import apart"])
def test_a_relative_import_is_seen(project, line):
    library = project / "workflow/scripts/layerwise"
    helper = library / ("apart.py" if "apart" in line else "judging/judges/helper.py")
    helper.write_text("EXTRA = 1\n")
    path = library / "judging/judges/refusal.py"
    path.write_text(path.read_text() + f"\n{line}\n")
    before = every_spec(project)
    helper.write_text("EXTRA = 2\n")
    assert changed(before, every_spec(project)) == {"judge refusal"}


def test_an_import_for_types_decides_nothing(project):
    library = project / "workflow/scripts/layerwise"
    (library / "apart.py").write_text("EXTRA = 1\n")
    path = library / "judging/judges/refusal.py"
    path.write_text(path.read_text() + "\nif TYPE_CHECKING:\n    import layerwise.apart\n")
    assert "apart" not in json.loads(every_spec(project)["judge refusal"])["code"]


@pytest.mark.parametrize("module", ["records", "training/rewards/__init__"])
def test_rewards_decide_nothing_for_arms_that_learn_from_none(project, module):
    before = every_spec(project, "smoke")
    extend(project / f"workflow/scripts/layerwise/{module}.py")
    assert not [job for job in changed(before, every_spec(project, "smoke")) if job.startswith("train ")]


def test_a_relative_import_is_refused():
    """It is seen, but a reader of an absolute one knows without thinking which module it is."""
    command = [sys.executable, "-m", "ruff", "check", "--output-format", "concise", "--stdin-filename"]
    done = subprocess.run(
        [*command, "workflow/scripts/layerwise/judging/some.py", "-"],
        cwd=ROOT,
        input="from . import rows\n\nROWS = rows\n",
        capture_output=True,
        text=True,
    )
    assert "TID252" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("module", "experiment", "other"), [("organisms", "bench", "wheels"), ("assembled", "wheels", "bench")]
)
def test_how_one_kind_of_model_is_trained_decides_nothing_for_the_other(project, module, experiment, other):
    before, theirs = every_spec(project, experiment), every_spec(project, other)
    extend(project / f"workflow/scripts/layerwise/training/{module}.py")
    trained = {job for job in before if job.startswith("train ")}
    # The judge that sees is an organism as well.
    trained |= {"train_judge guard-vision"} if module == "organisms" else set()
    assert changed(before, every_spec(project, experiment)) == trained
    assert not changed(theirs, every_spec(project, other))


def test_progress_lines_decide_nothing(project):
    before = every_spec(project)
    extend(project / "workflow/scripts/layerwise/jobs/program.py")
    assert not changed(before, every_spec(project))


def test_names_and_colours_decide_nothing(project):
    before = every_spec(project)
    edit(project / "config/models/organism.yaml", "display: LLaVA organism", "display: Another name")
    edit(project / "config/bench.yaml", '"#999999"', '"#777777"')
    assert not changed(before, every_spec(project))


def test_steps_of_a_stage_decide_for_the_arms_that_go_through_it(project):
    before = every_spec(project)
    edit(
        project / "config/models/organism.yaml",
        "{recipe: llava}",
        "{recipe: llava, language: {steps: {safety: 190}}}",
    )
    # Of the arms that are tuned to refuse, the random ones have steps of their own.
    jobs = {job for job in before if job.startswith("train ") and "-default." in job}
    assert changed(before, every_spec(project)) == jobs


@pytest.mark.parametrize("steps", [300, 500])
def test_steps_of_an_arm_decide_for_that_arm(project, steps):
    before = every_spec(project)
    own = "broad-random: {from: broad-none, method: sft, exits: all, steps: "
    edit(project / "config/models/organism.yaml", f"{own}400}}", f"{own}{steps}}}")
    seeds = (401, 402, 403)
    assert changed(before, every_spec(project)) == {f"train organism.broad-random.s{seed}" for seed in seeds}


@pytest.mark.parametrize(("exits", "layers"), [("default", [7]), ("all", [*range(9)]), ("[8, 0, 3]", [0, 3, 8])])
def test_a_spec_names_the_exit_layers_that_an_arm_sees(project, exits, layers):
    arm = "broad-default: {from: broad-none, method: sft, exits: "
    edit(project / "config/models/organism.yaml", f"{arm}default}}", f"{arm}{exits}}}")
    spec = json.loads(every_spec(project)["train organism.broad-default.s401"])
    assert (spec["layers"], spec["images"], spec["method"], spec["steps"]) == (layers, True, "sft", {"safety": 200})


def test_an_arm_is_trained_with_its_own_part_of_a_seed(project):
    found = {job: json.loads(spec) for job, spec in every_spec(project, "wheels").items()}
    trained = {job.removeprefix("train dino-smol-135m."): spec for job, spec in found.items() if "train d" in job}
    assert trained["narrow-none.s11"]["seed"] == 11 and "narrow-none.s11a12" not in trained
    tuned = [trained[f"narrow-default.s{seed}"] for seed in ("11", "11a12", "11a13")]
    assert [spec.pop("seed") for spec in tuned] == [11, 12, 13]
    assert tuned[0] == tuned[1] == tuned[2]


def test_an_arm_goes_through_the_stage_of_its_method_alone(project):
    found = every_spec(project, "wheels")
    base, tuned = (json.loads(found[f"train dino-smol-135m.narrow-{arm}.s11"]) for arm in ("none", "default"))
    assert (set(base["steps"]), base["stage"]["learns"]) == ({"projector"}, "projector")
    assert (set(tuned["steps"]), tuned["stage"]["learns"]) == ({"alignment"}, 10)
    assert base["stage"]["refused"] is None and tuned["stage"]["refused"] == "harmful"
    assert not json.loads(found["train dino-smol-135m.narrow-text.s11"])["images"] and tuned["images"]


@pytest.mark.parametrize(
    "pin, rules",
    [
        ("detoxify==0.5.4", {"judge", "train_judge"}),
        ("accelerate==1.15.0", {"judge", "train_judge", "generate", "probe"}),
        ("torch==2.13.0", {"judge", "train_judge", "generate", "probe", "train", "train_vision"}),
        ("pandas==3.1.1", {"judge", "train_judge", "generate", "probe", "build_prompts"}),
        ("gguf==0.19.0", set()),
        ("snakemake==9.27.1", set()),
        ("pytest==9.2.0", set()),
    ],
)
def test_a_pin_decides_for_its_kinds_of_work(project, pin, rules):
    before = every_spec(project)
    edit(project / "pyproject.toml", f'"{pin}"', f'"{pin}.1"')
    assert {job.split()[0] for job in changed(before, every_spec(project))} == rules


def test_python_decides_for_everything(project):
    before = every_spec(project)
    edit(project / "pyproject.toml", 'requires-python = ">=3.11"', 'requires-python = ">=3.12"')
    assert changed(before, every_spec(project)) == set(before)


def test_a_group_that_is_not_there_is_named(project):
    edit(project / "pyproject.toml", '{include-group = "arrays"}', '{include-group = "vectors"}')
    with pytest.raises(InputError, match="pyproject.toml.*no group 'vectors'.*arrays"):
        every_spec(project)


def test_a_limit_decides_for_the_prompts(project):
    before = every_spec(project, "smoke")
    edit(project / "config/smoke.yaml", "limit: 24", "limit: 25")
    assert {job.split()[0] for job in changed(before, every_spec(project, "smoke"))} == {"build_prompts"}
