"""Where a learner stands, in words."""

from __future__ import annotations

import html
from collections.abc import Iterable

from workbook.course.chapter import Chapter
from workbook.course.index import Course
from workbook.feedback.panel import COLOURS
from workbook.feedback.report import verdict_line
from workbook.feedback.verdict import CheckReport
from workbook.learner.standing import Standing, State, standing
from workbook.learner.workspace import Workspace

_BOX = (
    "border-left:6px solid #37474f;background:#eceff1;color:#1f1f1f;padding:8px 14px;"
    "font-family:monospace;font-size:13px;white-space:pre"
)


def greeting(course: Course, workspace: Workspace) -> str:
    """Return one line: the file store, the points, and what comes next."""
    where = (
        workspace.app_dir.relative_to(workspace.root)
        if workspace.app_dir.is_relative_to(workspace.root)
        else workspace.app_dir
    )
    return f"workbook: your code goes to {where.as_posix()}/. {_line(standing(course, workspace))}"


def _line(found: Standing) -> str:
    course = found.course
    if not course.chapters:
        return "there is no chapter in solutions/: the course is incomplete (`git checkout solutions`)."
    following = found.following
    filled = found.of(State.FILLED)
    rest = f"all is done, but for {_count(filled)} filled in" if filled else "all is done"
    after = f"next: {following} {course.exercises[following].title}" if following else rest
    return f"{found.points} of {found.total} points; {after}."


def _count(exercises: list[str]) -> str:
    return "1 exercise" if len(exercises) == 1 else f"{len(exercises)} exercises"


def overview(course: Course, workspace: Workspace, number: int | None = None) -> str:
    """Return a table of every chapter and its exercises, or of one chapter."""
    found = standing(course, workspace)
    lines = [_line(found)]
    for chapter in course.chapters if number is None else [course.chapter(number)]:
        lines += ["", _chapter_line(chapter, found)]
        for exercise in chapter.exercises:
            lines.append(f"  {exercise.id:<5} {found.states[exercise.id]:<17} {exercise.points} p  {exercise.title}")
    return "\n".join(lines)


def _chapter_line(chapter: Chapter, found: Standing) -> str:
    done = sum(found.states[one.id] == State.PASSED for one in chapter.exercises)
    count = len(chapter.exercises)
    bar = "█" * done + "·" * (count - done)
    return f"{chapter.number:02d} {chapter.head.title}  {bar} {done} of {count}"


def as_html(text: str) -> str:
    """Return preformatted text as a panel."""
    return f'<div style="{_BOX}">{html.escape(text)}</div>'


def table_text(reports: Iterable[CheckReport]) -> str:
    """Return one verdict line for each report."""
    return "\n".join(verdict_line(one) for one in reports)


def table_html(reports: Iterable[CheckReport]) -> str:
    """Return the verdict lines as a panel, each in the colours of its verdict."""
    rows = []
    for one in reports:
        fg, bg = COLOURS[one.outcome]
        style = f"border-left:6px solid {fg};background:{bg};color:{fg};padding:3px 14px"
        rows.append(f'<div style="{style}">{html.escape(verdict_line(one))}</div>')
    return f"<div>{''.join(rows)}</div>"
