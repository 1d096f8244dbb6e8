"""Describe a run as RO-Crate: every file with its sha256, every job with its rule, spec, times, inputs and outputs.

The profile is Workflow Run Crate 0.5, with a CreateAction for the run and one for each job; the terms `prov:used` and
`prov:wasGeneratedBy` say the same in PROV. Paths are relative to the crate's folder, even if they lead out of it, since
figures and paper lie beside the results. If the run is in another folder, files of the project are named `#<path in the
project>`, since the two folders may move apart.

Dates are those of the jobs, from Snakemake's records, so the same run is always described by the same bytes. Two runs
differ only in these dates.
"""

import mimetypes
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rocrate.model import ComputerLanguage, ContextEntity, DataEntity, Entity, Person
from rocrate.rocrate import ROCrate

from layerwise.errors import InputError
from layerwise.files import canonical, digest, file_digest
from layerwise.paths import ROOT, SCRIPTS
from layerwise.runs import provenance
from layerwise.runs.provenance import Job

PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
TERMS = {"prov": "http://www.w3.org/ns/prov#", "sha256": "https://w3id.org/ro/terms/workflow-run#sha256"}
MAIN = ["File", "SoftwareSourceCode", "ComputationalWorkflow"]
TYPES = {".jsonl": "application/jsonl", ".yaml": "application/yaml", ".safetensors": "application/octet-stream"}


