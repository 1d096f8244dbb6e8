"""From raw data to prompts and images: one builder a kind of data set, and what builders share."""
