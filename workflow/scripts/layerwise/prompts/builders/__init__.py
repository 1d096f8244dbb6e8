"""Builders of data sets, one file each: raw files in, prompts and images out.

A builder offers `build(spec, sources, folder) -> list[Prompt]`. `spec` holds the data set's settings, `sources` the
local path of each asset by name, and images are written below `folder` as `images/<dataset>/<prompt id>.<suffix>`.
Whatever is known of a prompt's scene or source goes into its `attributes`; results/README.md lists them.

A builder must be light to import, since every plan reads it. At its top it declares

- `Options`: the keys allowed under `options` in the YAML file, with types, ranges and defaults. All of them reach
  `build` in `spec["options"]`.
- `SOURCES`: the names of the assets it reads, each with whether it is required; None for any names.
- `TWINS`: whether a cluster holds a hazard and its benign twin, if the data set has both kinds.
- `kinds(options)`: the kinds of prompts it builds; none for labelled responses (`prompts/labelled.py`).
"""
