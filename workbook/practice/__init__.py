"""What chapters 14 and 15 attack: sabotaged copies of the app, served on 127.0.0.1, and the faults they can have.

May import: `learner`, `workbook.exam` and what lies below them.
Begin with: `target` (the app under attack), `faults` (what may be wrong with it).
"""
