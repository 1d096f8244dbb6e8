"""What decides a rerun: for each job one canonical JSON text of all that changes its result, and nothing else.

A spec holds the job's settings, the pins of its rule's environment, and the fingerprint of its code. Not in it: display
names, colours, paths, dates, the git commit, which cells share a process, and which GPUs. Prompts and weights are
tracked as input files instead, since their hashes do not exist when the jobs are planned.
"""

import ast
import functools
import hashlib
from pathlib import Path

import yaml

from layerwise.config import ALIGNED, JOINED_ARMS, Model, Study, Subject
from layerwise.records import canonical

SCRIPTS = Path(__file__).resolve().parents[1]
ENVIRONMENTS = SCRIPTS.parents[1] / "envs"

# Progress lines, costs, error messages, and which GPU it is: no result passes through these modules, so none depends
# on them. What is fetched does, but by its checksum, which stands in the receipt.
NEUTRAL = {"layerwise.jobs", "layerwise.gpus", "layerwise.assets", "layerwise.assets.cache"}


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
        readers = [f"layerwise.parts.{format}" for format in formats.values()]
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
            [f"layerwise.exits.{model.family}"],
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
            "train_judge", "judging", [f"layerwise.training.{judge.judge}"], judge=judge.judge, train=judge.train
        )

    def build_prompts(self, id: str) -> str:
        dataset = (self.study.datasets | self.study.training_data)[id]
        settings = dataset.model_dump(exclude={"display", "sources", "prompts"})
        settings["limit"] = self.study.experiment.limit if id in self.study.datasets else None
        return _spec("build_prompts", "prompts", [f"layerwise.datasets.{dataset.builder}"], dataset=id, **settings)

    def generate(self, subject: Subject) -> str:
        model = subject.model
        return _spec(
            "generate",
            "generation",
            [f"layerwise.exits.{model.family}"],
            subject=subject.name,
            model=model.model_dump(include=LOADED | {"system_prompt"}),
            decoding=self.study.experiment.decoding.model_dump(),
        )

    def judge(self, id: str) -> str:
        judge = self.study.judges[id]
        return _spec(
            "judge",
            "judging",
            [f"layerwise.judges.{judge.judge}"],
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
            [f"layerwise.datasets.{dataset.builder}", *(f"layerwise.judges.{one.judge}" for one in judges.values())],
            dataset=id,
            judges={name: one.model_dump(include={"judge", "options"}) for name, one in judges.items()},
            **dataset.model_dump(include={"builder", "seed", "options"}),
        )

    def probe(self, subject: Subject) -> str:
        model = subject.model
        return _spec(
            "probe",
            "generation",
            [f"layerwise.exits.{model.family}", *_recipe(model)],
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
            [f"layerwise.figures.{str(settings['figure']).replace('-', '_')}"] if "figure" in settings else [],
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
    return [f"layerwise.organisms.{model.organism.recipe}"] if model.organism else []


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


@functools.cache
def pins(environment: str) -> tuple[str, ...]:
    """The exact pins in `envs/<environment>.yaml`, sorted."""
    found = []
    for item in yaml.safe_load((ENVIRONMENTS / f"{environment}.yaml").read_text())["dependencies"]:
        found.extend(item["pip"] if isinstance(item, dict) else [item])
    return tuple(sorted(found))


@functools.cache
def fingerprint(script: str, extra_modules: tuple[str, ...] = ()) -> str:
    """sha256 over a script and every library module it imports, directly or not, each without comments, docstrings
    and formatting. `extra_modules` are those found by an id at run time: a family, a judge, a data set, a figure."""
    found: dict[str, str] = {}
    waiting = [(script, SCRIPTS / f"{script}.py"), *((name, _module_file(name)) for name in extra_modules)]
    while waiting:
        name, path = waiting.pop()
        if path is None or name in found or name in NEUTRAL:
            continue
        tree = _tree(path)
        found[name] = ast.unparse(tree)
        waiting.extend((imported, _module_file(imported)) for imported in _imports(tree))
    return hashlib.sha256(canonical(sorted(found.items())).encode()).hexdigest()


@functools.cache
def _tree(path: Path) -> ast.Module:
    """A file's syntax tree without docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(
            node
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return tree


def _imports(tree: ast.Module) -> set[str]:
    """Names of our modules (and perhaps of things in them) that a tree imports anywhere, with the packages above."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update([node.module, *(f"{node.module}.{alias.name}" for alias in node.names)])
    ours = {name for name in names if name.split(".")[0] == "layerwise"}
    return ours | {name.rsplit(".", cut)[0] for name in ours for cut in range(1, name.count(".") + 1)}


def _module_file(name: str) -> Path | None:
    """The file of one of our modules; None for a name that is something inside a module."""
    path = SCRIPTS.joinpath(*name.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.exists()), None)
