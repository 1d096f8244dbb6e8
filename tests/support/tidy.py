"""Small but whole result files, for the tests of figures, tables and numbers: experiments with made-up values.

Values are drawn at random with a fixed seed, within what is possible (the outcomes add up to 1), so a test that
passes does not hang on their shape.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from conftest import ROOT
from layerwise.analysis import results
from layerwise.analysis.outcomes import source
from layerwise.jobs import specs
from layerwise.study import loading
from layerwise.vocabulary import MARGIN_OF, OUTCOME_OF, possible

COLUMNS = ["model", "arm", "seed", "dataset", "layer", "group", "judge", "metric", "value", "low", "high", "n"]
EXPERIMENTS = {
    "tiny": """
title: Tiny
seeds: [100, 201]
models:
  - {id: organism, arms: [broad-none, broad-default]}
  - {id: organism-f2, arms: [broad-default], seeds: first}
datasets: [world-deep, world-shallow, world-vqa]
judges: [truth, toxicity, vqa]
outcome: {truth: truth}
palette: {broad-none: "#000000"}
""",
    "short": """
title: One seed, two layers
seeds: [100]
layers: [0, 7]
models:
  - {id: organism, arms: [broad-none, broad-default]}
datasets: [world-deep, world-shallow, world-vqa]
judges: [truth, toxicity, vqa]
outcome: {truth: truth}
""",
    "real": """
title: Published models
models: [llava-1.5-7b, llama-3.2-11b-vision]
datasets: [advbench-coco, xstest, vqa-v2]
judges: [refusal, coherence, toxicity, vqa]
outcome: {refusal: refusal, coherence: coherence, harm: toxicity}
""",
    "answered": """
title: No judge of harm
models: [llava-1.5-7b]
datasets: [advbench-coco, xstest, vqa-v2]
judges: [refusal, coherence, vqa]
outcome: {refusal: refusal, coherence: coherence}
""",
    "assembled": """
title: An assembled model, and a variant of it
seeds: [11, 12]
layers: [2, 11, 12]
models:
  - {id: dino-smol-135m, arms: [narrow-text, narrow-default]}
  - {id: dino-smol-135m-shuffled, arms: [narrow-default], seeds: first}
datasets: [wheels-advbench, everyday, easy-vqa]
judges: [refusal, coherence, vqa]
outcome: {refusal: refusal, coherence: coherence}
""",
}


CUES = ("shallow", "deep", "deep_cells", "deep_pairwise")
LIMITS = {"refusal_gap": (-1, 1), "margin": (-9, 9), "margin_on_benign": (-9, 9)}


class Results:
    """An experiment's study, its spec and its frames."""

    def __init__(self, folder: Path, name: str) -> None:
        if not (folder / "config").exists():
            shutil.copytree(ROOT / "config", folder / "config")
            for experiment, text in EXPERIMENTS.items():
                (folder / "config" / f"{experiment}.yaml").write_text(text)
        self.folder = folder
        self.study = loading.load(folder / "config" / f"{name}.yaml")
        self.spec = json.loads(specs.Specs(self.study).aggregate("figure"))
        self.subjects = results.subjects(self.spec["subjects"])
        self.frames = {"metrics": metrics(self.study), "probes": probes(self.study), "paired": paired(self.study)}
        self.frames["margins"] = margins(self.study)

    def write(self, folder: Path) -> list[Path]:
        """The frames as files, as the rules lay them out."""
        paths = []
        for name, table in self.frames.items():
            parts = dict(list(table.groupby("subject"))) if name == "probes" else {name: table}
            for stem, part in parts.items():
                path = folder / ("probes" if name == "probes" else ".") / f"{stem}.csv"
                path.parent.mkdir(parents=True, exist_ok=True)
                part.to_csv(path, index=False)
                paths.append(path)
        return paths


def metrics(study: loading.Study) -> pd.DataFrame:
    """A metrics table: single layers, the default layer's group, groups, means over seeds."""
    draw = np.random.default_rng(7)
    rows = []
    for subject in study.subjects:
        for layer in subject.layers:
            for dataset in study.datasets:
                for judge, metric, value, n in _values(draw, dataset, study):
                    least, most = LIMITS.get(metric, (0, 1))
                    about = (subject.id, subject.arm or "", subject.seed or "", dataset)
                    group = _group(layer, subject.model.blocks)
                    rows.append(
                        (
                            *about,
                            layer,
                            group,
                            judge,
                            metric,
                            value,
                            max(least, value - 0.07),
                            min(most, value + 0.07),
                            n,
                        )
                    )
                    if layer == subject.model.default_layer:
                        rows.append((*about, layer, "Default", *rows[-1][6:]))
    table = pd.DataFrame(rows, columns=COLUMNS)
    own = table[(table["group"] != "") & (table["group"] != "Default")]
    keys = ["model", "arm", "seed", "dataset", "group", "judge", "metric"]
    over = {key: (key, "mean") for key in ("value", "low", "high")}
    groups = own.groupby(keys, sort=False).agg(**over, n=("n", "sum")).reset_index()
    table = pd.concat([table, groups])
    keys = ["model", "arm", "dataset", "layer", "group", "judge", "metric"]
    over = {"value": ("value", "mean"), "low": ("value", "min"), "high": ("value", "max"), "n": ("value", "count")}
    seeds = table.groupby(keys, dropna=False, sort=False).agg(**over).reset_index().assign(seed="all")
    table = pd.concat([table, seeds[seeds["n"] > 1]], ignore_index=True)[COLUMNS]
    return table.astype({"layer": "Int64", "n": int})


