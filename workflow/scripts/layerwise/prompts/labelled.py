"""Responses that people have labelled, to compare judges with. They are not prompts, and no model sees them.

A builder of such a data set has `labels(options)`, the two labels it gives (the one sought first), and `labelled(spec,
sources)`, its rows, instead of prompts.
"""

from typing import NamedTuple, NoReturn

from layerwise.errors import InputError


class Labelled(NamedTuple):
    """A response, the request before it, its label, and the model that said it; empty if that is not known."""

    request: str
    response: str
    label: str
    model: str


def no_prompts(spec: dict) -> NoReturn:
    """Raise InputError: this data set has responses, not prompts."""
    raise InputError(
        f"config/datasets/{spec['dataset']}.yaml holds labelled responses, not prompts. Name it in "
        "key 'human_labels' of the experiment instead of 'datasets'."
    )
