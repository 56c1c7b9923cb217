"""The proof that the checks are right: stubs, solutions, wrong and right answers, mutants.

May import: `running` and what lies below it.
Begin with: `verify`, then `answers` and `mutants`.
"""
