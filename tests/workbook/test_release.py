"""Stubs and notebooks made from a chapter."""

from __future__ import annotations

import pytest

from workbook.course import release
from workbook.course.index import Course
from workbook.course.notebook import notebook

FUNCTION = "def f(\n    a: int,\n) -> int:\n    if a:\n        ### BEGIN SOLUTION\n        return a\n        ### END SOLUTION\n"
CLASS = "class A:\n    x: int\n    ### BEGIN SOLUTION\n    y: int = 1\n    ### END SOLUTION\n"
METHOD = "class A:\n    def f(self) -> int:\n        # a comment\n        ### BEGIN SOLUTION\n        return 1\n        ### END SOLUTION\n"
PLANTED = "def f():\n    ### BEGIN SOLUTION\n    return 1\n    ### STUB\n    # return 2\n    #\n    # # kept comment\n    ### END SOLUTION\n"


@pytest.mark.parametrize(
    ("code", "stub"),
    [
        (FUNCTION, '        # YOUR CODE HERE\n        raise NotImplementedError("exercise 2.2")\n'),
        (CLASS, "    x: int\n    # YOUR CODE HERE\n    ...\n"),
        (METHOD, '        # YOUR CODE HERE\n        raise NotImplementedError("exercise 2.2")\n'),
        (PLANTED, "def f():\n    return 2\n\n    # kept comment\n"),
    ],
)
def test_a_stub_fits_where_it_stands(code: str, stub: str) -> None:
    """In a function the stub raises, in a class it is `...`, and a planted one is what the author wrote."""
    made = release.stub(code, "2.2")
    assert stub in made
    assert "SOLUTION" not in made
    compile(made, "stub", "exec")


def test_the_solution_has_no_marker() -> None:
    """The solved code is the block without markers and without the stub."""
    assert release.solved(PLANTED) == "def f():\n    return 1\n"


def test_the_learners_notebook_has_no_solution(course: Course) -> None:
    """Solutions and outputs are gone, check cells are locked, ids are the same in every build."""
    made = notebook(course.chapters[0], with_solutions=False)
    text = "\n".join(cell.source for cell in made.cells)
    assert 'return {"status": "ok"}' not in text
    assert "%%app main.py --merge --exercise 0.1" in text
    locked = [cell for cell in made.cells if cell.metadata.get("editable") is False]
    assert [cell.source for cell in locked] == ["%check 0.1", "%check 0.2"]
    assert all(not cell.get("outputs") for cell in made.cells)
    again = notebook(course.chapters[0], with_solutions=False)
    assert [cell.id for cell in made.cells] == [cell.id for cell in again.cells]
    assert made.metadata.language_info.version
