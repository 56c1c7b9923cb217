"""Whether an exercise was attempted at all: the learner's module held against the stub, definition by definition."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

from workbook.base.tree import modules, text_of
from workbook.course.chapter import Cell, Exercise
from workbook.course.index import Course
from workbook.course.release import stub
from workbook.merge.assemble import CellError, definitions
from workbook.merge.names import Function


class Attempt(StrEnum):
    """How far the learner got before any check runs."""

    MADE = "made"
    STUB = "stub"
    MISSING = "missing"
    MOVED = "moved"
    NOTHING = "nothing"


def attempt(course: Course, exercise: Exercise, app_dir: Path) -> Attempt:
    """Say whether the learner changed anything in the exercise's hole.

    The hole is every definition that differs between stub and solution. STUB: it is as the exercise's cell gives it.
    MISSING: it is not there, or as another cell gives it; a later chapter may have moved or rewritten it, so the checks
    must tell. MOVED: it is not there, but elsewhere in the package, inside a function for instance. NOTHING: nor is
    anything else in the package the learner's own. A module that cannot be parsed counts as an attempt: its error is
    worth showing. A definition that the cell leaves out, and that stands as an earlier cell of the course has it, is
    no attempt: the exercise begins with it.
    """
    try:
        mine = definitions(text_of(app_dir / exercise.path))
    except FileNotFoundError:
        return _absent(course, exercise, app_dir)
    except (CellError, UnicodeDecodeError, OSError):
        return Attempt.MADE
    given, solved = _asked(course, exercise)
    holes = set(_differing(given, solved))
    scopes = {name.rpartition(".")[0] for name in holes} - {""}
    others = _given(course, exercise.path)
    begun = _begun_with(course, exercise, mine, holes - set(given))
    written = {name: text for name, text in mine.items() if name not in begun}
    if _is_own(written, holes, scopes, others) or (_has_file(course, exercise) and _adds(mine, others)):
        return Attempt.MADE
    if all(mine.get(name) == solved[name] for name in holes & set(solved)):
        # a later exercise may begin with just this solution: its cell is no work of the learner's
        given_again = all(mine.get(name) in others.get(name, ()) for name in holes)
        return Attempt.MADE if not given_again or _has_own_work(course, app_dir) else Attempt.NOTHING
    required = (holes & set(given)) or begun or scopes
    if required and required <= set(mine) and all(mine.get(name) == given.get(name) for name in holes - begun):
        return Attempt.STUB
    return _absent(course, exercise, app_dir)


def _begun_with(course: Course, exercise: Exercise, mine: dict[str, str], left_out: set[str]) -> set[str]:
    """Return the definitions that an exercise's cell leaves out and that stand as an earlier cell has them."""
    earlier: dict[str, set[str]] = {}
    for cell in _before(course, exercise) if left_out & set(mine) else ():
        for code in (cell.body, stub(cell.body, cell.exercise or "")):
            for name, text in definitions(code).items():
                earlier.setdefault(name, set()).add(text)
    return {name for name in left_out if mine.get(name) in earlier.get(name, ())}


def _before(course: Course, exercise: Exercise) -> Iterator[Cell]:
    """Yield the cells of an exercise's file that stand before its own."""
    for chapter in course.chapters:
        for cell in chapter.writes:
            if cell.exercise == exercise.id:
                return
            if cell.argument.split()[0] == exercise.path:
                yield cell


def _absent(course: Course, exercise: Exercise, app_dir: Path) -> Attempt:
    """Say what it means that the file does not hold what the exercise asks for."""
    if not _has_own_work(course, app_dir):
        return Attempt.NOTHING
    return Attempt.MOVED if _is_elsewhere(course, hole(course, exercise), app_dir) else Attempt.MISSING


def _is_elsewhere(course: Course, names: list[str], app_dir: Path) -> bool:
    """Say whether the package holds a function or class that an exercise asks for, in whatever file or function.

    A file in which the course itself has something of that name holds its own, and nothing that was moved.
    """
    wanted = {name for name in names if "." not in name}
    for file in modules(app_dir):
        with suppress(SyntaxError, ValueError, OSError, RecursionError, MemoryError):
            parsed = ast.parse(text_of(file))
            held = {node.name for node in ast.walk(parsed) if isinstance(node, Function | ast.ClassDef)} & wanted
            if held and held - _defined(course, file.relative_to(app_dir).as_posix()):
                return True
    return False


def hole(course: Course, exercise: Exercise) -> list[str]:
    """Return the names of what an exercise asks to write, in the order of its cell: `UserService.update`."""
    return _differing(*_asked(course, exercise))


def _asked(course: Course, exercise: Exercise) -> tuple[dict[str, str], dict[str, str]]:
    """Return the definitions of an exercise's cell: as it is given, and as it is solved."""
    cell = course.chapter(exercise.chapter).cells[exercise.cell]
    return definitions(stub(cell.body, exercise.id)), definitions(cell.body)


def _differing(given: dict[str, str], solved: dict[str, str]) -> list[str]:
    return [name for name in {**solved, **given} if given.get(name) != solved.get(name)]


def _has_file(course: Course, exercise: Exercise) -> bool:
    """Say whether a file is this exercise's alone, so that whatever the learner adds to it is for this exercise."""
    return all(one.path != exercise.path or one.id == exercise.id for one in course.exercises.values())


def _adds(mine: dict[str, str], given: dict[str, set[str]]) -> bool:
    """Say whether a file holds a function or a class that no notebook names: tests without the class, for instance."""
    return any(name not in given and re.match(r"(Async)?(Function|Class)Def\(", text) for name, text in mine.items())


def _has_own_work(course: Course, app_dir: Path) -> bool:
    """Say whether anything in the package is not given by a notebook.

    Without this, code that a later chapter gives would earn an earlier exercise's points.
    """
    for file in modules(app_dir):
        path = file.relative_to(app_dir).as_posix()
        try:
            mine = definitions(text_of(file))
        except (CellError, UnicodeDecodeError, OSError):
            return True
        given = _given(course, path)
        if any(text not in given.get(name, ()) for name, text in mine.items()):
            return True
    return False


def _given(course: Course, path: str) -> dict[str, set[str]]:
    """Return what the learner's notebooks give for a file, by name: every text that is no work of theirs."""
    found: dict[str, set[str]] = {}
    for chapter in course.chapters:
        for cell in chapter.writes:
            if cell.argument.split()[0] == path:
                for name, text in definitions(stub(cell.body, cell.exercise or "")).items():
                    found.setdefault(name, set()).add(text)
    return found


def _defined(course: Course, path: str) -> set[str]:
    """Return the names that the course's cells define in a file."""
    cells = (cell for chapter in course.chapters for cell in chapter.writes if cell.argument.split()[0] == path)
    return {name for cell in cells for name in definitions(cell.body)}


def _is_own(mine: dict[str, str], holes: set[str], scopes: set[str], given: dict[str, set[str]]) -> bool:
    """Say whether the hole, or a class around it, holds something that no notebook gives."""
    return any(
        text not in given.get(name, ())
        for name, text in mine.items()
        if name in holes or name in scopes or (name.rpartition(".")[0] in scopes and name not in given)
    )
