"""The library behind the workflow: prompts -> responses -> verdicts -> outcomes -> metrics -> figures, tables, paper.

One room for each stage. Which room may import which stands in pyproject.toml, where import-linter reads it.
"""
