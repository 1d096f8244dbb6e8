"""From responses to verdicts: one file per judge, and what all judging shares."""
