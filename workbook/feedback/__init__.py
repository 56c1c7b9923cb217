"""What a learner is told: outcomes, hints from exceptions and from the code itself, and the report of a check.

May import: `course`, `merge`, `base`.
Begin with: `verdict` (what a check gives), `diagnose` (an exception in words), `report` (as text; `panel`, `export`).
"""
