"""One thread per process: two such processes beat one with two threads, and sums keep a fixed order."""

import os


def single_thread() -> None:
    """Let torch use one thread, or the number in `LAYERWISE_THREADS` (sums then round differently)."""
    import torch  # imported here, so that programs that never compute do not pay for it

    torch.set_num_threads(int(os.environ.get("LAYERWISE_THREADS", "1")))
