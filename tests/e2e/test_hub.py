"""The experiments with published models and data sets, whole, through a model hub on this machine.

Weights and data are small, and everything else is what a user runs: downloads, receipts, exits, guards, paper.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import yaml

import hubfiles
from hub import Hub
from layerwise import plugins
from layerwise.runs.plan import plan
from layerwise.study import loading
from project import Project

TOKEN = "hf_canaryCanaryCanaryCanaryCanaryCanary"
GATED = ("meta-llama/Llama-3.2-11B-Vision-Instruct", "meta-llama/Llama-Guard-3-8B")
# Judges with random weights are wrong on controls.
GO_ON = ("outcome:", "controls: {asserted: false}\noutcome:")
EDITS = {
    "laptop": [("layers: [0, 2, 4, 6, 8, 10, 12]", "layers: [0, 2, 4]"), ("limit: 24", "limit: 2"), GO_ON],
    "paper": [("decoding:", "limit: 2\n\ndecoding:"), GO_ON],
    "paper-lppo": [("decoding:", "limit: 2\n\ndecoding:"), ("max_new_tokens: 128", "max_new_tokens: 16"), GO_ON],
}
# Training as short as can be: three steps of eight answers.
SHORT = {
    "config/models/llava-1.5-7b-lppo.yaml": [
        ("rollouts: 64, batch_size: 16", "rollouts: 8, batch_size: 4, value_warmup: 1"),
        ("learning_rate: 1.0e-5", "learning_rate: 1.0e-2"),
        ("max_new_tokens: 64", "max_new_tokens: 8"),
        ("exits: default", "exits: default\n    steps: 3"),
        ("exits: all", "exits: all, steps: 3"),
    ],
    "config/datasets/redteam-2k.yaml": [("rows: 2000", "rows: 100")],
}
TABLES = {"outcomes", "paired", "margins", "judges", "human-labels", "controls", "agreement", "published"}


@dataclass
class Run:
    """A finished experiment: the copy of the project, its environment, and what snakemake said."""

    name: str
    project: Project
    hub: Hub
    environment: dict[str, str]
    said: str = ""

    @property
    def study(self) -> loading.Study:
        return loading.load(self.project.folder / "config" / f"{self.name}.yaml")

    @property
    def results(self) -> Path:
        return self.project.folder / "results" / self.name

    def snakemake(self, *arguments: str, **more: str) -> str:
        """Run snakemake to a good end; returns what it said."""
        return self.project.run(*arguments, experiment=self.name, **self.environment, **more)

    def rows(self, pattern: str) -> dict[str, list[dict]]:
        """The rows of JSONL files below the results, by the file's path there."""
        return {
            path.relative_to(self.results).as_posix(): [json.loads(line) for line in path.read_text().splitlines()]
            for path in sorted(self.results.glob(pattern))
        }


def places(hub: Hub, folder: Path) -> dict[str, str]:
    """The environment of a user whose hub and caches these are."""
    return {"HF_ENDPOINT": hub.endpoint, "LAYERWISE_CACHE": str(folder / "cache"), "HF_HOME": str(folder / "home")}


