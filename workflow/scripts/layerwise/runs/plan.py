"""What an experiment will take: cells, responses, downloads, disk, memory and time.

The plan is read from the configuration and the names of existing files; nothing is fetched, and no model is opened. The
number of prompts comes from the data set's file once it is built, until then from the keys `prompts` and `size`.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from layerwise import paths
from layerwise.jobs.specs import stage
from layerwise.study.arms import lineage, seed_of
from layerwise.study.config import Dataset, Judge, Model
from layerwise.study.sources import Source
from layerwise.study.study import Study

# A line of the plan: plain text, or name, number and text to align in columns.
Line = str | tuple[str, str, str]

# Bytes that a run writes, measured on finished runs and rounded up.
PER_ROW = 250
PER_TOKEN = 5
PER_IMAGE = {"rendered": 5_000, "fetched": 200_000}
PER_TRAINED_MODEL = 3_000_000


@dataclass(frozen=True)
class Count:
    """How many there will be of something, and how many there are already."""

    total: int
    done: int

    @property
    def left(self) -> int:
        return self.total - self.done


@dataclass(frozen=True)
class Download:
    """One asset to fetch. Assets with the same source, such as an archive that two data sets read, count as one."""

    ids: tuple[str, ...]
    source: Source
    done: bool


@dataclass(frozen=True)
class Plan:
    """`prompts` by data set (done if its file is built), `cells` by model, `trained` by name of the weights."""

    study: Study
    prompts: dict[str, Count]
    cells: dict[str, Count]
    responses: Count
    failed: int
    trained: dict[str, bool]
    model_bytes: float
    downloads: list[Download]

    @property
    def disk_bytes(self) -> float:
        """Size of all results, including images and trained models, excluding downloads."""
        experiment = self.study.experiment
        rows = self.responses.total * (1 + len(self.study.judges))
        images = 0
        for id, data in self.study.datasets.items():
            if data.image != "none":
                images += self.prompts[id].total * PER_IMAGE["fetched" if data.sources else "rendered"]
        texts = self.responses.total * experiment.decoding.max_new_tokens * PER_TOKEN
        return rows * PER_ROW + texts + images + self.model_bytes

    @property
    def hours(self) -> float:
        """Hours of generation alone, at the throughput that the experiment declares."""
        return self.responses.left / self.study.experiment.responses_per_second / 3600


def plan(study: Study, root: Path) -> Plan:
    """The plan of a study whose results lie, or will lie, below `root`."""
    run = paths.Run(study.name)
    prompts: dict[str, Count] = {}
    cells: dict[str, Count] = {}
    for id, data in study.datasets.items():
        built = root / run.prompts(id)
        lines = _lines(built)
        prompts[id] = Count(lines, lines) if built.exists() else Count(expected(data, study.experiment.limit), 0)
    total = done = failed = 0
    for subject in study.subjects:
        files = [root / path for path in run.responses(subject.name, subject.layers)]
        there = [file for file in files if file.exists()]
        before = cells.get(subject.id, Count(0, 0))
        cells[subject.id] = Count(before.total + len(files), before.done + len(there))
        failed += sum(paths.status(file).exists() for file in files)
        asked = {file: 0 for file in files}
        for id, layers in subject.asked.items():
            for layer in layers:
                asked[root / run.responses(subject.name, [layer])[0]] += prompts[id].total
        total += sum(asked.values())
        done += sum(min(_lines(file), asked[file]) for file in there)
    sizes = _trained(study)
    trained = {name: (root / run.weights(name)).exists() for name in sizes}
    responses = Count(total, done)
    return Plan(study, prompts, cells, responses, failed, trained, sum(sizes.values()), _downloads(study, root))


def expected(data: Dataset, limit: int | None) -> int:
    """The number of prompts to build: the declared number, scaled down if `limit` cuts the clusters."""
    everything = data.prompts or data.size or 0
    clusters = data.size or everything
    return everything if limit is None or limit >= clusters else math.ceil(everything * limit / clusters)


def _trained(study: Study) -> dict[str, float]:
    """Bytes by name of everything trained, each once: every arm of a lineage, and what the base arm starts from."""
    found: dict[str, float] = {}
    for subject in study.subjects:
        if subject.arm is None or subject.seed is None:  # a published model has neither
            continue
        id, model = subject.model.weights_of or subject.id, subject.model
        if model.assembled:
            found[f"{id}.backbones"] = model.assembled.size_mb * 1e6
        else:
            found[f"{id}.vision.s{subject.seed.partition('a')[0]}"] = PER_TRAINED_MODEL
        for arm in lineage(model.arms, subject.arm):
            size = stage(model, arm).size_mb * 1e6 if model.assembled else PER_TRAINED_MODEL
            found[f"{id}.{arm}.s{seed_of(model.arms, arm, subject.seed)}"] = size
    return found


def _downloads(study: Study, root: Path) -> list[Download]:
    same: dict[str, list[str]] = {}
    for id, source in study.sources.items():
        same.setdefault(source.model_dump_json(exclude={"size_mb", "gated", "license"}), []).append(id)
    found = []
    for ids in same.values():
        done = any((root / paths.receipt(id)).exists() for id in ids)
        found.append(Download(tuple(ids), study.sources[ids[0]], done))
    return found


def _lines(path: Path) -> int:
    if not path.exists():
        return 0
    with open(path, "rb") as stream:
        return sum(1 for _ in stream)


def render(plan: Plan) -> str:
    """The plan as text for a terminal."""
    sections = [
        f"{plan.study.name}: {plan.study.experiment.title}\n",
        *_prompts(plan),
        *_models(plan),
        *_gpus(plan),
        *_fetched(plan),
        _line("disk", f"about {_size(plan.disk_bytes)} of results, plus the downloads"),
        _line("time", _time(plan)),
    ]
    return "\n".join(_aligned(sections))


def _prompts(plan: Plan) -> list[Line]:
    lines: list[Line] = [_line("prompts", f"{sum(count.total for count in plan.prompts.values()):,}")]
    for id, count in plan.prompts.items():
        state = "built" if count.done else f"to build{'' if count.total else ', number not declared'}"
        lines.append((id, f"{count.total:,}", state))
    return lines


def _models(plan: Plan) -> list[Line]:
    cells = list(plan.cells.values())
    total, done = sum(count.total for count in cells), sum(count.done for count in cells)
    lines: list[Line] = [_line("cells", f"{total:,} (model x exit layer), {done:,} done")]
    for id, count in plan.cells.items():
        lines.append((id, f"{count.total:,}", f"{count.done:,} done; {_needs(plan.study.models[id])}"))
    if plan.failed:
        lines.append(_line("", f"{plan.failed} failed before and will be retried"))
    if plan.trained:
        lines.append(_line("training", f"{len(plan.trained)} models, {sum(plan.trained.values())} done"))
    unknown = "" if all(count.total for count in plan.prompts.values()) else ", plus those to prompts of unknown number"
    lines.append(_line("responses", f"{plan.responses.left:,} of {plan.responses.total:,} still to generate{unknown}"))
    return lines


def _gpus(plan: Plan) -> list[Line]:
    """The judges that also need a GPU, and the number of processes that share the GPUs."""
    study, experiment = plan.study, plan.study.experiment
    judges = {id: judge for id, judge in study.judges.items() if judge.gpu_memory_gb}
    models = [subject for subject in study.subjects if subject.model.gpu_memory_gb]
    if not judges and not models:
        return []
    size = experiment.layers_per_job
    parts = sum(1 if size == "all" else math.ceil(len(subject.layers) / size) for subject in models)
    line = f"{parts} generating processes, {len(judges)} judges; each claims its own (`layers_per_job` makes more)"
    return [_line("GPUs", line), *((id, "", _needs(judge)) for id, judge in judges.items())]


def _needs(settings: Model | Judge) -> str:
    count, memory = getattr(settings, "gpus", 1), f"{settings.gpu_memory_gb:g} GB"
    if not settings.gpu_memory_gb:
        return "no GPU needed"
    return f"GPU with {memory}" if count == 1 else f"{count} GPUs with {memory} in all"


def _fetched(plan: Plan) -> list[Line]:
    if not plan.downloads:
        return [_line("downloads", "none; no network is needed")]
    left = [download for download in plan.downloads if not download.done]
    known = _size(1e6 * sum(download.source.size_mb or 0 for download in left))
    unknown = sum(download.source.size_mb is None for download in left)
    lines: list[Line] = [
        _line("downloads", f"{known} to fetch" + (f", plus {unknown} of unknown size" if unknown else ""))
    ]
    for download in plan.downloads:
        source = download.source
        size = _size(source.size_mb * 1e6) if source.size_mb is not None else "?"
        notes = ["done"] if download.done else []
        notes.append(f"licence: {source.license or 'not stated'}")
        if source.gated:
            notes.append(f"GATED: request access on the page of {source.repo} and set HF_TOKEN")
        if source.kind == "hub" and not re.fullmatch("[0-9a-f]{40}", source.revision or ""):
            notes.append(f"revision '{source.revision}' may move")
        lines.append((_shortened(download.ids), size, "; ".join(notes)))
    return lines


def _shortened(ids: tuple[str, ...]) -> str:
    """The names of one download, or the first name and the number of others."""
    return ", ".join(ids) if len(ids) < 3 else f"{ids[0]} and {len(ids) - 1} more"


def _line(name: str, text: str) -> str:
    return f"{name:<11}{text}"


def _aligned(lines: list[Line]) -> Iterator[str]:
    """Plain lines unchanged, and items in columns as wide as the longest name."""
    width = max((len(line[0]) for line in lines if isinstance(line, tuple)), default=0)
    for line in lines:
        yield line if isinstance(line, str) else f"  {line[0]:<{width}} {line[1]:>9}  {line[2]}"


def _size(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{math.ceil(size / 1e6):,} MB"


def _time(plan: Plan) -> str:
    if not plan.responses.left:
        return "nothing left to generate"
    hours = f"{plan.hours:,.1f} h" if plan.hours >= 1 else f"{math.ceil(plan.hours * 60)} min"
    rate = f"{plan.study.experiment.responses_per_second:g} responses per second"
    minutes = plan.study.experiment.training_minutes
    training = f", {minutes:g} min of training" if minutes and not all(plan.trained.values()) else ""
    on_top = "judging" if minutes or not plan.trained else "training and judging"
    return f"about {hours} of generation at {rate}{training}; {on_top} on top"
