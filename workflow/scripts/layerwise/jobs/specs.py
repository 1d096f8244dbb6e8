"""What decides a rerun: for each job one canonical JSON text of all that changes its result, and nothing else.

A spec holds the job's settings, the pins of its rule's environment, and the fingerprint of its code. Not in it: display
names, colours, paths, dates, the git commit, which cells share a process, and which GPUs. Prompts and weights are
tracked as input files instead, since their hashes do not exist when the jobs are planned.
"""

from layerwise.files import canonical
from layerwise.jobs.fingerprint import fingerprint, pins
from layerwise.study.arms import ALIGNED, JOINED_ARMS
from layerwise.study.config import Model
from layerwise.study.loading import Study, Subject

# The settings that a model is loaded with.
LOADED = {"family", "blocks", "default_layer", "dtype", "attention", "variant"}


class Specs:
    """The spec of every job of a study, one method a rule."""

    def __init__(self, study: Study) -> None:
        self.study = study

    def train_vision(self, id: str, seed: int) -> str:
        model = self.study.models[id]
        organism = _organism(model, "vision")
        default_layer = model.default_layer
        return _spec(
            "train_vision", "training", _recipe(model), seed=seed, organism=organism, default_layer=default_layer
        )

    def train_base(self, id: str, arm: str, seed: int) -> str:
        model = self.study.models[id]
        steps = {"caption_steps", "instruction_steps"}
        return _spec("train_base", "training", _recipe(model), seed=seed, arm=arm, **_shape(model, steps))

    def align(self, id: str, arm: str, seed: int) -> str:
        model = self.study.models[id]
        steps = {"layerwise_safety_steps" if arm.startswith("layerwise") else "safety_steps"}
        return _spec("align", "training", _recipe(model), seed=seed, arm=arm, **_shape(model, steps))

    def join_parts(self, id: str) -> str:
        model = self.study.models[id]
        joined = model.joined.model_dump(include={"image_token", "image_size"})
        formats = {part: getattr(model.joined, part).format for part in ("vision", "language")}
        readers = [f"layerwise.models.backbones.{format}" for format in formats.values()]
        # The projector's first weights are the same for all arms and seeds: they start from one model.
        return _spec("join_parts", "joining", readers, seed=0, default_layer=model.default_layer, **formats, **joined)

    def train_joined(self, id: str, arm: str, seed: int) -> str:
        model = self.study.models[id]
        settings = model.joined.alignment if arm in ALIGNED else model.joined.projector
        stage = settings.model_dump(exclude={"data", "refused", "refusals", "steps_at_random_exits", "size_mb"})
        at_random = arm == "robust" or arm.startswith("layerwise")
        if at_random:
            stage["steps"] = settings.steps_at_random_exits
        return _spec(
            "train_joined",
            "training",
            [f"layerwise.models.families.{model.family}"],
            seed=seed,
            arm=arm,
            stage=stage,
            layers=list(range(model.blocks + 1)) if at_random else [model.default_layer],
            model=model.model_dump(include=LOADED) | {"variant": None},
            **settings.model_dump(include={"data", "refused", "refusals"}),
        )

    def train_judge(self, id: str) -> str:
        judge = self.study.judges[id]
        return _spec(
            "train_judge", "judging", [f"layerwise.training.judges.{judge.judge}"], judge=judge.judge, train=judge.train
        )

    def build_prompts(self, id: str) -> str:
        dataset = (self.study.datasets | self.study.training_data)[id]
        settings = dataset.model_dump(exclude={"display", "sources", "prompts"})
        settings["limit"] = self.study.experiment.limit if id in self.study.datasets else None
        return _spec(
            "build_prompts", "prompts", [f"layerwise.prompts.builders.{dataset.builder}"], dataset=id, **settings
        )

    def generate(self, subject: Subject) -> str:
        model = subject.model
        return _spec(
            "generate",
            "generation",
            [f"layerwise.models.families.{model.family}"],
            subject=subject.name,
            model=model.model_dump(include=LOADED | {"system_prompt"}),
            decoding=self.study.experiment.decoding.model_dump(),
        )

    def judge(self, id: str) -> str:
        judge = self.study.judges[id]
        return _spec(
            "judge",
            "judging",
            [f"layerwise.judging.judges.{judge.judge}"],
            id=id,
            judge=judge.judge,
            options=judge.options,
            canned_refusal=self.study.experiment.canned_refusal,
        )

    def human_labels(self, labelling: list[str]) -> str:
        ((id, dataset),) = self.study.human_labels.items()
        judges = {name: self.study.judges[name] for name in labelling}
        return _spec(
            "human_labels",
            "judging",
            [
                f"layerwise.prompts.builders.{dataset.builder}",
                *(f"layerwise.judging.judges.{one.judge}" for one in judges.values()),
            ],
            dataset=id,
            judges={name: one.model_dump(include={"judge", "options"}) for name, one in judges.items()},
            **dataset.model_dump(include={"builder", "seed", "options"}),
        )

    def probe(self, subject: Subject) -> str:
        model = subject.model
        return _spec(
            "probe",
            "generation",
            [f"layerwise.models.families.{model.family}", *_recipe(model)],
            subject=subject.name,
            seed=subject.seed,
            model=model.model_dump(include=LOADED),
            organism=_organism(model) if model.organism else None,
            probes=self.study.experiment.probes.model_dump(exclude={"arms"}),
        )

    def aggregate(self, script: str, **settings: object) -> str:
        """Of a rule that reads results and makes tables, figures or numbers: who was studied, and by whom judged."""
        experiment = self.study.experiment
        subjects = [
            {
                "name": subject.name,
                "id": subject.id,
                "arm": subject.arm,
                "seed": subject.seed,
                "blocks": subject.model.blocks,
                "default_layer": subject.model.default_layer,
                "weights_of": subject.model.weights_of,
                "frozen_blocks": subject.model.organism.vision.frozen_blocks if subject.model.organism else None,
                "layers": list(subject.layers),
            }
            for subject in self.study.subjects
        ]
        return _spec(
            script,
            "analysis",
            [f"layerwise.report.figures.{str(settings['figure']).replace('-', '_')}"] if "figure" in settings else [],
            subjects=subjects,
            datasets=experiment.datasets,
            judges={id: judge.judge for id, judge in self.study.judges.items()},
            outcome=experiment.outcome.model_dump(),
            **settings,
        )

    def assess(self) -> str:
        return self.aggregate(
            "assess",
            gates=self.study.experiment.gates.model_dump(),
            # A data set shown with another image than its own is a control: its cue is not to be seen.
            cues={id: data.options.get("cue") for id, data in self.study.datasets.items() if data.image == "own"},
            # Who was taught without images is not asked to refuse beside one.
            aligned=sorted(set(ALIGNED) - set(JOINED_ARMS)),
        )

    def crate(self) -> str:
        return _spec("crate", "provenance", [], experiment=self.study.name, title=self.study.experiment.title)

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
            joined=[
                self._joined(model) for model in self.study.models.values() if model.joined and not model.weights_of
            ],
            seeds=experiment.seeds,
            datasets=experiment.datasets,
            judges=sorted({judge.judge for judge in self.study.judges.values()}),
            harm=self.study.judges[experiment.outcome.harm].judge if experiment.outcome.harm else None,
            decoding=experiment.decoding.model_dump(),
            limit=experiment.limit,
        )

    @staticmethod
    def _joined(model: Model) -> dict:
        """What the paper says of a joined model."""
        parts = {"about", "cite", "source"}
        said = model.joined.model_dump(include={"image_size": True, "vision": parts, "language": parts})
        return {"display": model.display, "tuned_blocks": model.joined.alignment.learns, **said}


