"""What the arms of a model go through: the stages of their method, with their steps, and the data of each."""

from layerwise import plugins
from layerwise.study.arms import Arm
from layerwise.study.config import Model
from layerwise.study.recipes import Adapter, Stage


def steps(model: Model, arm: Arm) -> dict[str, int]:
    """Training steps by stage of an arm's method: the recipe's or the method's, or the arm's own."""
    method = plugins.declared("training.methods", arm.method)
    stages = method["STAGES"][model.kind]
    if method["REWARDED"]:
        return {stage: arm.steps or method["STEPS"] for stage in stages}
    recipe = model.organism.language.steps if model.organism else model.assembled
    found = {stage: getattr(recipe, stage) for stage in stages}
    return {stage: arm.steps or (own if isinstance(own, int) else own.steps) for stage, own in found.items()}


def stage(model: Model, arm: str) -> Stage | Adapter:
    """What an arm of an assembled or a published model learns, and from which data."""
    if model.adapter:
        return model.adapter
    (name,) = steps(model, model.arms[arm])
    return getattr(model.assembled, name)


def lessons(model: Model) -> dict[str, dict[str, str]]:
    """The data sets that a model's arms learn from, by task, for each part of its recipe."""
    if model.assembled:
        return {f"assembled.{stage}": getattr(model.assembled, stage).data for stage in ("projector", "alignment")}
    return {"adapter": model.adapter.data} if model.adapter else {}
