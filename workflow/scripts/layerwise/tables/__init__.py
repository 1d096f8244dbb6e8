"""The tables: result files in, rows of text out.

Each is a function of the frames, of the spec and of the names for readers; it is found by the table's name.
"""

from layerwise.tables.comparison import published
from layerwise.tables.judging import agreement, controls, human_labels, judges
from layerwise.tables.organisms import gates, predictions
from layerwise.tables.results import outcomes, paired
from layerwise.tables.text import Names, Table

__all__ = [
    "Names",
    "Table",
    "agreement",
    "controls",
    "gates",
    "human_labels",
    "judges",
    "outcomes",
    "paired",
    "predictions",
    "published",
]
