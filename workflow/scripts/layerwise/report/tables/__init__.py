"""The tables: result files in, rows of text out.

Each is a function of the frames, of the spec and of the names for readers; it is found by the table's name.
"""

from layerwise.report.tables.comparison import published
from layerwise.report.tables.judging import agreement, controls, human_labels, judges
from layerwise.report.tables.organisms import gates, predictions
from layerwise.report.tables.results import outcomes, paired
from layerwise.report.text import Names, Table

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
