"""Processes around a check: a warm one that forks, limits, a sandbox, results as lines, verdicts known already.

May import: `checking` and what lies below it.
Begin with: `worker` (the handle), `host` (the warm process), `session` (one run), `conclusion` (lines to a verdict).
"""
