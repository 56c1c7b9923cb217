"""Where each exercise stands: true after every command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from workbook.catchup import plan as catchup
from workbook.course.index import Course, read_course
from workbook.feedback.outcome import Outcome
from workbook.feedback.report import text as report_text
from workbook.feedback.verdict import CheckReport
from workbook.learner import progress, writing
from workbook.learner.standing import State, record, standing
from workbook.learner.workspace import Workspace
from workbook.learner.written import Written
from workbook.merge.assemble import parse_header
from workbook.running.worker import Worker

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


LATER = """---
title: Later
minutes: 10
goals: [go on]
---

```python
%load_ext workbook
```

```python
%%app numbers.py --merge
def add(a: int, b: int) -> int:
    print(a, b)
    return a + b
```
"""


@pytest.fixture
def longer(root: Path) -> Course:
    """Give the small course with a second chapter, whose given cell rewrites the answer to 0.2."""
    (root / "solutions" / "01_later.md").write_text(LATER, encoding="utf-8")
    return read_course(root)


def write(course: Course, workspace: Workspace, source: str) -> Written:
    """Run a cell of a course."""
    first, _, code = source.partition("\n")
    return writing.write(course, workspace, parse_header(first.removeprefix("%%app")), code)


def test_a_cell_that_was_left_out_changes_no_points(longer: Course, workspace: Workspace, worker: Worker) -> None:
    """A wrong answer that a later cell kept out earns nothing: what was filled in stays so, and the check says why."""
    catchup.run(longer, workspace, worker, "all")
    done = write(longer, workspace, WRONG)
    assert done.summary().startswith("unchanged; left as written later: add (chapter 1)")
    found = checked(longer, workspace)
    assert found.notice.startswith("note: your newest cell of 0.2 is not in app/, because a later cell wrote add")
    assert "`%%app numbers.py --replace --exercise 0.2`" in found.notice
    assert report_text(found).startswith("note: your newest cell of 0.2")
    assert (found.points, state(longer, workspace), standing(longer, workspace).points) == (0, State.FILLED, 0)
    write(longer, workspace, RIGHT.replace("--exercise", "--replace --exercise"))
    found = checked(longer, workspace)
    assert (found.notice, found.points, state(longer, workspace)) == ("", 3, State.PASSED)


def test_a_cell_that_was_left_out_is_in_the_history_once(longer: Course, workspace: Workspace, worker: Worker) -> None:
    """Its text is kept, and named; run again unchanged it is not kept a second time."""
    catchup.run(longer, workspace, worker, "all")
    done = write(longer, workspace, WRONG)
    kept = workspace.history(limit=1)[0]
    assert f"`%history {kept.id}` shows your cell" in done.summary()
    assert kept.content is not None
    assert b"return b * a" in kept.content
    assert write(longer, workspace, WRONG).draft is None
    assert workspace.history(limit=1)[0].id == kept.id


def test_what_was_left_out_and_never_passed_earns_nothing(longer: Course, workspace: Workspace) -> None:
    """A later given cell stands there, without catching up: the check of it is no pass of the exercise's own cell."""
    write(longer, workspace, "%%app numbers.py --merge\n" + LATER.split("--merge\n")[1].split("```")[0])
    write(longer, workspace, WRONG)
    assert checked(longer, workspace).points == 0
    assert (state(longer, workspace), standing(longer, workspace).points) == (State.NEVER, 0)


def test_a_passed_cell_run_again_after_a_later_one_stays_passed(longer: Course, workspace: Workspace) -> None:
    """Running an earlier notebook again takes nothing; another answer that was left out takes no points either."""
    write(longer, workspace, RIGHT)
    assert checked(longer, workspace).points == 3
    write(longer, workspace, "%%app numbers.py --merge\n" + LATER.split("--merge\n")[1].split("```")[0])
    write(longer, workspace, RIGHT)
    found = checked(longer, workspace)
    assert (found.notice, found.points) == ("", 3)
    write(longer, workspace, WRONG)
    found = checked(longer, workspace)
    assert (found.notice != "", found.points, standing(longer, workspace).points) == (True, 3, 3)
