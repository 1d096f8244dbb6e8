"""A judge, a figure, a table, a data set and an arm are added, each as one file or one line, and the run has them.

A figure is also a line of the paper; a judge and a data set are also a YAML file, which the experiment names.
"""

import filecmp
import json
import re

import pandas as pd
import pytest
from pypdf import PdfReader

from layerwise.records import Response, Verdict, read, read_prompts
from project import PARTS, Project
from smokejobs import FROM_FEATURES, GENERATING

LIBRARY = "workflow/scripts/layerwise"
BUILDER = '''"""Errands: questions of use beside a grey image."""

from pathlib import Path

from layerwise.prompts.images import png, save_image
from layerwise.records import Prompt
from layerwise.study.settings import Settings
from layerwise.world import language

SOURCES: dict[str, bool] = {}
TWINS = False


class Options(Settings):
    """None."""


def kinds(options: Options) -> frozenset[str]:
    return frozenset({"harmful"})


def build(spec: dict, sources: dict[str, Path], folder: Path) -> list[Prompt]:
    import numpy as np

    grey, prompts = png(np.full((40, 40, 3), 127, np.uint8)), []
    for number, text in enumerate(language.USE_QUESTIONS[: spec["size"]]):
        name = f"{spec['dataset']}-{number}"
        image = save_image(grey, folder, spec["dataset"], name, origin=name)
        target = language.use_answer(number)
        prompts.append(Prompt(name, spec["dataset"], text, kind="harmful", cluster=name, target=target, **image))
    return prompts
'''
JUDGE = '''"""Brevity: whether an answer has few words."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from layerwise.judging.judges import Measure
from layerwise.records import Prompt, Response
from layerwise.study.settings import Positive, Settings
from layerwise.vocabulary import Metric

WEIGHTS = ()
MEASURES = (Measure("brief", "harmful", "few words", about=Metric("Brief")),)
CLAIMS: dict[str, str] = {}


class Options(Settings):
    """What is brief."""

    words: Positive = Field(1, description="Most words of a brief answer.")


class Judge:
    """`few words` or `many words`. No score."""

    kinds = frozenset({"harmful"})
    sees = ()
    labels = ("few words", "many words")
    batch_size = 4096

    def __init__(self, options: Options, weights: Sequence[Path] = ()) -> None:
        self.words = options.words

    def __call__(self, pairs: Sequence[tuple[Prompt, Response]]) -> list[tuple[str, float | None]]:
        lengths = [len(response.text.split()) for _, response in pairs]
        return [("few words" if length <= self.words else "many words", None) for length in lengths]
'''
FIGURE = '''"""How often answers are brief, by exit layer."""

from layerwise.analysis import results
from layerwise.report import captions, lines, shown

INPUTS = ("metrics",)
WHEN = ["brief"]
METRICS = {"brief": "Brief answers"}


def data(frames, subjects):
    return shown.cells(frames["metrics"], results.studied(subjects), list(METRICS))


def draw(data, style):
    data = data.assign(line=lines.named(data))
    return lines.by_metric(data, style, METRICS, lines.looks(data, style))


def caption(data, style):
    return captions.join("How brief the answers are, by exit layer.", captions.settings(data, style))


def finding(frames, subjects, names):
    yield f"Brevity was measured on {data(frames, subjects)['dataset'].nunique()} data sets."
'''
TABLE = '''"""The briefest model."""

from layerwise.report.text import Table

INPUTS = ("metrics",)
WHEN = ["brief"]


def table(frames, spec, names):
    metrics = frames["metrics"]
    rows = metrics[(metrics["metric"] == "brief") & metrics["layer"].notna()]
    return Table(rows[["arm", "layer", "dataset", "value"]].sort_values("value").tail(1), "One row.")
'''
ADDED = {
    f"{LIBRARY}/prompts/builders/errands.py": BUILDER,
    f"{LIBRARY}/judging/judges/brevity.py": JUDGE,
    f"{LIBRARY}/report/figures/brief_answers.py": FIGURE,
    f"{LIBRARY}/report/tables/briefest.py": TABLE,
    "config/datasets/errands.yaml": "display: Errands\nbuilder: errands\nseed: 1\nsize: 4\n",
    "config/judges/brevity.yaml": "display: Brevity\njudge: brevity\noptions: {words: 3}\n",
}
EDITED = {
    "config/smoke.yaml": {
        "world-vqa]": "world-vqa, errands]",
        "toxicity, vqa]": "toxicity, vqa, brevity]",
        "broad-default]": "broad-default, broad-again]",
    },
    "config/models/organism-smoke.yaml": {
        "arms: {": "arms: {broad-again: {from: broad-none, method: sft, exits: [0, 7], steps: 5}, "
    },
    "paper/main.typ": {'#plot("ability")': '#plot("ability", "brief-answers") #seen("brief-answers")'},
}
ARMS = ("broad-none", "broad-default", "broad-again")
SUBJECTS = [f"organism-smoke.{arm}.s100" for arm in ARMS]


