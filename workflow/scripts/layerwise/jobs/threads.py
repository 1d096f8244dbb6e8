"""How many threads compute: one a process. Two such processes beat one with two, and sums keep one order."""

import os


def single_thread() -> None:
    """Let torch compute with one thread, or with as many as `LAYERWISE_THREADS` says (sums then round otherwise)."""
    import torch  # here, so that what never computes does not pay for it

    torch.set_num_threads(int(os.environ.get("LAYERWISE_THREADS", "1")))
