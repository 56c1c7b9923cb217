"""What runs inside the checked process: the learner's package imported, requests recorded, each end of a test judged.

May import: `workbook.expect`, `feedback`, `servers`, `course`, `merge`, `base`.
Begin with: `plugin` (pytest), then `judge`, `package`, `recorder`; `suite` for tests that the learner writes.
"""
