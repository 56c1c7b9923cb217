"""The course itself: chapters read from solutions/*.md, what learners get of them, the package at each cell.

May import: `merge`, `base`.
Begin with: `chapter` and `reading` (the source), `index` (all chapters), `snapshot` (the package), `build` (notebooks).
"""
