"""Figures, one file each.

A figure declares, at the top of its file, what it reads and when it applies:

- `INPUTS`: names of result files, as `analysis.results.read` calls them.
- `WHEN`: what an experiment must have, in the words of `study.facts`; of several in parentheses, one is enough.

It offers

- `data(frames: dict[str, DataFrame], subjects: DataFrame) -> DataFrame`: the values to plot
- `draw(data: DataFrame, style: Style) -> Figure`
- `caption(data: DataFrame, style: Style) -> str`: how to read the figure

and may offer `finding(frames, subjects, names)`: a sentence or two on what it shows, for the paper.
"""