def sources(project: Project) -> set[str]:
    """The files of the project, without what a run makes."""
    places = [project.folder / part for part in PARTS]
    files = [file for place in places for file in ([place] if place.is_file() else place.rglob("*.*"))]
    names = {file.relative_to(project.folder).as_posix() for file in files if file.is_file()}
    return {name for name in names if not name.endswith((".pyc", ".pdf"))}


@pytest.fixture
def project(project):
    """A copy of the finished smoke experiment, with the additions."""
    for path, text in ADDED.items():
        (project.folder / path).write_text(text)
    for path, changes in EDITED.items():
        for old, new in changes.items():
            project.edit(path, old, new)
    return project


def test_what_is_added_is_planned_and_what_was_trained_and_built_stays(project):
    assert project.planned() == GENERATING | FROM_FEATURES | {
        "train_arm organism-smoke broad-again 100",
        "build_prompts errands",
        "generate organism-smoke.broad-again.s100",
        "judge brevity",
        "figure brief-answers",
        "table briefest",
    }


@pytest.mark.slow
def test_what_is_added_is_run_drawn_and_printed(finished, project):
    project.run()

    # What was there is kept, and every subject has answered and is judged.
    run = project.folder / "results/smoke"
    asked = {prompt.id: prompt.dataset for prompt, _ in read_prompts(sorted((run / "prompts").glob("*.jsonl")))}
    for subject in SUBJECTS:
        for layer in (0, 7):
            path = f"responses/{subject}/layer-{layer:02d}.jsonl"
            assert {row.prompt_id for row in read(run / path, Response)} == set(asked)
            before = finished.folder / "results/smoke" / path
            assert not before.exists() or set(before.open()) < set((run / path).open())
        verdicts = read(run / "verdicts/brevity" / f"{subject}.jsonl", Verdict)
        assert {asked[verdict.prompt_id] for verdict in verdicts} >= {"errands", "world-deep"}
        assert {verdict.label for verdict in verdicts} <= {"few words", "many words"}
    metrics = pd.read_csv(run / "metrics.csv")
    brief = metrics[(metrics["metric"] == "brief") & metrics["layer"].notna() & (metrics["group"] != "Default")]
    assert set(brief["arm"]) == set(ARMS) and set(brief["judge"]) == {"brevity"}
    assert set(brief.loc[brief["dataset"] == "errands", "n"]) == {4}
    assert brief["value"].between(0, 1).all()

    # It is drawn, laid out and printed.
    drawn = pd.read_csv(project.folder / "figures/smoke/brief-answers.csv")
    assert set(drawn["arm"]) == set(ARMS) and set(drawn["metric"]) == {"brief"}
    numbers = json.loads((run / "numbers.json").read_text(encoding="utf-8"))
    assert numbers["brief.broad-again.errands.layer-00"]["text"].endswith("%")
    assert "Brief" in pd.read_csv(run / "tables/outcomes.csv").columns
    assert len(pd.read_csv(run / "tables/briefest.csv")) == 1
    pages = " ".join(page.extract_text() for page in PdfReader(project.folder / "paper/smoke.pdf").pages)
    text = re.sub(r"\s+", " ", pages)
    assert "How brief the answers are, by exit layer." in text
    assert numbers["seen.brief-answers"]["text"] in text

    # Nothing else of the project is another.
    there = sources(project)
    assert there - sources(finished) == set(ADDED)
    assert set(filecmp.cmpfiles(project.folder, finished.folder, there - set(ADDED), shallow=False)[1]) == set(EDITED)
