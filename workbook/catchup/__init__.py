"""Bringing somebody to a chapter without touching what is theirs: the course fills in what is missing and what fails.

May import: `learner` and what lies below it.
Begin with: `plan`, then `settling` (which of their definitions hold) and `patch`.
"""
