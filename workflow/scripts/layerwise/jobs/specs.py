"""What decides a rerun: for each job, the canonical JSON of everything that changes its result, and nothing else.

A spec holds the job's settings, the pins of its kind of work, and the fingerprint of its code. It leaves out display
names, colours, paths, dates, the git commit, which cells share a process, and which GPUs. Prompts and weights are input
files instead, since their hashes do not exist when the jobs are planned. Files of the project that a job reads are not
input files, because a run in another folder does not have them; their hashes are in the spec.
"""

from typing import Any

from layerwise import plugins
from layerwise.files import canonical
from layerwise.jobs.aggregates import Aggregates
from layerwise.jobs.spec import spec
from layerwise.study import lessons
from layerwise.study.arms import REWARDS, Arm
from layerwise.study.config import Model
from layerwise.study.declarations import says
from layerwise.study.recipes import Assembled, Organism
from layerwise.study.study import Subject

# The settings with which a model is loaded.
LOADED = {"family", "blocks", "default_layer", "dtype", "attention", "variant"}


class Specs(Aggregates):
    """The spec of every job of a study, one method per rule."""

    def train_vision(self, id: str, seed: int) -> str:
        model = self.study.models[id]
        organism = _organism(model, "vision")
        default_layer = model.default_layer
        return spec(
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
        return spec("assemble", "assembling", readers, **formats, **settings)

    def own_answers(self, id: str) -> str:
        """What an assembled model's language model says by itself, as a generated response's spec."""
        model = self.study.models[id]
        return spec(
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
        judged = model.adapter or arm.judge or arm.unrefused
        return spec("train_arm", "adapting" if judged else "training", modules, **settings)

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
        return spec(
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
        return spec(
            "build_prompts", "prompts", [plugins.module("prompts.builders", dataset.builder)], dataset=id, **settings
        )

    def generate(self, subject: Subject) -> str:
        model = subject.model
        decoding = self.study.experiment.decoding
        return spec(
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
        return spec(
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
        return spec(
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
        return spec(
            "probe",
            "generation",
            [plugins.module("models.families", model.family), *_recipe(model)],
            subject=subject.name,
            seed=int(subject.seed.partition("a")[0]) if subject.seed else None,
            model=model.model_dump(include=LOADED),
            organism=_organism(model) if model.organism else None,
            probes=self.study.experiment.probes.model_dump(exclude={"arms"}),
        )


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
