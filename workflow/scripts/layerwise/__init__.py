"""The library behind the workflow: prompts -> responses -> verdicts -> outcomes -> metrics -> figures, tables, paper.

A module knows only what stands to its left; `tests/unit/test_rooms.py` holds that.
"""
