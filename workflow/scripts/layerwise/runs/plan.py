"""What an experiment will take: cells, responses, downloads, disk, memory and time.

The plan is read from the configuration and the names of existing files; nothing is fetched, and no model is opened. The
number of prompts comes from the data set's file once it is built, until then from the keys `prompts` and `size`.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from layerwise import paths
from layerwise.study import lessons
from layerwise.study.arms import lineage, seed_of
from layerwise.study.config import Dataset, Judge, Model
from layerwise.study.sources import REMARKS, Place, Source
from layerwise.study.study import Study

# A line of the plan: plain text, or name, number and text to align in columns.
Line = str | tuple[str, str, str]

# Bytes that a run writes, measured on finished runs and rounded up.
PER_ROW = 250
PER_TOKEN = 5
PER_IMAGE = {"rendered": 5_000, "fetched": 200_000}
PER_TRAINED_MODEL = 3_000_000
# What `make gpu` measured, once `make gpu-page` has put it there.
MEASURED = paths.ROOT / "docs" / "gpu.json"


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
    """`prompts` by data set (done if its file is built), `cells` and `responses` by model, `trained` by weights.

    `rates` are responses a second of models that were measured on a GPU, `card` is that GPU.
    """

    study: Study
    prompts: dict[str, Count]
    cells: dict[str, Count]
    by_model: dict[str, Count]
    failed: int
    trained: dict[str, bool]
    model_bytes: float
    downloads: list[Download]
    rates: dict[str, float]
    card: str

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
    def responses(self) -> Count:
        """Those of all models."""
        counts = self.by_model.values()
        return Count(sum(count.total for count in counts), sum(count.done for count in counts))

    @property
    def hours(self) -> dict[str, float]:
        """Hours of generation alone by model, at its measured rate, or at the one that the experiment declares."""
        declared = self.study.experiment.responses_per_second
        return {id: count.left / self.rates.get(id, declared) / 3600 for id, count in self.by_model.items()}


def plan(study: Study, root: Path, measured: Path = MEASURED) -> Plan:
    """The plan of a study whose results lie, or will lie, below `root`."""
    run = paths.Run(study.name)
    prompts: dict[str, Count] = {}
    cells: dict[str, Count] = {}
    for id, data in study.datasets.items():
        built = root / run.prompts(id)
        lines = _lines(built)
        prompts[id] = Count(lines, lines) if built.exists() else Count(expected(data, study.experiment.limit), 0)
    by_model: dict[str, Count] = {}
    failed = 0
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
        done = sum(min(_lines(file), asked[file]) for file in there)
        so_far = by_model.get(subject.id, Count(0, 0))
        by_model[subject.id] = Count(so_far.total + sum(asked.values()), so_far.done + done)
    sizes = _trained(study)
    trained = {name: (root / run.weights(name)).exists() for name in sizes}
    downloads = _downloads(study, root)
    rates = _rates(measured)
    return Plan(study, prompts, cells, by_model, failed, trained, sum(sizes.values()), downloads, *rates)


def _rates(measured: Path) -> tuple[dict[str, float], str]:
    """Responses a second of the engine by model, as `make gpu` wrote them, and the card; empty where it did not run."""
    if not measured.exists():
        return {}, ""
    found = json.loads(measured.read_text(encoding="utf-8"))
    rows = {row["id"]: row for row in found["rows"] if row["status"] == "measured"}
    rates = {id.removeprefix("engine: "): row["count"] / row["seconds"] for id, row in rows.items() if "engine: " in id}
    return rates, found["card"]


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
        elif model.organism:
            found[f"{id}.vision.s{subject.seed.partition('a')[0]}"] = PER_TRAINED_MODEL
        for arm in lineage(model.arms, subject.arm):
            size = PER_TRAINED_MODEL if model.organism else lessons.stage(model, arm).size_mb * 1e6
            found[f"{id}.{arm}.s{seed_of(model.arms, arm, subject.seed)}"] = size
    return found


def _downloads(study: Study, root: Path) -> list[Download]:
    same: dict[str, list[str]] = {}
    for id, source in study.sources.items():
        same.setdefault(source.model_dump_json(exclude=set(REMARKS)), []).append(id)
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
        _line("disk", f"about {size_in_words(plan.disk_bytes)} of results, plus the downloads"),
        *_time(plan),
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
    known = size_in_words(1e6 * sum(download.source.size_mb or 0 for download in left))
    unknown = sum(download.source.size_mb is None for download in left)
    lines: list[Line] = [
        _line("downloads", f"{known} to fetch" + (f", plus {unknown} of unknown size" if unknown else ""))
    ]
    for download in plan.downloads:
        source = download.source
        size = size_in_words(source.size_mb * 1e6) if source.size_mb is not None else "?"
        notes = ["done"] if download.done else []
        notes += _terms(source)
        if source.gated:
            notes.append(f"GATED: request access on the page of {source.repo} and set HF_TOKEN")
        if source.kind == "hub" and not re.fullmatch("[0-9a-f]{40}", source.revision or ""):
            notes.append(f"revision '{source.revision}' may move")
        lines.append((shortened(download.ids), size, "; ".join(notes)))
        lines += [("", "", f"mirror: {'; '.join([mirror.where, *_terms(mirror)])}") for mirror in source.mirrors]
    return lines


def _terms(place: Place) -> list[str]:
    """What is known of an asset's licence and origin."""
    return [f"licence: {place.license or 'not stated'}", *filter(None, [place.provenance])]


def shortened(ids: tuple[str, ...]) -> str:
    """The names of one download, or the first name and the number of others."""
    return ", ".join(ids) if len(ids) < 3 else f"{ids[0]} and {len(ids) - 1} more"


def _line(name: str, text: str) -> str:
    return f"{name:<11}{text}"


def _aligned(lines: list[Line]) -> Iterator[str]:
    """Plain lines unchanged, and items in columns as wide as the longest name."""
    width = max((len(line[0]) for line in lines if isinstance(line, tuple)), default=0)
    for line in lines:
        yield line if isinstance(line, str) else f"  {line[0]:<{width}} {line[1]:>9}  {line[2]}"


def size_in_words(size: float) -> str:
    """A number of bytes, rounded up."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{math.ceil(size / 1e6):,} MB"


def _time(plan: Plan) -> list[Line]:
    if not plan.responses.left:
        return [_line("time", "nothing left to generate")]
    declared = f"{plan.study.experiment.responses_per_second:g} responses per second (declared, not measured)"
    measured = [id for id in plan.hours if id in plan.rates]
    how = f" at {declared}" if not measured else ""
    minutes = plan.study.experiment.training_minutes
    training = f", {minutes:g} min of training" if minutes and not all(plan.trained.values()) else ""
    on_top = "judging" if minutes or not plan.trained else "training and judging"
    hours = _hours(sum(plan.hours.values()))
    lines: list[Line] = [_line("time", f"about {hours} of generation{how}{training}; {on_top} on top")]
    for id, spent in plan.hours.items() if measured else ():
        rate = f"{plan.rates[id]:.3g} responses per second, measured on {plan.card}" if id in plan.rates else declared
        lines.append((id, _hours(spent), f"at {rate}"))
    return lines


def _hours(hours: float) -> str:
    return f"{hours:,.1f} h" if hours >= 1 else f"{math.ceil(hours * 60)} min"
