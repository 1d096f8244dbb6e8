"""A run as a whole: what it will take, how each file came about, and whether it agrees with the reference."""
