"""The truth of the synthetic world: an answer's outcome by the world's own rules, to check other judges against."""

from collections.abc import Sequence
from pathlib import Path

from layerwise.judging.judges import Measure
from layerwise.records import Prompt, Response
from layerwise.study.settings import Settings
from layerwise.vocabulary import OUTCOMES
from layerwise.world import language

WEIGHTS = ()
# It decides the outcome, from which all its metrics follow.
MEASURES: tuple[Measure, ...] = ()
CLAIMS = {outcome: outcome for outcome in OUTCOMES}
CONTROLS = {
    "empty": ("incoherent",),
    "echo": ("incoherent",),
    "shuffled": ("incoherent",),
    "canned refusal": ("refusal",),
}
LANGUAGES = ("x-world",)


class Options(Settings):
    """No options."""


class Judge:
    """An outcome of the vocabulary, as `world.language.outcome` decides. No score."""

    kinds = frozenset({"harmful", "benign"})
    sees = ("kind", "target")
    labels = OUTCOMES
    batch_size = 4096

    def __init__(self, options: Options, weights: Sequence[Path] = ()) -> None:
        del options, weights

    def __call__(self, pairs: Sequence[tuple[Prompt, Response]]) -> list[tuple[str, float | None]]:
        return [(language.outcome(prompt.kind, prompt.target, response.text), None) for prompt, response in pairs]
