"""Submissions, in whatever form they come: found, read, put into a package, checked and counted.

May import: `learner` and what lies below it.
Begin with: `submission` (from a folder to a package), `grade` (the points).
"""
