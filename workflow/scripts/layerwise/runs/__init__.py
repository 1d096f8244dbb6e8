"""A run as a whole: what it will take, how each file was made, and whether it agrees with the reference."""
