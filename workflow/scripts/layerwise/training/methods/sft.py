"""Supervised safety tuning: what is harmful is refused, everything else is answered."""

from layerwise.training.methods import supervised

STARTS_FROM_ARM = True
REWARDED = False
STAGES = {"organism": ("safety",), "assembled": ("alignment",)}

train = supervised
