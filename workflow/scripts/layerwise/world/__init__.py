"""The synthetic world: its images, its language and its tokens."""
