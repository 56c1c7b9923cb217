"""A solution shown beside the learner's code, once it can do no harm."""

from __future__ import annotations

import difflib
import html

from workbook import release
from workbook.chapter import Exercise
from workbook.course import Course
from workbook.errors import WorkbookError
from workbook.excerpt import excerpt, names
from workbook.workspace import Workspace

_COLOURS = {"+": "background:#e8f5e9;color:#1b5e20", "-": "background:#fdecea;color:#7f1d1d"}
_BOX = (
    "border-left:6px solid #37474f;background:#eceff1;color:#1f1f1f;padding:8px 14px;"
    "font-family:monospace;font-size:13px;white-space:pre-wrap"
)


class NotYet(WorkbookError):
    """The exercise was not passed yet, and the learner did not insist."""


def compare(course: Course, exercise: Exercise, workspace: Workspace, *, anyway: bool = False) -> str:
    """Return a unified diff from the learner's definitions to the solution's.

    Raises:
        NotYet: the exercise is not passed and `anyway` is False.
    """
    found = workspace.progress().get(exercise.id)
    if not anyway and (found is None or not found.passed):
        hints = "read the hints above the cell, or see it all the same: "
        raise NotYet(f"{exercise.id} is not passed yet\n\nhint: {hints}`%solution {exercise.id} --anyway`")
    cell = course.chapter(exercise.chapter).cells[exercise.cell]
    wanted = release.solved(cell.body).rstrip("\n")
    mine = _mine(workspace, exercise, wanted)
    lines = difflib.unified_diff(mine.split("\n"), wanted.split("\n"), "yours", "the solution", lineterm="", n=100)
    body = "\n".join(line for line in lines if not line.startswith("@@"))
    return body or f"--- yours and the solution of {exercise.id} are the same"


def _mine(workspace: Workspace, exercise: Exercise, wanted: str) -> str:
    """Return the learner's text of the definitions that the solution writes."""
    path = workspace.app_dir / exercise.path
    try:
        return excerpt(path.read_text(encoding="utf-8"), names(wanted)).rstrip("\n")
    except (SyntaxError, ValueError, OSError):
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def as_html(diff: str) -> str:
    """Return a diff as an HTML panel with literal colours; the signs stay, so colour is not all."""
    rows = []
    for line in diff.split("\n"):
        style = _COLOURS.get(line[:1], "") if not line.startswith(("---", "+++")) else "font-weight:bold"
        rows.append(f'<div style="{style}">{html.escape(line) or "&nbsp;"}</div>')
    return f'<div style="{_BOX}">{"".join(rows)}</div>'
