"""The specs of jobs that turn results into tables, figures, numbers, the explorer and the paper."""

from collections.abc import Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from layerwise import plugins
from layerwise.jobs.spec import sources, spec
from layerwise.paths import PAGE, ROOT
from layerwise.study.config import Dataset
from layerwise.study.declarations import says
from layerwise.study.recipes import Assembled
from layerwise.study.study import Study
from layerwise.vocabulary import METRICS

# The numbers that the original study prints.
PUBLISHED = "paper/published.yaml"

# Licences under which an image may be passed on inside the explorer.
REDISTRIBUTABLE = {"MIT", "Apache-2.0", "BSD-3-Clause", "CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0"}


class Aggregates:
    """A method per rule."""

    def __init__(self, study: Study) -> None:
        self.study = study

    def figure(self, figure: str) -> str:
        return self.aggregate("figure", figure=figure, mismatches=self._mismatches())

    def table(self, table: str) -> str:
        inputs = plugins.declared("report.tables", table)["INPUTS"]
        read: dict[str, Any] = {"sources": sources(PUBLISHED)} if "published" in inputs else {}
        return self.aggregate("table", table=table, mismatches=self._mismatches(), **read)

    def _mismatches(self) -> list[dict]:
        """The judges that are not made for the language of a data set."""
        return [asdict(one) for one in self.study.mismatches]

    def aggregate(self, script: str, kind: str = "analysis", **settings: object) -> str:
        """A rule that turns results into tables, figures or numbers: which subjects were studied, and how judged."""
        experiment = self.study.experiment
        subjects = [
            {
                "name": subject.name,
                "id": subject.id,
                "arm": subject.arm,
                "aligned": subject.aligned,
                "seed": subject.seed,
                "blocks": subject.model.blocks,
                "default_layer": subject.model.default_layer,
                "weights_of": subject.model.weights_of,
                "frozen_blocks": subject.model.organism.vision.frozen_blocks if subject.model.organism else None,
                "layers": list(subject.layers),
                **({"adapted_from": start.id} if (start := self.study.adapted_from(subject)) else {}),
            }
            for subject in self.study.subjects
        ]
        return spec(
            script,
            kind,
            [
                plugins.module(f"report.{what}s", str(settings[what]))
                for what in ("figure", "table")
                if what in settings
            ],
            subjects=subjects,
            datasets=list(self.study.datasets),
            twins=self.study.twins,
            judges={id: judged(judge.judge, judge.options) for id, judge in self.study.judges.items()},
            metrics={
                measure.metric: measure.about._asdict()
                for judge in self.study.judges.values()
                for measure in says(judge.judge, judge.options).measures
                if measure.about is not None
            },
            outcome=experiment.outcome.model_dump(),
            **settings,
        )

    def assess(self) -> str:
        return self.aggregate(
            "assess",
            gates=self.study.experiment.gates.model_dump(),
            # A data set shown with images other than its own is a control: its cue is not visible. One with some glyphs
            # alone is a test of its own.
            cues={
                id: data.options.get("cue")
                for id, data in self.study.datasets.items()
                if data.image == "own" and not data.options.get("glyphs")
            },
            # An arm that was taught without images need not refuse beside one.
            aligned=sorted(
                {
                    subject.arm
                    for subject in self.study.subjects
                    if subject.arm is not None and subject.aligned and subject.model.arms[subject.arm].exits != "none"
                }
            ),
        )

    def crate(self) -> str:
        return spec(
            "crate",
            "provenance",
            [],
            experiment=self.study.name,
            title=self.study.experiment.title,
            sources=sources("CITATION.cff"),
        )

    def paper(self) -> str:
        experiment = self.study.experiment
        return spec(
            "paper",
            "paper",
            [],
            experiment=self.study.name,
            title=experiment.title,
            families=sorted({model.family for model in self.study.models.values()}),
            organisms=any(model.organism for model in self.study.models.values()),
            assembled=[
                self._said_of(model.display, model.assembled)
                for model in self.study.models.values()
                if model.assembled and not model.weights_of
            ],
            seeds=experiment.seeds,
            datasets=list(self.study.datasets),
            judges=sorted({judge.judge for judge in self.study.judges.values()}),
            harm=self.study.judges[experiment.outcome.harm].judge if experiment.outcome.harm else None,
            decoding=experiment.decoding.model_dump(),
            limit=experiment.limit,
            controls_asserted=experiment.controls.asserted,
            mismatches=[
                one.said(self.study.judges[one.judge].display, self.study.datasets[one.dataset].display)
                for one in self.study.mismatches
            ],
            # Everything that the paper may print, so that a misspelt name is not a silent gap.
            figures=[name.replace("_", "-") for name in plugins.names("report.figures")],
            tables=[name.replace("_", "-") for name in plugins.names("report.tables")],
            sources=sources("paper/main.typ", "paper/references.bib", PUBLISHED),
        )

    def explorer(self) -> str:
        page = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / PAGE).iterdir())
        return self.aggregate(
            "explorer",
            kind="exploring",
            megabytes=self.study.experiment.explorer_megabytes,
            shown={id: may_show(data) for id, data in self.study.datasets.items()},
            sources=sources("CITATION.cff", *page),
        )

    @staticmethod
    def _said_of(display: str, assembled: Assembled) -> dict:
        """What the paper says about an assembled model."""
        said: dict = {"display": display, "tuned_blocks": assembled.alignment.learns}
        for name, part in (("vision", assembled.vision), ("language", assembled.language)):
            source = part.source
            terms = [source.license or "licence not stated", *filter(None, [source.provenance])]
            said[name] = part.model_dump(include={"about", "cite"}) | {
                "file": source.file_name,
                "where": source.where,
                "terms": "; ".join(terms),
            }
        return {**said, "image_size": assembled.image_size}


def may_show(dataset: Dataset) -> dict[str, bool]:
    """Whether the explorer may show a data set's texts unasked, and its images: ours, or with a licence for that."""
    licences = {source.license for source in dataset.sources.values()}
    return {
        "invented": plugins.declared("prompts.builders", dataset.builder).get("INVENTED", False),
        "pictures": dataset.image in ("blank", "noise") or licences <= REDISTRIBUTABLE,
    }


def judged(name: str, options: Mapping[str, Any] = MappingProxyType({})) -> dict:
    """What the analysis knows of a judge: what it may say, what of it means which outcome, and what it measures."""
    said = says(name, options)
    measures = [
        {
            "metric": measure.metric,
            "kind": measure.kind,
            "label": measure.label,
            "score": measure.score,
            "unit": (measure.about or METRICS[measure.metric]).unit,
        }
        for measure in said.measures
    ]
    return {"judge": name, "labels": said.labels, "claims": said.claims, "measures": measures}
