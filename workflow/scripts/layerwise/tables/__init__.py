"""The tables: result files in, rows of text out. Each is a function of the frames, the spec and the names for readers."""

from layerwise.tables.judges import agreement, controls, judges
from layerwise.tables.published import published
from layerwise.tables.results import outcomes, paired
from layerwise.tables.text import Names, Table

__all__ = ["Names", "Table", "agreement", "controls", "judges", "outcomes", "paired", "published"]
