"""The course's folder: found from a place in it, or named in the environment."""

from __future__ import annotations

import os
from pathlib import Path

from workbook.learner.files import WorkspaceError


class CourseNotFound(WorkspaceError):
    """No folder of a course at or above the place."""


def find_root(start: Path | None = None) -> Path:
    """Find the course's folder: the one whose pyproject.toml has a `[tool.workbook]` table.

    Args:
        start: Where to begin; the working directory if None. WORKBOOK_ROOT goes before both.

    Raises:
        CourseNotFound: There is none at or above the place.
    """
    named = os.environ.get("WORKBOOK_ROOT")
    if named:
        root = Path(named).expanduser().resolve()
        if root.is_dir():
            return root
        raise CourseNotFound(f"WORKBOOK_ROOT={named!r} is no folder", "correct or unset WORKBOOK_ROOT")
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if is_root(folder):
            return folder
    raise CourseNotFound(
        f"no course at {here} or above: no pyproject.toml with a [tool.workbook] table",
        "go into the course's folder, or name it in the environment variable WORKBOOK_ROOT",
    )


def is_root(folder: Path) -> bool:
    """Tell whether a folder is a course's."""
    import tomllib

    try:
        settings = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    tool = settings.get("tool")
    return isinstance(tool, dict) and isinstance(tool.get("workbook"), dict)


def from_env(name: str, default: Path) -> Path:
    """Return the folder that an environment variable names, or the default."""
    named = os.environ.get(name)
    return Path(named).expanduser().resolve() if named else default
