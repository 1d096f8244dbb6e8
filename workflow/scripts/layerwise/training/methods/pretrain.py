"""Ability without safety: captions and questions, then instructions, harmful ones complied with; or the projector."""

from layerwise.training.methods import supervised

STARTS_FROM_ARM = False
REWARDED = False
STAGES = {"organism": ("captions", "instructions"), "assembled": ("projector",)}

train = supervised
