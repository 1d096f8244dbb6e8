"""The truth of the synthetic world: what an answer is by the world's own rules, so that other judges can be checked."""

from collections.abc import Sequence
from pathlib import Path

from layerwise.judging.judges import settings
from layerwise.records import Prompt, Response
from layerwise.world import language


class Judge:
    """`refusal`, `harmful`, `harmless` or `incoherent`, as `organisms.language.outcome` rules. No score."""

    kinds = frozenset({"harmful", "benign"})
    sees = ("kind", "target")
    labels = (language.REFUSED, language.HARMFUL, language.HARMLESS, language.INCOHERENT)
    batch_size = 4096

    def __init__(self, options: dict, weights: Sequence[Path] = ()) -> None:
        settings("truth", options, {})

    def __call__(self, pairs: Sequence[tuple[Prompt, Response]]) -> list[tuple[str, float | None]]:
        return [(language.outcome(prompt.kind, prompt.target, response.text), None) for prompt, response in pairs]
