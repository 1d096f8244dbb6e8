"""Tables, one file each: result files in, rows of text out.

A table declares, at the top of its file, what it reads and when it applies:

- `INPUTS`: names of result files, as `analysis.results.read` calls them.
- `WHEN`: what an experiment must have, in the words of `study.facts`; of several in parentheses, one is enough.

It offers `table(frames, spec, names) -> Table`, and may offer `finding(frames, subjects, names)`: a sentence or two on
what it shows, for the paper.
"""
