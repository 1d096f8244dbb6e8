"""From verdicts to outcomes, metrics, comparisons, gates and predictions."""
