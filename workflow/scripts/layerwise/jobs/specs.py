"""What decides a rerun: for each job, the canonical JSON of everything that changes its result, and nothing else.

A spec holds the job's settings, the pins of its kind of work, and the fingerprint of its code. It leaves out display
names, colours, paths, dates, the git commit, which cells share a process, and which GPUs. Prompts and weights are input
files instead, since their hashes do not exist when the jobs are planned. Files of the project that a job reads are not
input files, because a run in another folder does not have them; their hashes are in the spec.
"""

from collections.abc import Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from layerwise import plugins
from layerwise.files import canonical, file_digest
from layerwise.jobs.fingerprint import fingerprint, pins
from layerwise.paths import PAGE, ROOT
from layerwise.study import lessons
from layerwise.study.arms import REWARDS, Arm
from layerwise.study.config import Dataset, Model
from layerwise.study.declarations import says
from layerwise.study.recipes import Assembled, Organism
from layerwise.study.sources import Source
from layerwise.study.study import Study, Subject
from layerwise.vocabulary import METRICS

# The numbers that the original study prints.
PUBLISHED = "paper/published.yaml"
# The settings with which a model is loaded.
LOADED = {"family", "blocks", "default_layer", "dtype", "attention", "variant"}

# Licences under which an image may be passed on inside the explorer.
REDISTRIBUTABLE = {"MIT", "Apache-2.0", "BSD-3-Clause", "CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0"}


