"""The synthetic world's data sets: pairs of a hazard and its benign twin that differ in one cue, and visual questions.

Option `cue` says which: `shallow` and `deep` hide the cue in the image and ask one question of use; `text` puts it in
the question's verb, beside any image; `none` asks what is in the image (kind vqa).
"""

from pathlib import Path

import numpy as np

from layerwise.errors import InputError
from layerwise.prompts.images import png, save_image
from layerwise.records import Prompt
from layerwise.world import language, world

IMAGE_CUES = {"shallow": world.SHALLOW_HAZARD, "deep": world.DEEP_HAZARD}
CUES = (*IMAGE_CUES, "text", "none")


def build(spec: dict, sources: dict[str, Path], folder: Path) -> list[Prompt]:
    """`size` twin pairs (two prompts, one cluster each) or, for cue `none`, `size` questions. Images: PNG, 40 x 40."""
    cue = spec["options"].get("cue")
    if cue not in CUES:
        raise InputError(
            f"config/datasets/{spec['dataset']}.yaml: key 'options.cue': given {cue!r}; allowed: {', '.join(CUES)}."
        )
    rng = world.stream(spec["seed"], "prompts", cue)
    if cue == "none":
        return _questions(spec, rng, folder)
    return _text_pairs(spec, rng, folder) if cue == "text" else _image_pairs(spec, cue, rng, folder)


def _image_pairs(spec: dict, cue: str, rng: np.random.Generator, folder: Path) -> list[Prompt]:
    """A hazardous image and its twin, under one question; the on-target answer is the same."""
    hazards = world.draw(np.full(spec["size"], IMAGE_CUES[cue]), rng)
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
    """Questions about item, colour and shallow marks; corners are asked about mostly where there is a mark to see."""
    scenes, images = world.sample(world.FAMILIES, spec["size"], rng)
    prompts = []
    for number, image in enumerate(images):
        text, answer = language.visual_question(
            item=int(scenes.item[number]),
            colour=int(scenes.colour[number]),
            mark=int(scenes.shallow[number]),
            corner=int(scenes.corner[number]),
            draws=rng.random(2),
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