class Crate:
    """The crate of one run; `folder` is where its metadata will lie."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.crate = ROCrate(version="1.1")
        self.crate.metadata.extra_terms = TERMS
        self.unknown: list[str] = []
        self.files: dict[str, Entity] = {}

    def graph(self) -> dict[str, Any]:
        return self.crate.metadata.generate()

    def describe(self, citation: Mapping[str, Any], spec: Mapping[str, Any]) -> None:
        """Describe the run as a whole: authors, contents, workflow, licence."""
        crate = self.crate
        crate.name = f"{spec['title']} (experiment {spec['experiment']})"
        crate.description = f"A run of the workflow {citation['title']}, version {citation['version']}."
        licence = f"https://spdx.org/licenses/{citation['license']}"
        crate.license = self.add(licence, "CreativeWork", name=citation["license"])
        self.authors = [
            crate.add(Person(crate, f"#author-{number}", properties={"name": name(author)}))
            for number, author in enumerate(citation["authors"], 1)
        ]
        crate.root_dataset["author"] = one_or_all(self.authors)
        profiles = [
            self.add(address, "CreativeWork", name=title, version=address.rsplit("/", 1)[1])
            for address, title in PROFILES.items()
        ]
        crate.root_dataset["conformsTo"] = profiles
        crate.metadata.append_to("conformsTo", profiles[-1])
        self.workflow = crate.add(DataEntity(crate, self.of_project("Snakefile"), {"@type": MAIN}))
        self.workflow["name"], self.workflow["version"] = citation["title"], citation["version"]
        self.workflow["encodingFormat"] = "text/plain"
        self.workflow["programmingLanguage"] = crate.add(
            ComputerLanguage(
                crate,
                "https://w3id.org/workflowhub/workflow-ro-crate#snakemake",
                properties={
                    "name": "Snakemake",
                    "identifier": {"@id": "https://snakemake.github.io"},
                    "url": {"@id": "https://snakemake.github.io"},
                },
            )
        )
        crate.mainEntity = self.workflow

    def record(self, made: Mapping[str, Job], last: Iterable[str]) -> None:
        """Record every job on the way to the final files, and the run they belong to."""
        last = sorted(last)
        chain = provenance.chain(made, dict.fromkeys(made[path] for path in last if path in made))
        if not chain:
            raise InputError(
                f"{provenance.FOLDER} has no record of how {last[0]} was made: the record was removed, or the results "
                "were copied without it. Run snakemake with --forceall to make them anew."
            )
        actions = [self.action(made[job.outputs[0]]) for job in sorted(chain, key=lambda job: job.outputs[0])]
        run = self.crate.add_action(
            self.workflow,
            "#run",
            result=one_or_all([self.file(path) for path in last]),
            properties={"@type": ["CreateAction", "prov:Activity"], "name": "The run", "description": "All jobs"},
        )
        run["agent"] = one_or_all(self.authors)
        run["startTime"] = moment(min(job.started for job in chain))
        run["endTime"] = self.crate.root_dataset["datePublished"] = moment(max(job.ended for job in chain))
        self.crate.root_dataset["mentions"] = [run, *actions]
        self.unknown = sorted({path for job in chain for path in job.inputs} - set(made))

    def action(self, job: Job) -> Entity:
        """One job: its inputs, outputs, spec and times."""
        inputs, outputs = ([self.file(path) for path in paths] for paths in (job.inputs, job.outputs))
        spec = self.add(f"#spec-{digest(job.spec)}", "PropertyValue", name="spec", value=canonical(job.spec))
        inputs += [self.file(path, checksum) for path, checksum in job.sources.items()]
        action = self.crate.add_action(
            self.program((SCRIPTS / job.script).relative_to(ROOT).as_posix()),
            f"#job-{digest([job.rule, job.outputs])}",
            object=one_or_all([*inputs, spec]),
            result=one_or_all(outputs),
            properties={
                "@type": ["CreateAction", "prov:Activity"],
                "name": job.rule,
                "description": f"Rule {job.rule}, for {job.outputs[0]}",
                "startTime": moment(job.started),
                "endTime": moment(job.ended),
            },
        )
        action["agent"] = one_or_all(self.authors)
        if inputs:
            action["prov:used"] = one_or_all(inputs)
        for output in outputs:
            output["prov:wasGeneratedBy"] = action
        return action

    def file(self, path: str, checksum: str | None = None) -> Entity:
        """A file of the run, or a file of the project with the checksum that it had."""
        properties: dict[str, Any] = {"@type": ["File", "prov:Entity"]}
        if checksum:
            return self._file(path, self.of_project(path), properties | {"sha256": checksum})
        if Path(path).exists():
            properties |= {"sha256": file_digest(Path(path)), "contentSize": str(Path(path).stat().st_size)}
        return self._file(path, self.relative(path), properties)

    def program(self, path: str) -> Entity:
        """A program, without a checksum: a comment would change it. The specs have the fingerprint of the code."""
        return self._file(path, self.of_project(path), {"@type": ["File", "SoftwareSourceCode"]})

    def _file(self, path: str, id: str, properties: dict[str, Any]) -> Entity:
        if id not in self.files:
            properties |= {"name": path, "encodingFormat": encoding(path)}
            self.files[id] = self.crate.add(DataEntity(self.crate, id, properties))
        return self.files[id]

    def add(self, id: str, kind: str, **properties: str) -> Entity:
        return self.crate.get(id) or self.crate.add(
            ContextEntity(self.crate, id, properties={"@type": kind} | properties)
        )

    def relative(self, path: str) -> str:
        """A path of the run, relative to the crate's folder."""
        return quote(Path(os.path.relpath(path, self.folder)).as_posix())

    def of_project(self, path: str) -> str:
        """The name of a file of the project."""
        beside = ROOT.is_relative_to(Path.cwd())
        return self.relative(os.path.relpath(ROOT / path)) if beside else f"#{path}"


def one_or_all(entities: list[Entity]) -> Entity | list[Entity]:
    """The compact form of JSON-LD, in which a single thing is not a list."""
    return entities[0] if len(entities) == 1 else entities


def name(author: Mapping[str, str]) -> str:
    return author.get("name") or f"{author['given-names']} {author['family-names']}"


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def encoding(path: str) -> str:
    return TYPES.get(Path(path).suffix) or mimetypes.guess_type(path)[0] or "text/plain"
