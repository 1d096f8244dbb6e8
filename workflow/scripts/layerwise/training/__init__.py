"""Training: the loop, the methods, and the stages of organisms and assembled models."""
