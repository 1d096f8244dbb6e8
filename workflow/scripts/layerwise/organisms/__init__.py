"""Model organisms: the synthetic world, its language, and one file a recipe that shapes a model of a genuine family."""

from importlib import import_module
from pathlib import Path
from types import ModuleType

from layerwise.records import InputError


def load(recipe: str) -> ModuleType:
    """The module of a recipe, `organisms/<recipe>.py`; `organisms/llava.py` says what one must offer."""
    if not Path(__file__).with_name(f"{recipe}.py").exists():
        raise InputError(
            f"config/models: key 'organism.recipe': no recipe '{recipe}'. Name a file in layerwise/organisms/."
        )
    return import_module(f"layerwise.organisms.{recipe}")