class Specs:
    """The spec of every job of a study, one method per rule."""

    def __init__(self, study: Study) -> None:
        self.study = study

    def train_vision(self, id: str, seed: int) -> str:
        model = self.study.models[id]
        organism = _organism(model, "vision")
        default_layer = model.default_layer
        return _spec(
            "train_vision", "training", _recipe(model), seed=seed, organism=organism, default_layer=default_layer
        )

    def assemble(self, id: str) -> str:
        model = self.study.models[id]
        assembled = _assembled(model)
        settings = assembled.model_dump(include={"image_token", "image_size"})
        formats = {part: getattr(assembled, part).format for part in ("vision", "language")}
        readers = [plugins.module("models.backbones", format) for format in formats.values()]
        # The projector's first weights are the same for all arms and seeds: they start from one model.
        settings |= {"seed": 0, "default_layer": model.default_layer, "dtype": model.dtype}
        return _spec("assemble", "assembling", readers, **formats, **settings)

    def own_answers(self, id: str) -> str:
        """What an assembled model's language model says by itself, as a generated response's spec."""
        model = self.study.models[id]
        return _spec(
            "own_answers",
            "generation",
            [plugins.module("models.families", model.family)],
            subject=f"{id}.backbones",
            model=model.model_dump(include=LOADED | {"system_prompt"}) | {"variant": None},
            decoding={
                "max_new_tokens": _assembled(model).projector.own_tokens,
                "batch_size": model.batch_size or self.study.experiment.decoding.batch_size,
                "cache": model.cache,
            },
            only={},
        )

    def train_arm(self, id: str, name: str, seed: str) -> str:
        """The training of one arm; `seed` as in a subject's name, whose last part seeds this arm's own stage."""
        model = self.study.models[id]
        arm = model.arms[name]
        settings: dict[str, Any] = {
            "method": arm.method,
            "layers": arm.layers(model.blocks, model.default_layer) or [model.default_layer],
            "images": arm.exits != "none",
            "steps": lessons.steps(model, arm),
            "seed": int(seed.rpartition("a")[2]),
        }
        modules = [plugins.module("training.methods", arm.method)]
        if arm.held_out:
            settings["held_out"] = arm.held_out
        if arm.unrefused:
            settings["unrefused"] = "refusal"  # the judge that finds them
            modules.append(plugins.module("judging.judges", "refusal"))
        if model.organism:
            settings |= {"organism": _shape(model.organism), "default_layer": model.default_layer}
            modules += ["layerwise.training.organisms", *_recipe(model)]
        else:
            kind = "adapter" if model.adapter else "stage"
            settings[kind] = lessons.stage(model, name).model_dump(exclude={"steps", "size_mb", "own_tokens"})
            settings["model"] = model.model_dump(include=LOADED | {"system_prompt"}) | {"variant": None}
            modules += [f"layerwise.training.{'adapted' if model.adapter else 'assembled'}"]
            modules += [plugins.module("models.families", model.family)]
        if arm.reward is not None:
            settings |= {"reward": self._reward(arm), "ppo": arm.ppo.model_dump()}
            modules += [plugins.module("training.policies", "organism" if model.organism else "family")]
            modules += [plugins.module(REWARDS, settings["reward"]["name"])]
            modules += [plugins.module("judging.judges", self.study.rewards[arm.judge].judge)] if arm.judge else []
        return _spec("train_arm", "adapting" if model.adapter else "training", modules, **settings)

    def _reward(self, arm: Arm) -> dict:
        """A reward by the name of its file, and the judge that it asks, if any."""
        if arm.judge is None:
            return {"name": arm.reward}
        judge = self.study.rewards[arm.judge]
        return {"name": "judge", "id": arm.judge, **judge.model_dump(include={"judge", "options"})}

    def train_judge(self, id: str) -> str:
        judge = (self.study.rewards | self.study.judges)[id]
        # A judge that is an organism takes its shape from a recipe.
        organism = (judge.train or {}).get("organism")
        shaped = [plugins.module("models.organisms", organism["recipe"])] if organism else []
        return _spec(
            "train_judge",
            "judging",
            [plugins.module("training.judges", judge.judge), *shaped],
            judge=judge.judge,
            train=judge.train,
        )

    def build_prompts(self, id: str) -> str:
        dataset = (self.study.datasets | self.study.training_data)[id]
        settings = dataset.model_dump(exclude={"display", "languages", "sources", "prompts"})
        settings["limit"] = self.study.experiment.limit if id in self.study.datasets else None
        return _spec(
            "build_prompts", "prompts", [plugins.module("prompts.builders", dataset.builder)], dataset=id, **settings
        )

    def generate(self, subject: Subject) -> str:
        model = subject.model
        decoding = self.study.experiment.decoding
        return _spec(
            "generate",
            "generation",
            [plugins.module("models.families", model.family)],
            subject=subject.name,
            model=model.model_dump(include=LOADED | {"system_prompt", "refusal_tokens", "features"}),
            decoding={
                "max_new_tokens": decoding.max_new_tokens,
                "batch_size": model.batch_size or decoding.batch_size,
                "cache": model.cache,
            },
            # The data sets that are not asked at every exit layer. It decides which rows there are, and no row.
            only={dataset: list(layers) for dataset, layers in subject.asked.items() if layers != subject.layers},
        )

    def judge(self, id: str) -> str:
        judge = self.study.judges[id]
        return _spec(
            "judge",
            "judging",
            [plugins.module("judging.judges", judge.judge)],
            id=id,
            judge=judge.judge,
            options=judge.options,
            canned_refusal=self.study.experiment.canned_refusal,
        )

    def try_judges(self) -> str:
        """The controls before generation. Without code, or a new rule of a judge would generate everything again; the
        judges' own jobs try them anew."""
        judges = {id: self.study.judges[id].model_dump(include={"judge", "options"}) for id in self.study.deciding}
        experiment = self.study.experiment
        return canonical(
            {
                "judges": judges,
                "canned_refusal": experiment.canned_refusal,
                "asserted": experiment.controls.asserted,
            }
        )

    def human_labels(self) -> str:
        datasets, judges = self.study.human_labels, self.study.labelling
        return _spec(
            "human_labels",
            "judging",
            [
                *(plugins.module("prompts.builders", one.builder) for one in datasets.values()),
                *(plugins.module("judging.judges", one.judge) for one in judges.values()),
            ],
            datasets={
                id: {"builder": one.builder, "options": one.options, "sources": list(one.sources)}
                for id, one in datasets.items()
            },
            judges={
                id: {"judge": one.judge, "options": one.options, "labels": says(one.judge, one.options).labels}
                for id, one in judges.items()
            },
        )

    def probe(self, subject: Subject) -> str:
        model = subject.model
        return _spec(
            "probe",
            "generation",
            [plugins.module("models.families", model.family), *_recipe(model)],
            subject=subject.name,
            seed=int(subject.seed.partition("a")[0]) if subject.seed else None,
            model=model.model_dump(include=LOADED),
            organism=_organism(model) if model.organism else None,
            probes=self.study.experiment.probes.model_dump(exclude={"arms"}),
        )

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
        return _spec(
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
        return _spec(
            "crate",
            "provenance",
            [],
            experiment=self.study.name,
            title=self.study.experiment.title,
            sources=sources("CITATION.cff"),
        )

    def paper(self) -> str:
        experiment = self.study.experiment
        return _spec(
            "paper",
            "paper",
            [],
            experiment=self.study.name,
            title=experiment.title,
            families=sorted({model.family for model in self.study.models.values()}),
            organisms=any(model.organism for model in self.study.models.values()),
            assembled=[
                self._said_of(model) for model in self.study.models.values() if model.assembled and not model.weights_of
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
    def _said_of(model: Model) -> dict:
        """What the paper says about an assembled model."""
        assembled = _assembled(model)
        said: dict = {"display": model.display, "tuned_blocks": assembled.alignment.learns}
        for name, part in (("vision", assembled.vision), ("language", assembled.language)):
            source = part.source
            terms = [source.license or "licence not stated", *filter(None, [source.provenance])]
            said[name] = part.model_dump(include={"about", "cite"}) | {
                "file": source.file_name,
                "where": source.where,
                "terms": "; ".join(terms),
            }
        return {**said, "image_size": assembled.image_size}


def fetch(id: str, source: Source) -> str:
    """A download: the source alone, without code, since the checksum decides, and without hints for the plan.

    Mirrors are left out, so that a new one reruns nothing. Keys that not every source has are left out where they are
    not used.
    """
    unused = {key for key in ("parts", "name") if not getattr(source, key)}
    return canonical(
        {"id": id, "source": source.model_dump(exclude={"size_mb", "gated", "provenance", "mirrors", *unused})}
    )


class Untracked:
    """A value for a rule's command that decides no result: Snakemake records only parameters of plain types."""

    def __init__(self, value: object) -> None:
        self.text = canonical(value)

    def __str__(self) -> str:
        return self.text


def mirrors(source: Source) -> Untracked:
    """The other places of a download, for its rule."""
    return Untracked([mirror.model_dump(exclude_defaults=True) for mirror in source.mirrors])


def sources(*names: str) -> dict[str, str]:
    """sha256 of files of the project, by their path in it."""
    return {name: file_digest(ROOT / name) for name in names}


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


def _spec(script: str, kind: str, extra_modules: list[str], **settings: object) -> str:
    code = fingerprint(script, tuple(extra_modules))
    return canonical({**settings, "code": code, "pins": list(pins(kind))})


def _recipe(model: Model) -> list[str]:
    return [plugins.module("models.organisms", model.organism.recipe)] if model.organism else []


def _organism(model: Model, *parts: str) -> dict:
    """The recipe and the named parts of an organism's settings."""
    assert model.organism is not None, "only organisms have these settings"
    return model.organism.model_dump(include={"recipe", *parts})


def _assembled(model: Model) -> Assembled:
    assert model.assembled is not None, "only assembled models have these settings"
    return model.assembled


def _shape(organism: Organism) -> dict:
    """An organism's settings for a stage of the language side; the stage adds its steps."""
    settings = organism.model_dump(include={"recipe": True, "vision": True, "language": True})
    del settings["language"]["steps"]
    # The encoder's training reaches this stage through its weights, an input file.
    settings["vision"] = {key: settings["vision"][key] for key in ("blocks", "width", "mlp", "heads", "frozen_blocks")}
    return settings
