"""Tables, one file each: result files in, rows of text out.

A table declares, at the top of its file, what it reads and when it applies:

- `INPUTS`: names of result files, as `analysis.results.read` calls them.
- `WHEN`: what an experiment must have, as `study.facts` says it; of several in parentheses one will do.

It offers `table(frames, spec, names) -> Table`, and may offer `finding(frames, subjects, names)`: sentences on it.
"""
