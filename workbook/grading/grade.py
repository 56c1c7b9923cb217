"""A submission checked exercise by exercise in contained processes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from workbook.base.plain import named, plain
from workbook.base.tree import content, modules
from workbook.course.chapter import Exercise
from workbook.course.index import Course
from workbook.feedback import report
from workbook.feedback.outcome import Outcome
from workbook.feedback.verdict import CheckReport, Provenance
from workbook.grading.source import Source
from workbook.grading.submission import Submission, SubmissionError, opened
from workbook.running import pool
from workbook.running.worker import Worker

__all__ = ["Source", "Submission", "SubmissionError", "grade", "opened", "summary", "text"]


def grade(
    course: Course,
    workers: Sequence[Worker],
    folder: Path,
    chosen: list[Exercise],
    step: Callable[[int, int], None] = lambda _done, _all: None,
    *,
    source: Source = Source.AUTO,
) -> tuple[list[CheckReport], Submission]:
    """Check a submission's exercises, each in a process of its own.

    Args:
        course: the index.
        workers: warm workers whose checks are the trusted ones; each checks one exercise at a time.
        folder: the submission.
        chosen: the exercises to check.
        step: told (done, all) after each exercise.
        source: the package or the notebooks, where both are there.

    Raises:
        SubmissionError: the folder is no submission.
    """
    reports: list[CheckReport] = []
    with opened(folder, course, source) as submission:
        root = workers[0].root
        if root.resolve() == submission.folder.resolve():
            submission.notes.append(
                "the checks that ran are the submission's own: grade with another copy of the course"
            )
        known = Provenance(used=submission.used, notes=submission.notes, checks=whose_checks(root))

        def check(worker: Worker, exercise: Exercise) -> CheckReport:
            try:
                return worker.check(course, exercise.id, submission.app)
            except Exception as error:  # whatever happens there is this exercise's, and not the end of the report
                note = plain(f"grading this exercise failed: {type(error).__name__}: {error}")
                broke = CheckReport(exercise=exercise.id, title=exercise.title, outcome=Outcome.BROKE, note=note)
                broke.out_of = exercise.points
                return broke

        for found in pool.spread(workers, check, chosen):
            found.package = submission.source
            found.provenance = known.model_copy(update={"isolation": found.provenance.isolation})
            reports.append(found)
            step(len(reports), len(chosen))
    return reports, submission


def whose_checks(root: Path) -> str:
    """Say which checks ran: their folder, and the SHA-256 of its Python files."""
    folder = root / "tests" / "chapters"
    found = hashlib.sha256()
    for path in modules(folder):
        found.update(path.relative_to(folder).as_posix().encode() + b"\0" + (content(path) or b"") + b"\0")
    return f"{named(folder)} (SHA-256 {found.hexdigest()})"


def summary(reports: list[CheckReport]) -> str:
    """Return the points in one line."""
    points, total = sum(one.points for one in reports), sum(one.out_of for one in reports)
    passed = sum(one.passed for one in reports)
    return f"{points} of {total} points, {passed} of {len(reports)} exercises passed"


def text(reports: list[CheckReport], submission: Submission) -> str:
    """Return the whole result as text: what was graded and what was not, the verdicts, and why each failed."""
    lines = [f"graded: {submission.source}"]
    if len(submission.used) > 1:
        lines += [f"  {name}" for name in submission.used]
    lines += [f"note: {note}" for note in submission.notes]
    if reports:
        lines += [f"checks: {reports[0].provenance.checks}", f"isolation: {reports[0].provenance.isolation}"]
    lines += ["", *map(report.verdict_line, reports)]
    failed = [one for one in reports if not one.passed and one.outcome is not Outcome.NOT_ATTEMPTED]
    lines += [f"\n{report.text(one)}" for one in failed]
    return "\n".join([*lines, "", f"{submission.source}: {summary(reports)}"])
