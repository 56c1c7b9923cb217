"""Verdicts of this kernel on code that has not changed since: they are shown again, and not computed again."""

from __future__ import annotations

import hashlib
from pathlib import Path

from workbook.base.tree import Tree, content
from workbook.feedback.outcome import Outcome
from workbook.feedback.verdict import CheckReport
from workbook.running.job import check_files, key_of

UNCHANGED = "nothing has changed since this check, so it was not run again: `%check {} --anew` runs it"
LASTING = (Outcome.PASSED, Outcome.WRONG, Outcome.RAISED, Outcome.NOT_ATTEMPTED)


class Known:
    """Keeps the newest report on each exercise, with what it depends on.

    Args:
        root: the course, whose checks decide.
        app: the learner's package; each of its files counts, whatever its kind.
    """

    def __init__(self, root: Path, app: Path) -> None:
        self._root, self._app = root, app
        self._reports: dict[str, tuple[str, CheckReport]] = {}

    def stamp(self, chapter: int) -> str:
        """Return what a verdict of a chapter's checks depends on, as it is now: ask before the check begins."""
        found = hashlib.sha256(repr(key_of(self._root, check_files(self._root, [chapter]))).encode())
        for path in Tree.walk(self._app, links=True).files:
            data = content(path) or b""
            found.update(f"{path.relative_to(self._app)} {len(data)};".encode() + data)
        return found.hexdigest()

    def get(self, exercise: str, stamp: str) -> CheckReport | None:
        """Return the report, if nothing has changed since."""
        before, report = self._reports.get(exercise, ("", None))
        return report.model_copy(deep=True) if report is not None and before == stamp else None

    def keep(self, stamp: str, report: CheckReport) -> None:
        """Keep a report; one that a busy machine or a broken check gave is none."""
        if report.outcome in LASTING and all(one.outcome in LASTING for one in report.criteria):
            self._reports[report.exercise] = stamp, report.model_copy(deep=True)