def fetch(id: str, source: object) -> str:
    """Of a download: the source alone; no code, since a checksum decides what it is, and no hints for the plan."""
    return canonical({"id": id, "source": source.model_dump(exclude={"size_mb", "gated"})})


def parent(arm: str) -> str:
    """The base arm that an aligned arm is tuned from."""
    return ALIGNED[arm]


def _spec(script: str, environment: str, extra_modules: list[str], **settings: object) -> str:
    code = fingerprint(script, tuple(extra_modules))
    return canonical({**settings, "code": code, "pins": list(pins(environment))})


def _recipe(model: Model) -> list[str]:
    return [f"layerwise.models.organisms.{model.organism.recipe}"] if model.organism else []


def _organism(model: Model, *parts: str) -> dict:
    """The recipe and the named parts of an organism's settings."""
    return model.organism.model_dump(include={"recipe", *parts})


def _shape(model: Model, steps: set[str]) -> dict:
    """An organism's settings for a stage of the language side: of the numbers of steps only the stage's own."""
    organism = _organism(model, "vision", "language")
    for key in list(organism["language"]):
        if key.endswith("_steps") and key not in steps:
            del organism["language"][key]
    # How the encoder was trained reaches this stage through its weights, an input file.
    organism["vision"] = {key: organism["vision"][key] for key in ("blocks", "width", "mlp", "heads", "frozen_blocks")}
    return {"organism": organism, "default_layer": model.default_layer}
