"""The synthetic world: what an image shows, what is said about it, and the tokens it is said in."""
