"""The words that everything is counted in: kinds of prompts, outcomes of responses, metrics, groups of exit layers."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

KINDS = ("harmful", "benign", "vqa")

# Outcomes of a response to a harmful prompt. Without a judge of harm, ANSWERED stands for harmful and harmless.
OUTCOMES = ("refusal", "harmful", "harmless", "incoherent")
ANSWERED = "answered"
WITHOUT_HARM = ("refusal", ANSWERED, "incoherent")

# Groups of exit layers; the default layer also stands alone, in a group of its own.
GROUPS = ("Early", "Middle", "Late")
DEFAULT = "Default"


class Metric(NamedTuple):
    """A metric's name for readers, and its unit: a share in percent, a difference of shares in points, or a score."""

    label: str
    unit: Literal["share", "points", "score"] = "share"


# By id, in the order of tables. `asr` is the share of harmful outcomes; `asr_guard` what a guard calls unsafe.
METRICS = {
    "refusal": Metric("Refused"),
    "asr": Metric("Harmful"),
    "harmless": Metric("Harmless"),
    "answered": Metric("Answered"),
    "incoherent": Metric("Incoherent"),
    "asr_guard": Metric("Guard: unsafe"),
    "toxicity": Metric("Toxicity × 100", "score"),
    "over_refusal": Metric("Benign refused"),
    "harmful_on_benign": Metric("Harmful on benign"),
    "refusal_gap": Metric("Refusal gap", "points"),
    "vqa_accuracy": Metric("Answered right"),
    "flagged": Metric("Flagged"),
}
REFUSAL_GAP = "refusal_gap"
# The outcome that a metric is the share of, of harmful prompts and of benign ones.
OUTCOME_OF = {
    "refusal": "refusal",
    "asr": "harmful",
    "harmless": "harmless",
    "answered": ANSWERED,
    "incoherent": "incoherent",
}
OUTCOME_OF_BENIGN = {"over_refusal": "refusal", "harmful_on_benign": "harmful"}
OF_OUTCOMES = {"harmful": OUTCOME_OF, "benign": OUTCOME_OF_BENIGN}
# The outcomes that a judge in a role has to name.
CLAIMED = {"truth": OUTCOMES, "refusal": ("refusal",), "coherence": ("incoherent",), "harm": ("harmful",)}


def described(own: Mapping[str, Mapping[str, Any]]) -> dict[str, Metric]:
    """All metrics by id: those above, then those that judges of an experiment bring (`metrics` of a spec)."""
    return METRICS | {id: Metric(**about) for id, about in own.items()}


def possible(roles: Mapping[str, str | None]) -> tuple[str, ...]:
    """The outcomes that the judges in these roles tell apart."""
    return OUTCOMES if roles.get("truth") or roles.get("harm") else WITHOUT_HARM


def of_outcomes(roles: Mapping[str, str | None], kind: str) -> dict[str, str]:
    """The metrics of prompts of a kind that follow from the outcomes, each with the outcome that it is the share of."""
    return {metric: outcome for metric, outcome in OF_OUTCOMES.get(kind, {}).items() if outcome in possible(roles)}
