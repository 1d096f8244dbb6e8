"""Arms: what each is trained from."""

# What an arm is trained from, and where its image features come from while it is trained.
BASES = {"base": None, "robust": None}


ALIGNED = {
    "text": "base",
    "default": "base",
    "layerwise": "base",
    "default-on-robust": "robust",
    "layerwise-on-robust": "robust",
}


ARMS = (*BASES, *ALIGNED)


# Joined models alone: taught to refuse without an image.
JOINED_ARMS = ("text",)