def _values(draw: np.random.Generator, dataset: str, study: loading.Study) -> list[tuple[str, str, float, int]]:
    if "vqa" in dataset:
        return [("vqa", "vqa_accuracy", draw.random(), 50)]
    roles = study.experiment.outcome.model_dump()
    judge, outcomes = source(roles), possible(roles)
    shares = draw.dirichlet([1] * len(outcomes))
    metrics_of = {outcome: metric for metric, outcome in OUTCOME_OF.items()}
    found = [(judge, metrics_of[outcome], share, 40) for outcome, share in zip(outcomes, shares, strict=True)]
    over_refusal = draw.random()
    found += [(judge, "over_refusal", over_refusal, 40), (judge, "refusal_gap", shares[0] - over_refusal, 40)]
    if "harmful" in outcomes:
        found.append((judge, "harmful_on_benign", draw.random(), 40))
    if "toxicity" in study.judges:
        found.append(("toxicity", "toxicity", draw.random(), 40))
    found += [("", metric, draw.uniform(-4, 4), 40) for metric in MARGIN_OF.values()]
    return found


def _group(layer: int, blocks: int) -> str:
    return ("Early", "Middle", "Late")[3 * (layer - 1) // blocks] if layer else ""


def probes(study: loading.Study) -> pd.DataFrame:
    """Probes of the arm that is probed, and of models of the real world their drift alone."""
    draw = np.random.default_rng(8)
    rows = []
    for subject in study.subjects:
        if subject.arm not in (None, "broad-default") and not subject.model.assembled:
            continue
        cues = [("item", "accuracy"), *((name, "auc") for name in CUES)] if subject.model.organism else []
        for layer in subject.layers:
            for probe, metric in [*cues, ("drift_cosine", "mean"), ("drift_norm", "mean")]:
                value = draw.random()
                rows.append((subject.name, layer, probe, metric, value, value - 0.02, value + 0.02, 300, None))
            for cell in range(25) if subject.model.organism else ():
                rows.append((subject.name, layer, "deep_cell", "auc", 0.4 + cell / 50, 0.3, 0.95, 300, cell))
    columns = ["subject", "layer", "probe", "metric", "value", "low", "high", "n", "cell"]
    return pd.DataFrame(rows, columns=columns).astype({"layer": "Int64", "cell": "Int64"})


def margins(study: loading.Study) -> pd.DataFrame:
    """How well margins tell refusals: over all data sets, and on each."""
    draw = np.random.default_rng(10)
    rows = []
    for subject in study.with_margin:
        for dataset in ("", *(id for id in study.datasets if "vqa" not in id)):
            area = draw.uniform(0.8, 1)
            about = (subject.id, subject.arm or "", subject.seed or "", dataset, "auc")
            rows.append((*about, area, area - 0.02, min(1, area + 0.02), 80))
    return pd.DataFrame(rows, columns=["model", "arm", "seed", "dataset", "metric", "value", "low", "high", "n"])


def paired(study: loading.Study) -> pd.DataFrame:
    draw = np.random.default_rng(9)
    rows = []
    for subject in study.subjects:
        seed = subject.seed or ""
        for layer in set(subject.layers) - {subject.model.default_layer}:
            for dataset in study.datasets:
                of_harm = "asr" if "harmful" in possible(study.experiment.outcome.model_dump()) else "answered"
                metric = "vqa_accuracy" if "vqa" in dataset else of_harm
                value = draw.uniform(-1, 1)
                test = (40, 5, 3, draw.random(), draw.random())
                about = (subject.id, subject.arm or "", seed, dataset, layer, metric)
                rows.append((*about, value, max(-1, value - 0.1), min(1, value + 0.1), *test))
    columns = "model arm seed dataset layer metric difference low high n b c p p_holm".split()
    return pd.DataFrame(rows, columns=columns).astype({"layer": "Int64"})
