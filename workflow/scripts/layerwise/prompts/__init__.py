"""From raw data to prompts and images: one builder per kind of data set, and what builders share."""
