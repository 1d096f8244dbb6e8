"""Ability without safety: captions and questions, then instructions, harmful ones obeyed; or the projector alone."""

from layerwise.training.methods import supervised

STARTS_FROM_ARM = False
REWARDED = False
STAGES = {"organism": ("captions", "instructions"), "assembled": ("projector",)}

train = supervised
