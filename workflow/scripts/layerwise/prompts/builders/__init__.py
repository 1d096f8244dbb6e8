"""Data sets: one file a builder, from raw files to prompts and images; and the image controls that serve all of them.

A builder offers `build(spec, sources, folder) -> list[Prompt]`. `spec` holds the data set's settings, `sources` the
local path of each asset by name, and images are written below `folder` as `images/<dataset>/<prompt id>.<ending>`.
"""
