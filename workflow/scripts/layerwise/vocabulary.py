"""The words that everything else is counted in: kinds of prompts, outcomes, groups of layers."""

KINDS = ("harmful", "benign", "vqa")


OUTCOMES = ("refusal", "harmful", "harmless", "incoherent")


ANSWERED = "answered"


GROUPS = ("Early", "Middle", "Late")


DEFAULT = "Default"
