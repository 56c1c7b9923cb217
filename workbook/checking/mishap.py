"""An exception in a check's own statement: whether what the learner's code made is behind it, and what to say of it."""

from __future__ import annotations

import ast
import re
import traceback
from collections.abc import Callable
from pathlib import Path

from workbook.base.wording import said, summary
from workbook.checking.hole import Hole
from workbook.checking.package import Package
from workbook.checking.trail import chain
from workbook.course.index import Course
from workbook.feedback import diagnose
from workbook.feedback.verdict import Location

# what a check meets when the learner's code gave another kind of thing than it could expect
OTHER_KIND = (AttributeError, TypeError, LookupError, ValueError)
# what works on the learner's models, schemas and rows while a check's own statement runs
LIBRARIES = ("sqlalchemy", "sqlite3", "aiosqlite", "pydantic", "pydantic_core", "fastapi", "jose", "passlib")


def is_learners(error: BaseException, checks: Path | None) -> bool:
    """Say whether what the learner's code made is behind it: another kind of thing, or one that a library refuses.

    What a line of the checks raises by itself is theirs, also where it is an error of a library.
    """
    if isinstance(error, OTHER_KIND):
        return True
    return isinstance(error, Exception) and is_librarys(error) and not _is_raised_by(error, checks)


def is_librarys(error: BaseException) -> bool:
    """Say whether an exception is one of the libraries that work on what the learner's code made."""
    return type(error).__module__.split(".")[0] in LIBRARIES


def told(error: BaseException, checks: Path | None, made_in: Callable[[str], str]) -> tuple[str, str, str]:
    """Return what came back, what was expected, and the hint.

    Args:
        error: what rose in the check's own statement.
        checks: the folder of the checks.
        made_in: says where the course puts a name into `app.state`.
    """
    lacking = re.fullmatch(r"'State' object has no attribute '(\w+)'", said(error))
    if lacking:
        name = lacking[1]
        where = made_in(name)
        hint = f"`app.state.{name}` is set in {where}: does the app still do it, each time it starts?" if where else ""
        return (
            f"the app has no `app.state.{name}`",
            f"`app.state.{name}`, when the app has started",
            hint or _hint(error),
        )
    got = f"the check cannot go on at `{_line(error, checks)}`: {summary(error)}"
    expected = "names, and kinds of things, as the exercise gives them"
    if is_librarys(error) and not isinstance(error, OTHER_KIND):
        expected = f"{type(error).__module__.split('.')[0]} can work with what your code made"
    return got, expected, _hint(error)


def place(error: BaseException, hole: Hole, package: Package) -> Location | None:
    """Return the line that holds the value which a library refuses, or else the exercise's own definition."""
    refused = re.search(r"Not a boolean value: (.+)|Value (.+) is not None, True, or False", said(error))
    for node in hole.nodes(package).values() if refused else ():
        for one in ast.walk(node):
            if isinstance(one, ast.Constant) and refused and repr(one.value) in refused.groups():
                return package.locate(str(package.folder / hole.path), one.lineno)
    return hole.place(package)


def made_in(course: Course, name: str) -> str:
    """Return the exercise whose cell is the first to set a name in `app.state`, or its chapter; or an empty text."""
    for chapter in course.chapters:
        for cell in chapter.writes:
            if re.search(rf"\.state\.{name}\s*=[^=]", cell.body):
                return f"exercise {cell.exercise}" if cell.exercise else f"chapter {chapter.number:02}"
    return ""


def _hint(error: BaseException) -> str:
    return diagnose.hint_for(error) or "is a name changed, or does something give None, or another type?"


def _line(error: BaseException, checks: Path | None) -> str:
    """Return the line of the check's that cannot go on."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [one for one in frames if checks and Path(one.filename).is_relative_to(checks)]
    line = (ours or frames)[-1].line if frames else ""
    return (line or "").strip()


def _is_raised_by(error: BaseException, checks: Path | None) -> bool:
    """Say whether a line of the checks raised it, or what it was raised from."""
    for one in chain(error):
        frames = traceback.extract_tb(one.__traceback__)
        if not frames or (checks and Path(frames[-1].filename).is_relative_to(checks)):
            return True
    return False
