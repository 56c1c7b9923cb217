"""An error of a call in a notebook, such as `await sabotaged()`: shown in words, without a traceback."""

from __future__ import annotations

from workbook.base.errors import WorkbookError


class Trouble(WorkbookError):
    """What a learner can repair; IPython asks it how it looks."""

    def _render_traceback_(self) -> list[str]:
        return str(self).split("\n")
