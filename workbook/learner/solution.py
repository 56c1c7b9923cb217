"""A solution shown beside the learner's code, once it can do no harm."""

from __future__ import annotations

import difflib
import html

from workbook.base.errors import WorkbookError
from workbook.course import release
from workbook.course.chapter import Cell, Exercise
from workbook.course.index import Course
from workbook.course.snapshot import placed
from workbook.learner.workspace import Workspace
from workbook.merge.assemble import CellError, parse_header

_COLOURS = {"+": "background:#e8f5e9;color:#1b5e20", "-": "background:#fdecea;color:#7f1d1d"}
_BOX = (
    "border-left:6px solid #37474f;background:#eceff1;color:#1f1f1f;padding:8px 14px;"
    "font-family:monospace;font-size:13px;white-space:pre-wrap"
)


class NotYet(WorkbookError):
    """The exercise was not passed yet, and the learner did not insist."""


def compare(course: Course, exercise: Exercise, workspace: Workspace, *, anyway: bool = False) -> str:
    """Return a unified diff from the learner's module to the same module with the solution in it.

    Raises:
        NotYet: the exercise is not passed and `anyway` is False.
    """
    found = workspace.progress().get(exercise.id)
    if not anyway and (found is None or not found.passed):
        hints = "read the hints above the cell, or see it all the same: "
        raise NotYet(f"{exercise.id} is not passed yet", f"{hints}`%solution {exercise.id} --anyway`")
    cell = course.chapter(exercise.chapter).cells[exercise.cell]
    path = workspace.app_dir / exercise.path
    mine = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    made = with_solution(mine, cell)
    lines = difflib.unified_diff(mine.split("\n"), made.split("\n"), "yours", "the solution", lineterm="", n=3)
    body = "\n".join("…" if line.startswith("@@") else line for line in lines)
    return body or f"--- yours and the solution of {exercise.id} are the same"


def with_solution(mine: str, cell: Cell) -> str:
    """Return the learner's module as the solution's cell would leave it."""
    header = parse_header(cell.argument)
    try:
        return placed(mine, header, release.solved(cell.body))
    except CellError:  # the learner's module is no Python
        return release.solved(cell.body)


def as_html(diff: str) -> str:
    """Return a diff as an HTML panel with literal colours; the signs stay, so colour is not all."""
    rows = []
    for line in diff.split("\n"):
        style = _COLOURS.get(line[:1], "") if not line.startswith(("---", "+++")) else "font-weight:bold"
        rows.append(f'<div style="{style}">{html.escape(line) or "&nbsp;"}</div>')
    return f'<div style="{_BOX}">{"".join(rows)}</div>'
