"""Checkpoints of judges that the workflow trains itself, one file a judge."""
