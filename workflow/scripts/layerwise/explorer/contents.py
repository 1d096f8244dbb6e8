"""Everything that goes into the page, and what is left out where the page would be too large."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import yaml

from layerwise.analysis import results
from layerwise.explorer import document, sources, study, tables
from layerwise.explorer.answers import Answers
from layerwise.explorer.pictures import Pictures
from layerwise.paths import ROOT, Run
from layerwise.records import Prompt
from layerwise.report.style import Style
from layerwise.runs import provenance
from layerwise.study import loading
from layerwise.vocabulary import KINDS

MEGABYTE = 1_000_000
SEEDS_WITH_MARGINS = 3


class Files(NamedTuple):
    """What the page is made from, besides responses and verdicts: files of prompts, tables of results, numbers.json."""

    prompts: Sequence[Path]
    results: Sequence[Path]
    numbers: Path


def page(experiment: str, spec: dict, files: Files, prompts: Sequence[tuple[Prompt, Path]], said: Answers) -> bytes:
    """The page of an experiment, as large as the limit that the spec gives in megabytes allows."""
    run, limit = Run(experiment), spec["megabytes"] * MEGABYTE
    style = Style(loading.load(run.config))
    read = results.read(files.results)
    front = {
        "subjects": study.subjects(spec["subjects"], read.get("probes"), style),
        "datasets": study.datasets(spec, style),
        "judges": study.judges(spec, style),
        "roles": spec["outcome"],
        "kind_names": KINDS,
        "marks": study.marks(said.marks(), said.vision[1]["metric"] if said.vision else None),
        "metrics": study.metrics(spec),
        "models": {subject["id"]: style.model(subject["id"]) for subject in spec["subjects"]},
        "rows": tables.table(read.pop("metrics")),
    }
    details = {
        "tables": {name: tables.table(frame) for name, frame in read.items() if name != "probes"},
        "numbers": tables.numbers(files.numbers),
        "provenance": sources.jobs(run.numbers, provenance.jobs(Path())),
    }
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    about = {
        "experiment": experiment,
        "title": style.study.experiment.title,
        "version": citation["version"],
        "commit": sources.commit(),
        "pins": spec["pins"],
        "files": sources.checksums([*files.prompts, *files.results, files.numbers]),
    }
    clusters, margins = said.clusters(), [True] * len(said.cells)
    keep = len(clusters)
    while True:
        made = laid(front, details, about, prompts, said, frozenset(clusters[:keep]), margins)
        if len(made) <= limit or not keep:
            return made
        if all(margins) and any(few := few_seeds(spec["subjects"])) and not all(few):
            margins = few
        else:
            keep = min(keep - 1, int(keep * 0.95 * limit / len(made)))


def few_seeds(subjects: Sequence[dict]) -> list[bool]:
    """For each subject, whether it is among the first few seeds of its arm."""
    counts: dict[tuple, int] = {}
    found = []
    for subject in subjects:
        key = (subject["id"], subject["arm"])
        counts[key] = counts.get(key, 0) + 1
        found.append(counts[key] <= SEEDS_WITH_MARGINS)
    return found


def laid(
    front: dict,
    details: dict,
    about: dict,
    prompts: Sequence[tuple[Prompt, Path]],
    said: Answers,
    kept: frozenset[str],
    margins: list[bool],
) -> bytes:
    """A page with the words and images of some clusters, and the margins of some subjects."""
    arrays, texts = said.packed(kept, margins)
    pictures = Pictures()
    pictured = {dataset["id"] for dataset in front["datasets"] if dataset["pictures"]}
    pictures.add(
        (prompt, folder) for prompt, folder in prompts if prompt.dataset in pictured and prompt.cluster in kept
    )
    listed = [prompt for prompt, _ in prompts]
    fields = ("id", "dataset", "kind", "cluster", "target", "image", "image_sha256")
    columns = {field: tables.column(getattr(prompt, field) for prompt in listed) for field in fields}
    columns["text"] = tables.column(prompt.text for prompt in listed)
    columns["attributes"] = [prompt.attributes for prompt in listed]
    columns["picture"] = [pictures.number.get(prompt.image_sha256 or "") for prompt in listed]
    clusters = len({prompt.cluster for prompt in listed})
    left_out = [
        *([] if all(margins) else [f"margins of all but the first {SEEDS_WITH_MARGINS} seeds of an arm"]),
        *([] if len(kept) == clusters else [f"words and images of {clusters - len(kept)} of {clusters} clusters"]),
    ]
    more = {"prompts": columns, "texts": texts, "pictures": pictures.listed}
    first = {**front, "about": {**about, "left_out": left_out}}
    return document.document(about["title"], first, {**details, **more}, arrays, "".join(pictures.text))
