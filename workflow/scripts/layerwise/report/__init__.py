"""From results to figures, tables and the numbers of the paper."""
