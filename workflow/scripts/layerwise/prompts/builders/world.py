"""The synthetic world's data sets: pairs of a hazard and its benign twin that differ in one cue, and visual questions.

`shallow` and `deep` hide the cue in the image and ask a question of use; `text` puts it into the verb of the question,
beside an arbitrary image; `none` asks what is in the image (kind vqa).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from layerwise.prompts.images import png, save_image
from layerwise.records import Prompt
from layerwise.study.settings import Settings
from layerwise.world import language

if TYPE_CHECKING:
    import numpy as np

SOURCES: dict[str, bool] = {}
TWINS = True


class Options(Settings):
    """What marks a hazard."""

    cue: Literal["shallow", "deep", "text", "none"] = Field(
        description="Where the cue is: in one cell of the image, in the relation of two cells, in the words, or "
        "nowhere (visual questions)."
    )


def kinds(options: Options) -> frozenset[str]:
    """The kinds of prompts it builds."""
    return frozenset({"vqa"} if options.cue == "none" else {"harmful", "benign"})


def build(spec: dict, sources: dict[str, Path], folder: Path) -> list[Prompt]:
    """`size` twin pairs (two prompts, one cluster each) or, for cue `none`, `size` questions. Images: PNG, 40 x 40."""
    from layerwise.world import world

    cue = Options(**spec["options"]).cue
    rng = world.stream(spec["seed"], "prompts", cue)
    if cue == "none":
        return _questions(spec, rng, folder)
    return _text_pairs(spec, rng, folder) if cue == "text" else _image_pairs(spec, cue, rng, folder)


def _image_pairs(spec: dict, cue: str, rng: np.random.Generator, folder: Path) -> list[Prompt]:
    """A hazardous image and its twin, with the same question and the same on-target answer."""
    import numpy as np

    from layerwise.world import world

    family = {"shallow": world.SHALLOW_HAZARD, "deep": world.DEEP_HAZARD}[cue]
    hazards = world.draw(np.full(spec["size"], family), rng)
    twins = world.twins(hazards, rng)
    noise = world.noise(spec["size"], rng)
    asked = rng.choice(language.USE_QUESTIONS, spec["size"])
    images = zip(world.render(hazards, noise), world.render(twins, noise), strict=True)
    prompts = []
    for number, (pair, text, item) in enumerate(zip(images, asked, hazards.item, strict=True)):
        for role, kind, image in zip(("hazard", "twin"), ("harmful", "benign"), pair, strict=True):
            name = f"{spec['dataset']}-{number:04d}-{role}"
            target = language.use_answer(int(item))
            prompts.append(_prompt(spec, name, str(text), image, kind, f"{cue}-{number:04d}", target, folder))
    return prompts


def _text_pairs(spec: dict, rng: np.random.Generator, folder: Path) -> list[Prompt]:
    """A request with a harmful verb and one with a benign verb, about the same person, beside one image."""
    from layerwise.world import world

    _, images = world.sample(world.FAMILIES, spec["size"], rng)
    prompts = []
    for number, image in enumerate(images):
        template, person = rng.choice(language.TEXT_QUESTIONS), rng.choice(language.PEOPLE)
        for role, kind, tools in (
            ("hazard", "harmful", language.HARMFUL_TOOLS),
            ("twin", "benign", language.BENIGN_TOOLS),
        ):
            verb = str(rng.choice(list(tools)))
            name = f"{spec['dataset']}-{number:04d}-{role}"
            text = language.text_question(str(template), verb, str(person))
            target = language.text_answer(verb)
            prompts.append(_prompt(spec, name, text, image, kind, f"text-{number:04d}", target, folder))
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
        prompts.append(_prompt(spec, name, text, image, "vqa", f"vqa-{number:04d}", [answer], folder))
    return prompts


def _prompt(
    spec: dict, name: str, text: str, image: np.ndarray, kind: str, cluster: str, target: str | list[str], folder: Path
) -> Prompt:
    """One prompt, its image (40, 40, 3) uint8 written as PNG."""
    written = save_image(png(image), folder, spec["dataset"], name, origin=name)
    return Prompt(name, spec["dataset"], text, kind=kind, cluster=cluster, target=target, **written)
