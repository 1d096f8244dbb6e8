"""Figures, one file each: `data` is what a figure shows, `draw` how, `caption` what to read in it.

A figure declares, at the top of its file, what it reads and when it applies:

- `INPUTS`: names of result files, as `analysis.results.read` calls them.
- `WHEN`: what an experiment must have, as `study.facts` says it; of several in parentheses one will do.

It offers

- `data(frames: dict[str, DataFrame], subjects: DataFrame) -> DataFrame`
- `draw(data: DataFrame, style: Style) -> Figure`
- `caption(data: DataFrame, style: Style) -> str`

and may offer `finding(frames, subjects, names)`: a sentence or two on what it shows, for the paper.
"""
