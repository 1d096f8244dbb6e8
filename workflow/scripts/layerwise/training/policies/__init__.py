"""Policies, one file for each kind of learner: its language model answers, and alone learns what answers are worth.

Each file offers a class `Policy`, as in `training.rollouts`.
"""
