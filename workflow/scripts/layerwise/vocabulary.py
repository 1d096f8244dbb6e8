"""The words that everything is counted in: kinds of prompts, outcomes of responses, metrics, groups of exit layers."""

from typing import Literal, NamedTuple

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
# The outcome that a metric is the share of.
OUTCOME_OF = {
    "refusal": "refusal",
    "asr": "harmful",
    "harmless": "harmless",
    "answered": ANSWERED,
    "incoherent": "incoherent",
}
