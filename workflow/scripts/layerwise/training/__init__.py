"""Training: the one loop, the stages of the model organisms, and how a checkpoint is written."""
