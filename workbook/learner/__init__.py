"""The learner's own: files and their versions, the desk, the score, and where somebody stands in the course.

May import: `running` and what lies below it.
Begin with: `workspace`, then `writing` (a cell into a file) and `standing`.
"""
