"""Rows of a measurement, and the page that shows them."""

from dataclasses import dataclass
from datetime import date

import torch
import transformers

COLUMNS = ("what", "a second", "seconds", "memory, GB", "share of the roofline", "")


@dataclass
class Row:
    """What was measured: so many of a unit in so many seconds, the memory, and the seconds that the roofline allows."""

    id: str
    what: str
    unit: str = ""
    count: float = 0
    seconds: float = 0
    memory_gb: float = 0
    roofline_seconds: float | None = None
    note: str = ""
    status: str = "measured"

    @property
    def cells(self) -> tuple[str, ...]:
        """One text a column."""
        if self.status != "measured":
            return (self.what, "", "", "", "", self.status)
        rate = f"{self.count / self.seconds:.3g} {self.unit}" if self.count else ""
        share = f"{self.roofline_seconds / self.seconds:.0%}" if self.roofline_seconds else ""
        return (self.what, rate, f"{self.seconds:.3g}", f"{self.memory_gb:.1f}", share, self.note)

    def line(self) -> str:
        """The row for a terminal."""
        what, rate, seconds, memory, share, note = self.cells
        share = f"{share} of the roofline" if share else ""
        return f"{what:<64} {rate:<16} {seconds:>7} {memory:>6}  {share:<22} {note}".rstrip()


def page(measured: dict) -> str:
    """docs/gpu.md."""
    head = (
        f"Measured with `make gpu` on {measured['card']} ({measured['memory']}), torch {measured['torch']}, "
        f"transformers {measured['transformers']}, on {measured['date']}. The models have their real size, in bf16, "
        "and random weights; each answer has 128 tokens. The roofline is the time that reading takes at the speed of "
        "the first row, plus the time that the weights and the cache, read for every token, take at that of the second."
    )
    table = [COLUMNS, ("---",) * len(COLUMNS), *(Row(**row).cells for row in measured["rows"])]
    return "\n".join(["# Speed on a GPU", "", head, "", *(f"| {' | '.join(cells)} |" for cells in table), ""])


def about(device: str) -> dict[str, str]:
    """The card, the versions and the day."""
    cuda = device == "cuda"
    return {
        "card": torch.cuda.get_device_name() if cuda else "none, a test on the CPU",
        "memory": f"{torch.cuda.get_device_properties(0).total_memory / 1e9:.0f} GB" if cuda else "?",
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "date": date.today().isoformat(),
    }
