"""From responses to verdicts: one file a judge, and what all judging shares."""
