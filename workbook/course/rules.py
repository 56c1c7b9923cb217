"""The rules that a chapter's source keeps, beyond what can be read at all."""

from __future__ import annotations

import re
from pathlib import Path

from workbook.course.chapter import BEGIN, END, HINTS, STUB, Cell, Chapter, Exercise, SourceError

HINT_WORDS = 50
PROSE_WORDS = 160
EXERCISE_ID = re.compile(r"\d{1,2}\.\d{1,2}")


def validate(path: Path, chapter: Chapter, exercises: tuple[Exercise, ...]) -> None:
    """Hold a chapter that was read against the rules.

    Raises:
        SourceError: at the first broken rule.
    """
    _validate_start(path, chapter)
    seen: set[str] = set()
    for exercise in exercises:
        _validate_exercise(path, chapter, exercise, seen)
        seen.add(exercise.id)
    for cell in chapter.cells:
        if cell.kind == "code":
            _validate_markers(path, cell)
        else:
            _validate_prose(path, cell)
    order = [exercise.order for exercise in exercises]
    if order != sorted(order):
        raise SourceError(path, 1, "the exercises do not stand in order", "sort them by number")


def _validate_start(path: Path, chapter: Chapter) -> None:
    first = next((cell for cell in chapter.cells if cell.kind == "code"), None)
    if first is None or first.source.strip() != "%load_ext workbook":
        line = first.line if first else 1
        rule = "the first code cell is not `%load_ext workbook`"
        raise SourceError(path, line, rule, "put it first: it starts the engine")


def _validate_exercise(path: Path, chapter: Chapter, exercise: Exercise, seen: set[str]) -> None:
    cell = chapter.cells[exercise.cell]

    def refuse(rule: str, repair: str) -> None:
        raise SourceError(path, cell.line - 1, f"exercise {exercise.id}: {rule}", repair)

    if not EXERCISE_ID.fullmatch(exercise.id) or exercise.order[0] != chapter.number:
        refuse("its id does not fit the chapter", f"write {chapter.number}.N")
    if exercise.id in seen:
        refuse("it has a second cell", "one `%%app` cell an exercise; make the other given code")
    if cell.magic is None:
        refuse("its cell does not begin with `%%app`", "begin it with `%%app PATH`")
    if BEGIN not in cell.source:
        refuse("it has no solution block", f"put the solution between `{BEGIN}` and `{END}`")
    if len(exercise.hints) != len(HINTS):
        refuse(f"it has {len(exercise.hints)} hints, not {len(HINTS)}", "write the three hints")
    for hint in exercise.hints:
        if not hint or len(hint.split()) > HINT_WORDS:
            refuse(f"a hint has {len(hint.split())} words", f"write 1 to {HINT_WORDS}")
    check = f"%check {exercise.id}"
    if not any(later.source.strip() == check for later in chapter.cells[exercise.cell + 1 :]):
        refuse(f"no cell `{check}` follows", "add one below the cell")


def _validate_markers(path: Path, cell: Cell) -> None:
    expected = BEGIN
    for offset, line in enumerate(cell.source.split("\n")):
        marker = line.strip()
        if marker not in (BEGIN, STUB, END) or (marker == STUB and expected == END):
            continue
        if marker != expected:
            rule = f"`{marker}` where `{expected}` was expected"
            raise SourceError(path, cell.line + offset, rule, "blocks open, close and do not nest")
        expected = END if marker == BEGIN else BEGIN
    if expected == END:
        raise SourceError(path, cell.line, f"`{BEGIN}` is never closed", f"add `{END}`")
    if BEGIN in cell.source and cell.exercise is None:
        rule = "a solution block without an exercise"
        raise SourceError(path, cell.line, rule, "name the exercise in the fence")


def _validate_prose(path: Path, cell: Cell) -> None:
    prose = re.sub(r"<details>.*?</details>|```.*?```", "", cell.source, flags=re.DOTALL)
    prose = "\n".join(line for line in prose.split("\n") if not line.lstrip().startswith("|"))
    words = len(prose.split())
    if words > PROSE_WORDS:
        rule = f"a Markdown cell has {words} words, more than {PROSE_WORDS}"
        raise SourceError(path, cell.line, rule, "split it with two blank lines, or say less")
