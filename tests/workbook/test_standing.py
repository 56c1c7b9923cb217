"""Where each exercise stands: true after every command."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from workbook import catchup, progress, writing
from workbook.assemble import parse_header
from workbook.course import Course
from workbook.outcome import Outcome
from workbook.standing import State, record, standing
from workbook.verdict import CheckReport
from workbook.worker import Worker
from workbook.workspace import Workspace

RunCell = Callable[[str], None]
RIGHT = "%%app numbers.py --exercise 0.2\ndef add(a, b):\n    return b + a\n"
WRONG = RIGHT.replace("b + a", "b * a")
STUB = '%%app numbers.py --exercise 0.2\ndef add(a: int, b: int) -> int:\n    """Return the sum."""\n    return a - b\n'


@pytest.fixture
def run(course: Course, workspace: Workspace) -> RunCell:
    """Give a function that runs a cell."""

    def cell(source: str) -> None:
        first, _, code = source.partition("\n")
        writing.write(course, workspace, parse_header(first.removeprefix("%%app")), code)

    return cell


def report(course: Course, outcome: Outcome = Outcome.PASSED) -> CheckReport:
    """Return a check's result on 0.2."""
    found = CheckReport(exercise="0.2", title="A sum", outcome=outcome, out_of=3)
    found.points = 3 if found.passed else 0
    return found


def checked(course: Course, workspace: Workspace, outcome: Outcome = Outcome.PASSED) -> CheckReport:
    """Record a check of 0.2."""
    found = report(course, outcome)
    record(course, workspace, found, "%check")
    return found


def state(course: Course, workspace: Workspace) -> str:
    """Return the state of 0.2."""
    return standing(course, workspace).states["0.2"]


def test_what_was_changed_since_it_passed_does_not_count(course: Course, workspace: Workspace, run: RunCell) -> None:
    """Passed, undone, done again: the points go and come back with the code; an editor's change counts too."""
    run(WRONG)
    run(RIGHT)
    checked(course, workspace)
    assert (state(course, workspace), standing(course, workspace).points) == (State.PASSED, 3)
    workspace.undo()
    assert (state(course, workspace), standing(course, workspace).points) == (State.CHANGED, 0)
    assert "0 of 5 points" in progress.greeting(course, workspace)
    workspace.redo()
    assert state(course, workspace) == State.PASSED
    path = workspace.app_dir / "numbers.py"
    path.write_text(path.read_text(encoding="utf-8").replace("b + a", "b - a"), encoding="utf-8")
    assert state(course, workspace) == State.CHANGED


def test_a_failing_check_after_a_pass_counts(course: Course, workspace: Workspace, run: RunCell) -> None:
    """The last check is the one that tells."""
    run(RIGHT)
    checked(course, workspace)
    checked(course, workspace, Outcome.WRONG)
    assert (state(course, workspace), standing(course, workspace).points) == ("wrong", 0)


def test_what_is_added_besides_changes_nothing(course: Course, workspace: Workspace, run: RunCell) -> None:
    """Other definitions in the same module, and comments, leave a pass a pass."""
    run(RIGHT)
    checked(course, workspace)
    run("%%app numbers.py --merge\n# more\nMORE = 1\n")
    assert state(course, workspace) == State.PASSED


def test_filled_in_stays_so_until_own_code_stands_there(
    course: Course, workspace: Workspace, worker: Worker, run: RunCell
) -> None:
    """A check of what was filled in earns nothing and says why; the untouched cell changes nothing; own code earns."""
    catchup.run(course, workspace, worker, "all")
    found = checked(course, workspace)
    assert (found.points, "filled in by catching up" in found.note) == (0, True)
    assert (state(course, workspace), standing(course, workspace).points) == (State.FILLED, 0)
    run(STUB)
    assert state(course, workspace) == State.FILLED
    run(RIGHT)
    assert state(course, workspace) != State.FILLED
    assert checked(course, workspace).points == 3
    assert standing(course, workspace).points == 3


def test_an_undone_catch_up_fills_in_nothing(course: Course, workspace: Workspace, worker: Worker) -> None:
    """After `%undo` the exercises are open again, after `%redo` filled in."""
    catchup.run(course, workspace, worker, "all")
    workspace.undo()
    assert standing(course, workspace).following == "0.1"
    workspace.redo()
    assert standing(course, workspace).following is None