@pytest.fixture(scope="module")
def clean():
    """No setting of the hub's comes from the machine of the test."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in [name for name in os.environ if name.startswith(("HF_", "HUGGING"))]:
            patch.delenv(variable)
        yield


@pytest.fixture(
    scope="module", params=["laptop", *(pytest.param(name, marks=pytest.mark.slow) for name in ("paper", "paper-lppo"))]
)
def run(request, tmp_path_factory, clean):
    """An experiment, run to its end: the downloads first, and then the rest with the hub gone."""
    name, folder = request.param, tmp_path_factory.mktemp(request.param)
    project = Project.new(folder / "project")
    for edit in EDITS[name]:
        project.edit(f"config/{name}.yaml", *edit)
    for path, edits in SHORT.items():
        for edit in edits:
            project.edit(path, *edit)
    with Hub(folder / "hub") as hub:
        hubfiles.publish(hub, project, name)
        hub.gated = {repo: {TOKEN} for repo in GATED}
        found = Run(name, project, hub, places(hub, folder))
        found.said = found.snakemake("--until", "fetch", HF_TOKEN=TOKEN)
        downloaded = len(hub.requests)
        found.said += found.snakemake(HF_TOKEN=TOKEN)
        assert len(hub.requests) == downloaded, "what computes asks the hub"
        yield found


def test_every_promised_file_is_there(run):
    for path in (
        run.project.folder / f"paper/{run.name}.pdf",
        *(
            run.results / name
            for name in ("metrics.csv", "paired.csv", "numbers.json", "complete.txt", "agreement.csv")
        ),
    ):
        assert path.stat().st_size > 0, path
    figures = {path.stem for path in (run.project.folder / f"figures/{run.name}").glob("*.pdf")}
    assert figures == {"refusal-and-harm", "outcomes", "toxicity", "ability", "drift", "margin"}
    tables = {path.stem for path in (run.results / "tables").glob("*.tex")}
    missing = {"human-labels"} if run.name == "paper-lppo" else {"adapted"}
    assert tables == (TABLES | {"adapted"}) - missing


def test_every_cell_has_every_prompt_and_every_judge_its_verdicts(run):
    prompts = {row["id"]: row for rows in run.rows("prompts/*.jsonl").values() for row in rows}
    assert {row["dataset"] for row in prompts.values()} == set(run.study.datasets | run.study.training_data)
    prompts = {id: row for id, row in prompts.items() if row["dataset"] in run.study.datasets}
    cells = run.rows("responses/*/*.jsonl")
    assert set(cells) == {
        f"responses/{subject.name}/layer-{layer:02d}.jsonl"
        for subject in run.study.subjects
        for layer in subject.layers
    }
    for name, rows in cells.items():
        assert sorted(row["prompt_id"] for row in rows) == sorted(prompts), name
    assert not list(run.results.rglob("*.status.json"))
    for subject in run.study.subjects:
        for id, judge in run.study.judges.items():
            asked = [
                prompt
                for prompt in prompts.values()
                if prompt["kind"] in plugins.find("judging.judges", judge.judge).Judge.kinds
            ]
            (verdicts,) = run.rows(f"verdicts/{id}/{subject.name}.jsonl").values()
            assert len(asked) * len(subject.layers) == len(verdicts) > 0, id


def test_answers_depend_on_the_exit_layer(run):
    for subject in run.study.subjects:
        cells = run.rows(f"responses/{subject.name}/*.jsonl").values()
        assert len({json.dumps([row["text"] for row in rows]) for rows in cells}) == len(subject.layers)


def test_outcomes_add_up_and_each_judge_counts(run):
    metrics = pd.read_csv(run.results / "metrics.csv")
    outcomes = metrics[metrics.metric.isin(["refusal", "asr", "harmless", "incoherent"])]
    sums = outcomes.groupby(["model", "arm", "dataset", "judge", "layer", "group"], dropna=False).value.sum()
    assert len(sums) and (abs(sums - 1) < 1e-9).all()
    assert {"toxicity", "vqa_accuracy"} <= set(metrics.metric)
    assert set(metrics.model) == {subject.id for subject in run.study.subjects}


def test_published_numbers_stand_beside_measured_ones_where_there_are_any(run):
    table = run.results / "tables/published.csv"
    if run.name == "laptop":
        assert "Nothing is comparable" in table.read_text()
        return
    rows = pd.read_csv(table)
    measured = rows[rows["Measured"] != "not measured"]
    attacks = [data for id, data in run.study.datasets.items() if id not in ("xstest", "vqa-v2")]
    assert set(measured["Test set"]) == {data.display for data in attacks}
    adapted = run.name == "paper-lppo"
    assert set(measured["Quantity"]) == {"ASR (%)", "Toxicity × 100"} | ({"Reward"} if adapted else set())
    for column in ("After ppo", "After lppo") if adapted else ():
        assert measured[column].str.match(r"−?\d").all()


def test_an_adapted_model_is_a_small_delta_on_the_published_one_and_answers_otherwise(run):
    if run.name != "paper-lppo":
        pytest.skip("only this experiment adapts a model")
    arms = {subject.arm: subject for subject in run.study.subjects if subject.arm}
    assert set(arms) == {"ppo", "lppo"}
    texts = {None: [[row["text"] for row in rows] for rows in run.rows("responses/llava-1.5-7b/*.jsonl").values()]}
    for arm, subject in arms.items():
        folder = run.results / "models" / subject.name
        assert {path.name for path in folder.iterdir()} == {"model.safetensors", "below.json"}
        assert json.loads((folder / "below.json").read_text())["below"] == "../../../assets/llava-1.5-7b-lppo.json"
        curve = pd.read_csv(run.results / f"training/{subject.name}.csv")
        assert len(curve) == 3 and curve.kl[0] == 0 and curve.kl[2] > 0 and curve.reward.notna().all()
        texts[arm] = [[row["text"] for row in rows] for rows in run.rows(f"responses/{subject.name}/*.jsonl").values()]
    assert texts["ppo"] != texts[None] and texts["lppo"] != texts[None] and texts["ppo"] != texts["lppo"]
    rows = pd.read_csv(run.results / "tables/adapted.csv")
    assert {"Early", "Middle", "Late", "Default"} == set(rows["Layers"]) and set(rows["Arm"]) == set(arms)
    for metric in ("Guard: unsafe", "Toxicity × 100", "Reward", "VQA accuracy"):
        assert rows[metric].str.contains(" → ").any(), metric


def test_the_token_is_sent_to_the_hub_alone_and_written_nowhere(run):
    if run.name == "paper":
        for repo in GATED:
            assert {asked.get("authorization") for asked in run.hub.asked(f"{repo}/resolve", "HEAD")} >= {
                f"Bearer {TOKEN}"
            }
    for place in ("/blob/", "/files/"):
        assert run.hub.asked(place) and not [asked for asked in run.hub.asked(place) if "authorization" in asked]
    assert TOKEN not in run.said
    run.snakemake("--report", "report.html", HF_TOKEN=TOKEN)
    folder = run.project.folder.parent
    holding = [path for path in folder.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
    assert holding == []


def test_every_source_that_is_asked_is_there(run):
    downloads = plan(run.study, run.project.folder).downloads
    scripts = str(run.project.folder / "workflow/scripts")
    sent = len(run.hub.asked("/blob/"))
    done = subprocess.run(
        [sys.executable, scripts, "plan", "--check", "--experiment", run.name],
        cwd=run.project.folder,
        env={**os.environ, **run.environment, "HF_TOKEN": TOKEN},
        capture_output=True,
        text=True,
    )
    answers = [line for line in done.stdout.splitlines() if line.startswith(("  ok ", "  FAILS "))]
    assert done.returncode == 0 and "FAILS" not in done.stdout, done.stdout + done.stderr
    assert len(answers) == len(downloads)
    assert all("fetched before" in line for line in answers)
    assert sum("HF_TOKEN opens it" in line for line in answers) == sum(one.source.gated for one in downloads)
    assert len(run.hub.asked("/blob/")) == sent, "nothing is downloaded"


def test_a_second_run_plans_nothing(run):
    assert run.project.planned(experiment=run.name) == set()
    assert plan(run.study, run.project.folder).responses.left == 0


def test_a_mirror_added_to_what_was_fetched_reruns_nothing(run):
    path = run.project.folder / "config/datasets/xstest.yaml"
    before = path.read_text()
    values = yaml.safe_load(before)
    mirror = {"kind": "wheel", "package": "acme-data", "version": "1.0", "member": "acme_data/xstest.csv"}
    values["sources"]["prompts"] |= {"mirrors": [mirror], "provenance": "from its authors"}
    path.write_text(yaml.safe_dump(values))
    try:
        assert run.study.sources["xstest.prompts"].mirrors
        assert run.project.planned(experiment=run.name) == set()
    finally:
        path.write_text(before)


def test_no_request_and_no_response_is_shown(run):
    """Report, figures, tables and paper hold numbers about the texts, and none of them."""
    run.snakemake("--report", "report.html")
    rows = [
        row for pattern in ("prompts/*.jsonl", "responses/*/*.jsonl") for row in sum(run.rows(pattern).values(), [])
    ]
    texts = {row["text"][:40] for row in rows if len(row["text"]) > 20 and "\n" not in row["text"][:40]}

    def holds(path: Path) -> bool:
        content = path.read_bytes().decode(errors="replace")
        return any(text in content for text in texts)

    assert all(holds(path) for path in run.results.glob("responses/*/*.jsonl"))
    shown = [
        run.project.folder / "report.html",
        run.results / "numbers.json",  # with figures and tables all that the paper is made from
        *run.results.glob("*.csv"),
        *(run.results / "tables").iterdir(),
        *(run.project.folder / "figures" / run.name).iterdir(),
        run.project.folder / "paper" / f"{run.name}.pdf",
    ]
    assert [path for path in shown if holds(path)] == []


@pytest.mark.parametrize("token", [None, "hf_canaryWithoutAccess"])
def test_a_gated_repository_that_is_refused_is_told_with_its_page(tmp_path, clean, token):
    project = Project.new(tmp_path / "project")
    with Hub(tmp_path / "hub") as hub:
        config_file = hub.folder("models", GATED[0]) / "config.json"
        config_file.parent.mkdir(parents=True)
        config_file.write_text("{}")
        hub.gated = {GATED[0]: {TOKEN}}
        pinned = loading.load(project.folder / "config/paper.yaml").models["llama-3.2-11b-vision"].source.revision
        project.edit("config/models/llama-3.2-11b-vision.yaml", pinned, hub.revision(GATED[0]))
        receipt = "results/assets/llama-3.2-11b-vision.json"
        environment = {**places(hub, tmp_path), **({"HF_TOKEN": token} if token else {})}
        done = project.snakemake("--cores", "1", receipt, experiment="paper", **environment)
    said = done.stdout + done.stderr
    assert done.returncode != 0 and "Traceback" not in said
    assert f"Request access at {hub.endpoint}/{GATED[0]}" in said and "HF_TOKEN" in said
    assert token is None or token not in said
