"""No cell that a learner gets shows the solution of an exercise before it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from workbook.course.chapter import BEGIN, END, STUB
from workbook.course.index import Course
from workbook.course.release import solved_source, stub

# exercise: how many lines it may show, and why
ALLOWED = {
    "6.6": (2, "the route's head stands in the given cell of the same section, which the reader has run by then"),
    "12.11": (1, "the engine of chapter 03: its options stay, and nine chapters later everybody has them"),
    "13.2": (13, "get_session of chapter 09, in which two lines are to change: to copy it teaches nothing"),
}
SHORTEST = 3  # letters of a line that says something: `)` and `"""` do not


def test_no_stub_shows_an_earlier_solution(course: Course) -> None:
    """No line of a stub stands in an earlier exercise's solution of the same definition.

    Who scrolls down would read an answer. Repair: leave the definition out of the stub, for it stays as the learner
    has it, and say with which one to begin.
    """
    found = {id: lines for id, lines in shown(course).items() if len(lines) != ALLOWED.get(id, (0, ""))[0]}
    assert not found, "\n".join(f"{id}: {line}" for id, lines in found.items() for line in lines)
    assert set(ALLOWED) <= set(shown(course)), "an exception that is needed no more"


def test_a_shown_solution_is_found(course: Course) -> None:
    """The rule sees a cell that holds the solution before it, in a function and in a class."""
    for id, before in [("8.3", "8.2"), ("10.3", "10.2")]:
        chapter = course.chapter(course.exercises[id].chapter)
        cells = [*chapter.cells]
        place, earlier = course.exercises[id].cell, course.exercises[before].cell
        cells[place] = cells[place].model_copy(update={"source": solved_source(cells[earlier])})
        changed = chapter.model_copy(update={"cells": tuple(cells)})
        chapters = tuple(changed if one.number == chapter.number else one for one in course.chapters)
        assert len(shown(course.model_copy(update={"chapters": chapters}))[id]) >= 4


def shown(course: Course) -> dict[str, list[str]]:
    """Return, by exercise, the lines of its stub that an earlier exercise's solution of the same definition has."""
    solutions: dict[tuple[str, str], dict[str, str]] = {}
    found: dict[str, list[str]] = {}
    for chapter in course.chapters:
        for exercise in chapter.exercises:
            cell = chapter.cells[exercise.cell]
            for name, line in lines(stub(cell.body, exercise.id)):
                earlier = solutions.get((exercise.path, name), {}).get(line)
                if earlier:
                    found.setdefault(exercise.id, []).append(f"{line}  ({name}, as in {earlier})")
            for name, line in solution(cell.body):
                solutions.setdefault((exercise.path, name), {}).setdefault(line, exercise.id)
    return found


def solution(body: str) -> Iterator[tuple[str, str]]:
    """Yield the lines that stand in a cell's solution blocks, each with the name of its definition."""
    kept: list[str] = []
    inside: list[bool] = []
    state = END
    for line in body.split("\n"):
        marker = line.strip()
        if marker in (BEGIN, STUB, END):
            state = marker
        elif state != STUB:
            kept.append(line)
            inside.append(state == BEGIN)
    names = owners("\n".join(kept))
    for number, (line, is_solution) in enumerate(zip(kept, inside, strict=True), 1):
        if is_solution and says_something(line):
            yield names.get(number, ""), line.strip()


def lines(code: str) -> Iterator[tuple[str, str]]:
    """Yield the lines of a cell that say something, each with the name of its definition."""
    names = owners(code)
    for number, line in enumerate(code.split("\n"), 1):
        if says_something(line) and not line.lstrip().startswith("#"):
            yield names.get(number, ""), line.strip()


def says_something(line: str) -> bool:
    """Tell whether a line is more than brackets and quotes."""
    return len(re.findall(r"\w", line)) >= SHORTEST


def owners(code: str) -> dict[int, str]:
    """Return the innermost definition of the module or of its classes that each line belongs to, by its number."""
    found: dict[int, str] = {}

    def name_lines(parent: ast.Module | ast.ClassDef, prefix: str) -> None:
        for node in parent.body:
            name = prefix + name_of(node)
            first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])
            found.update(dict.fromkeys(range(first, (node.end_lineno or first) + 1), name))
            if isinstance(node, ast.ClassDef):
                name_lines(node, f"{name}.")

    name_lines(ast.parse(code), "")
    return found


def name_of(node: ast.stmt) -> str:
    """Return the name that a statement defines; nothing where it defines none."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return node.name
    if isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0])
    return ast.unparse(node.target) if isinstance(node, ast.AnnAssign) else ""
