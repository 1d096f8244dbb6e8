"""Build the explorer: one page with all prompts, images, responses and verdicts of an experiment, to be opened offline.

Equal results and code give equal bytes. If the page would be larger than its limit, margins of all but three seeds go
first, then the words and images of some clusters, the last by the hash of their names; the page says what is left out.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from layerwise import records
from layerwise.analysis import results
from layerwise.explorer import answers, document, sources, study, tables
from layerwise.explorer.answers import Answers
from layerwise.explorer.pictures import Pictures
from layerwise.files import atomic
from layerwise.jobs import program
from layerwise.paths import ROOT, Run
from layerwise.records import Prompt
from layerwise.report.style import Style
from layerwise.runs import provenance
from layerwise.study import loading
from layerwise.vocabulary import KINDS

MEGABYTE = 1_000_000
SEEDS_WITH_MARGINS = 3


def main(argv: list[str]) -> None:
    options = program.parser(__doc__)
    options.add_argument("--experiment", required=True, help="the experiment whose YAML file gives names and colours")
    for name, what in (
        ("prompts", "prompts files of all data sets"),
        ("responses", "response files of all subjects and exit layers"),
        ("verdicts", "verdicts files of all judges and subjects"),
        ("results", "tables of results: metrics, paired, probes, …"),
    ):
        options.add_argument(f"--{name}", type=Path, nargs="*", default=[], help=what)
    options.add_argument("--numbers", type=Path, required=True, help="numbers.json")
    options.add_argument("--output", type=Path, required=True, help="the page, HTML")
    given = options.parse_args(argv)
    spec = given.spec
    prompts = list(records.read_prompts(given.prompts))
    said = Answers([prompt for prompt, _ in prompts], spec["judges"], spec["outcome"])
    parts = answers.of_subjects(spec["subjects"], given.responses, given.verdicts)
    for subject, responses, verdicts in program.progress(parts, len(spec["subjects"]), "subjects"):
        said.add(subject["layers"], responses, verdicts)
    size = len(page := build(given, prompts, said))
    with atomic(given.output, binary=True) as stream:
        stream.write(page)
    print(f"{given.output}: {size / MEGABYTE:.1f} MB", file=sys.stderr)


def build(given: Any, prompts: Sequence[tuple[Prompt, Path]], said: Answers) -> bytes:
    """The largest page within the limit that the spec gives, in megabytes."""
    spec = given.spec
    run, limit = Run(given.experiment), spec["megabytes"] * MEGABYTE
    style = Style(loading.load(run.config))
    read = results.read(given.results)
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
        "numbers": tables.numbers(given.numbers),
        "provenance": sources.jobs(run.numbers, provenance.jobs(Path())),
    }
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    about = {
        "experiment": given.experiment,
        "title": style.study.experiment.title,
        "version": citation["version"],
        "commit": sources.commit(),
        "pins": spec["pins"],
        "files": sources.checksums([*given.prompts, *given.results, given.numbers]),
    }
    clusters, margins = said.clusters(), [True] * len(said.cells)
    keep = len(clusters)
    while True:
        page = laid(front, details, about, prompts, said, frozenset(clusters[:keep]), margins)
        if len(page) <= limit or not keep:
            return page
        if all(margins) and any(few := few_seeds(spec["subjects"])) and not all(few):
            margins = few
        else:
            keep = min(keep - 1, int(keep * 0.95 * limit / len(page)))


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


if __name__ == "__main__":
    program.run(main)
