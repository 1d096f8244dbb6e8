"""Model organisms: the synthetic world, its language, and one file a recipe that shapes a model of a genuine family."""
