"""Not attempted is not wrong: the learner's module held against the stub."""

from __future__ import annotations

from typing import Any

import pytest

from tests.workbook.conftest import HEALTH, MAIN, PackageMaker
from workbook.checking.attempt import Attempt, attempt
from workbook.course import release
from workbook.course.chapter import Chapter
from workbook.course.index import Course


def state(course: Course, package: PackageMaker, *cells: str) -> Attempt:
    """Return how far exercise 0.1 got in an app of these cells."""
    return attempt(course, course.exercises["0.1"], package(*cells))


def with_values(chapter: Chapter, **values: Any) -> Chapter:
    """Return a chapter with other values; a copy of it would keep what was read of the old ones."""
    return Chapter.model_validate(dict(chapter) | values)


def test_nothing_there_is_missing(course: Course, package: PackageMaker) -> None:
    """Without any work of the learner's there is nothing; with some elsewhere, the checks must tell."""
    assert state(course, package) is Attempt.NOTHING
    assert state(course, package, MAIN) is Attempt.NOTHING
    assert state(course, package, MAIN, "%%app other.py\nx = 1\n") is Attempt.MISSING


@pytest.mark.parametrize("extra", ["", "    # a comment of mine\n", '    """Another docstring."""\n'])
def test_the_stub_is_a_stub(course: Course, package: PackageMaker, extra: str) -> None:
    """The stub is known also with the learner's comments and another docstring."""
    cell = course.chapters[0].cells[course.exercises["0.1"].cell]
    text = release.learner_source(cell).replace('    """Say that the process is alive."""\n', extra)
    assert state(course, package, MAIN, text) is Attempt.STUB


@pytest.mark.parametrize("body", ["return {}", "pass", 'return {"status": "ok"}', "x = 1"])
def test_any_change_of_the_body_is_an_attempt(course: Course, package: PackageMaker, body: str) -> None:
    """Whatever stands in the hole instead of the stub is an attempt."""
    assert state(course, package, MAIN, HEALTH.replace("{body}", body)) is Attempt.MADE


def test_a_file_that_is_no_python_is_an_attempt(course: Course, package: PackageMaker) -> None:
    """A syntax error is worth showing, so the checks run."""
    app = package(MAIN)
    (app / "main.py").write_text("def (:", encoding="utf-8")
    assert attempt(course, course.exercises["0.1"], app) is Attempt.MADE


def test_what_a_later_stub_gives_is_no_attempt(course: Course, package: PackageMaker) -> None:
    """A later exercise may begin with this one's solution: with nothing of the learner's own it earns nothing."""
    solved = HEALTH.replace("{body}", 'return {"status": "ok"}')
    chapter = course.chapters[0]
    later = chapter.cells[course.exercises["0.1"].cell].model_copy(update={"source": solved, "exercise": ""})
    longer = Course(chapters=(with_values(chapter, cells=(*chapter.cells, later)),))
    assert state(longer, package, MAIN, solved) is Attempt.NOTHING
    assert state(longer, package, MAIN, solved, "%%app other.py\nx = 1\n") is Attempt.MADE
    assert state(course, package, MAIN, solved) is Attempt.MADE


def test_what_has_moved_into_another_function_is_no_missing_one(course: Course, package: PackageMaker) -> None:
    """A later chapter may move a function: then its verdict is worth showing."""
    moved = "%%app other.py\ndef create_app():\n    async def health():\n        return {}\n    return health\n"
    assert state(course, package, MAIN, moved) is Attempt.MOVED
    assert state(course, package, MAIN, moved.replace("health", "wealth")) is Attempt.MISSING


def test_anything_new_in_a_file_of_one_exercise_is_an_attempt(course: Course, package: PackageMaker) -> None:
    """Functions where methods were asked for are an attempt: the stub beside them is not all there is."""
    cell = course.chapters[0].cells[course.exercises["0.1"].cell]
    stub = release.learner_source(cell)
    assert state(course, package, MAIN, stub, "%%app main.py --merge\ndef other():\n    return 1\n") is Attempt.MADE
    assert state(course, package, MAIN, stub) is Attempt.STUB


def test_what_an_exercise_begins_with_is_no_attempt(course: Course, package: PackageMaker) -> None:
    """A cell may leave out what an earlier cell wrote: as that cell has it, it is no attempt at this exercise."""
    begun = 'return {"status": "begun"}'
    chapter = course.chapters[0]
    place = course.exercises["0.1"].cell
    cell = chapter.cells[place]
    first, body = cell.source.split("\n", 1)
    solved = release.solved(body).rstrip()
    asked = f"{first}\n### BEGIN SOLUTION\n{solved}\n### STUB\n# # YOUR CODE HERE\n### END SOLUTION\n"
    earlier = cell.model_copy(update={"source": HEALTH.replace("{body}", begun), "exercise": None})
    later = cell.model_copy(update={"source": asked})
    cells = (*chapter.cells[:place], earlier, later, *chapter.cells[place + 1 :])
    exercises = tuple(
        one.model_copy(update={"cell": one.cell + 1, "planted": one.planted or one.id == "0.1"})
        for one in chapter.exercises
    )
    longer = Course(chapters=(with_values(chapter, cells=cells, exercises=exercises),))
    stub, own = release.learner_source(later), "%%app other.py\nx = 1\n"
    assert "def" not in stub
    assert state(longer, package, MAIN, earlier.source, stub, own) is Attempt.STUB
    assert state(longer, package, MAIN, HEALTH.replace("{body}", "return {}"), stub, own) is Attempt.MADE
    assert state(longer, package, MAIN, release.solved_source(later), own) is Attempt.MADE
    assert state(longer, package, MAIN, stub, own) is Attempt.MISSING
