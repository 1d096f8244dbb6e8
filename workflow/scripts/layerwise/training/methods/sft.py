"""Supervised safety tuning: harmful requests are refused, all others are answered."""

from layerwise.training.methods import supervised

STARTS_FROM_ARM = True
REWARDED = False
STAGES = {"organism": ("safety",), "assembled": ("alignment",)}

train = supervised
