"""A module that an edit has broken: told with its line, and with the kept version that brings it back."""

from __future__ import annotations

from collections.abc import Mapping

from workbook.learner.desk import Desk
from workbook.merge.syntax import check, clean, is_python


def require_python(desk: Desk, files: Mapping[str, str]) -> None:
    """Refuse to go on with a module that is no Python.

    Args:
        desk: where they lie.
        files: the modules' texts by path.

    Raises:
        CellError: a module cannot be read; the message names its line, and what brings it back.
    """
    for path, text in files.items():
        if not is_python(text):
            check(clean(text), f"app/{path}", "", remedy(desk, path))


def remedy(desk: Desk, path: str) -> str:
    """Return what to do about a module that Python cannot read: the newest kept version that it can is named."""
    good = desk.newest_readable(path)
    if not good:
        return "repair it in the editor: no version of this file that Python can read is kept"
    return (
        f"repair it in the editor; or `%undo {good}` brings version {good} of this file back, the newest that Python "
        f"can read (`%history {path}` lists all)"
    )
