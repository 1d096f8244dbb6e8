"""Data sets: one file a builder, from raw files to prompts and images; and the image controls that serve all of them.

A builder offers `build(spec, sources, folder) -> list[Prompt]`. `spec` holds the data set's settings, `sources` the
local path of each asset by name, and images are written below `folder` as `images/<dataset>/<prompt id>.<ending>`.

It declares at its top, and is light to import, since every plan reads it:

- `Options`: what the YAML file may say under `options`, with types, ranges and defaults. All of them reach `build` in
  `spec["options"]`.
- `SOURCES`: the names of the assets that it reads, each with whether it must be given; None for any names.
- `TWINS`: whether a cluster holds a hazard and its benign twin, where both kinds come out.
- `kinds(options)`: the kinds of prompts that come out; none for responses that people have labelled, of which
  `labelled(spec, sources)` gives the rows.
"""
