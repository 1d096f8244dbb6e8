"""Training of judges' checkpoints, one file per judge."""
