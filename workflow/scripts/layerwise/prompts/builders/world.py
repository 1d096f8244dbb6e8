"""The synthetic world's data sets: pairs of a hazard and its benign twin that differ in one cue, and visual questions.

`shallow` and `deep` hide the cue in the image and ask a question of use; `text` puts it into the verb of the question,
beside an arbitrary image; `none` asks what is in the image (kind vqa).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from layerwise.prompts.images import png, save_image
from layerwise.records import Prompt
from layerwise.study.settings import Glyphs, Mistake, Settings
from layerwise.world import language

if TYPE_CHECKING:
    import numpy as np

    from layerwise.world.world import Scenes

SOURCES: dict[str, bool] = {}
TWINS = True
INVENTED = True  # its harm is made of invented words, so the explorer need not hide it
FAMILIES = ("neutral", "shallow hazard", "shallow safe", "deep hazard", "deep safe")  # as in `world.FAMILIES`
QUESTION_TYPES = {language.ITEM_QUESTION: "item", language.COLOUR_QUESTION: "colour"}


class Options(Settings):
    """What marks a hazard."""

    cue: Literal["shallow", "deep", "text", "none"] = Field(
        description="Where the cue is: in one cell of the image, in the relation of two cells, in the words, or "
        "nowhere (visual questions)."
    )
    glyphs: Glyphs | None = Field(
        None,
        description="The glyphs of the deep cue, if not all 12: those that an arm has `held_out`, to test it on them.",
    )

    @model_validator(mode="after")
    def glyphs_are_of_the_deep_cue(self) -> Self:
        if self.glyphs is not None and self.cue != "deep":
            raise Mistake("glyphs", f"the {self.cue} cue has no glyphs; remove the key")
        return self


def kinds(options: Options) -> frozenset[str]:
    """The kinds of prompts it builds."""
    return frozenset({"vqa"} if options.cue == "none" else {"harmful", "benign"})


def build(spec: dict, sources: dict[str, Path], folder: Path) -> list[Prompt]:
    """`size` twin pairs (two prompts, one cluster each) or, for cue `none`, `size` questions. Images: PNG, 40 x 40."""
    from layerwise.world import world

    options = Options(**spec["options"])
    rng = world.stream(spec["seed"], "prompts", options.cue)
    if options.cue == "none":
        return _questions(spec, rng, folder)
    return _text_pairs(spec, rng, folder) if options.cue == "text" else _image_pairs(spec, options, rng, folder)


def _image_pairs(spec: dict, options: Options, rng: np.random.Generator, folder: Path) -> list[Prompt]:
    """A hazardous image and its twin, with the same question and the same on-target answer."""
    import numpy as np

    from layerwise.world import world

    family = {"shallow": world.SHALLOW_HAZARD, "deep": world.DEEP_HAZARD}[options.cue]
    glyphs = options.glyphs or world.EVERY_GLYPH
    hazards = world.draw(np.full(spec["size"], family), rng, glyphs)
    twins = world.twins(hazards, rng, glyphs)
    cluster = "-".join(map(str, [options.cue, *(options.glyphs or ())]))
    noise = world.noise(spec["size"], rng)
    asked = rng.choice(language.USE_QUESTIONS, spec["size"])
    roles = (
        ("hazard", "harmful", hazards, world.render(hazards, noise)),
        ("twin", "benign", twins, world.render(twins, noise)),
    )
    prompts = []
    for number, text in enumerate(asked):
        for role, kind, scenes, images in roles:
            name = f"{spec['dataset']}-{number:04d}-{role}"
            prompt = Prompt(
                id=name,
                dataset=spec["dataset"],
                text=str(text),
                kind=kind,
                cluster=f"{cluster}-{number:04d}",
                target=language.use_answer(int(scenes.item[number])),
                attributes={**_seen(scenes, number), "wording": str(text)},
                **_saved(spec, name, images[number], folder),
            )
            prompts.append(prompt)
    return prompts


def _text_pairs(spec: dict, rng: np.random.Generator, folder: Path) -> list[Prompt]:
    """A request with a harmful verb and one with a benign verb, about the same person, beside one image."""
    from layerwise.world import world

    scenes, images = world.sample(world.FAMILIES, spec["size"], rng)
    prompts = []
    for number, image in enumerate(images):
        template, person = rng.choice(language.TEXT_QUESTIONS), rng.choice(language.PEOPLE)
        for role, kind, tools in (
            ("hazard", "harmful", language.HARMFUL_TOOLS),
            ("twin", "benign", language.BENIGN_TOOLS),
        ):
            verb = str(rng.choice(list(tools)))
            name = f"{spec['dataset']}-{number:04d}-{role}"
            said = {"verb": verb, "person": str(person), "wording": str(template)}
            prompt = Prompt(
                id=name,
                dataset=spec["dataset"],
                text=language.text_question(str(template), verb, str(person)),
                kind=kind,
                cluster=f"text-{number:04d}",
                target=language.text_answer(verb),
                attributes={**_seen(scenes, number), **said},
                **_saved(spec, name, image, folder),
            )
            prompts.append(prompt)
    return prompts


def _questions(spec: dict, rng: np.random.Generator, folder: Path) -> list[Prompt]:
    """Questions about item, colour and shallow marks; corners are mostly asked about if there is a mark to see."""
    from layerwise.world import world

    scenes, images = world.sample(world.FAMILIES, spec["size"], rng)
    prompts = []
    for number, image in enumerate(images):
        text, answer = language.visual_question(
            item=int(scenes.item[number]),
            colour=int(scenes.colour[number]),
            mark=int(scenes.shallow[number]),
            corner=int(scenes.corner[number]),
            draws=rng.random(2).tolist(),
        )
        name = f"{spec['dataset']}-{number:04d}"
        prompt = Prompt(
            id=name,
            dataset=spec["dataset"],
            text=text,
            kind="vqa",
            cluster=f"vqa-{number:04d}",
            target=[answer],
            attributes={**_seen(scenes, number), "question_type": QUESTION_TYPES.get(text, "mark"), "wording": text},
            **_saved(spec, name, image, folder),
        )
        prompts.append(prompt)
    return prompts


def _saved(spec: dict, name: str, image: np.ndarray, folder: Path) -> dict[str, str]:
    """An image (40, 40, 3) uint8 written as PNG; returns the prompt's two fields for it."""
    return save_image(png(image), folder, spec["dataset"], name, origin=name)


def _seen(scenes: Scenes, number: int) -> dict[str, str]:
    """What is in an image, as attributes; marks and glyphs only where there are any."""
    from layerwise.world import world

    found = {
        "family": FAMILIES[scenes.family[number]],
        "item": language.ITEMS[scenes.item[number]],
        "colour": language.COLOURS[scenes.colour[number]],
    }
    if scenes.shallow[number] != world.ABSENT:
        found["mark"] = language.SHALLOW_MARKS[scenes.shallow[number]]
        found["corner"] = ("up right", "down left")[scenes.corner[number]]
    if scenes.top_left[number] != world.ABSENT:
        found["glyphs"] = f"{scenes.top_left[number]} {scenes.bottom_right[number]}"
    return found
