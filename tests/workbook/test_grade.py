"""Submissions: a package, notebooks, or neither."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workbook.conftest import HEALTH, MAIN, PackageMaker
from workbook.course import build
from workbook.course.chapter import Exercise
from workbook.course.index import Course
from workbook.course.snapshot import solved_until
from workbook.feedback.outcome import Outcome
from workbook.feedback.verdict import CheckReport
from workbook.grading import grade, submission
from workbook.running.worker import Worker

GOOD = HEALTH.replace("{body}", 'return {"status": "ok"}')


def everything(course: Course) -> list[Exercise]:
    """Return every exercise."""
    return list(course.exercises.values())


def test_a_package_is_graded(course: Course, worker: Worker, package: PackageMaker) -> None:
    """Points come by exercise, and the report names the package and its hash."""
    app = package(MAIN, GOOD)
    reports, submission = grade.grade(course, [worker], app.parent, everything(course))
    assert [one.points for one in reports] == [2, 0]
    assert grade.summary(reports) == "2 of 5 points, 1 of 2 exercises passed"
    assert submission.source == str(app) == reports[0].package
    assert len(reports[0].digest) == 64


def test_solved_notebooks_are_graded_without_running_them(root: Path, course: Course, worker: Worker) -> None:
    """A folder with notebooks only is assembled from its cells; full marks for the solution, none for the stub."""
    build.build(root)
    solved = root.parent / "solved"
    solved.mkdir()
    (root / "solutions/00_demo.ipynb").rename(solved / "00_demo.ipynb")
    reports, _ = grade.grade(course, [worker], solved, everything(course))
    assert [one.points for one in reports] == [2, 3]
    reports, _ = grade.grade(course, [worker], root, everything(course))
    assert {str(one.outcome) for one in reports} == {"not attempted"}


def test_the_submission_cannot_be_changed_by_its_own_code(
    course: Course, worker: Worker, package: PackageMaker
) -> None:
    """The checked code runs on a copy."""
    spy = "import pathlib\npathlib.Path(__file__).write_text('changed')\n" + 'return {"status": "ok"}'
    app = package(MAIN, HEALTH.replace("{body}", spy.replace("\n", "\n    ")))
    before = (app / "main.py").read_text(encoding="utf-8")
    grade.grade(course, [worker], app.parent, everything(course)[:1])
    assert (app / "main.py").read_text(encoding="utf-8") == before


def test_its_own_checks_are_not_used(course: Course, worker: Worker, package: PackageMaker) -> None:
    """Checks and settings that a submission brings along count for nothing."""
    app = package(MAIN)
    theirs = app.parent / "tests/chapters/test_00_demo.py"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("def test_all(): pass", encoding="utf-8")
    (app.parent / "conftest.py").write_text("raise SystemExit(0)", encoding="utf-8")
    reports, _ = grade.grade(course, [worker], app.parent, everything(course))
    assert [one.points for one in reports] == [0, 0]


def test_links_that_lead_out_are_left_out(course: Course, worker: Worker, package: PackageMaker, root: Path) -> None:
    """A package that links to the solution gets nothing for it."""
    app = package(MAIN)
    other = solved_until(course, None).write(root.parent / "elsewhere")
    (app / "numbers.py").symlink_to(other / "numbers.py")
    reports, _ = grade.grade(course, [worker], app.parent, everything(course))
    assert reports[1].points == 0


def test_odd_notebooks_become_notes(course: Course, worker: Worker, tmp_path: Path) -> None:
    """A broken notebook or cell is named and left out; the rest is graded."""
    import nbformat

    folder = tmp_path / "handed in"
    folder.mkdir()
    (folder / "00.ipynb").write_text("{", encoding="utf-8")
    cells = [nbformat.v4.new_code_cell(source) for source in ("%%app ../x.py\nx = 1", "%%app a.py\nx = (", MAIN, GOOD)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "01.ipynb")
    reports, submission = grade.grade(course, [worker], folder, everything(course))
    assert [one.points for one in reports] == [2, 0]
    assert len(submission.notes) == 3


@pytest.mark.parametrize("made", [False, True])
def test_no_submission_is_an_error(course: Course, worker: Worker, tmp_path: Path, made: bool) -> None:
    """A folder that is missing or holds neither app nor notebooks is refused with a hint."""
    folder = tmp_path / "empty"
    if made:
        folder.mkdir()
    with pytest.raises(grade.SubmissionError, match="hint:"):
        grade.grade(course, [worker], folder, everything(course))


def test_a_huge_submission_is_refused(
    course: Course, worker: Worker, package: PackageMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package over the size limit is refused before it is copied whole."""
    monkeypatch.setattr(submission, "BYTES", 10)
    with pytest.raises(grade.SubmissionError, match="more than"):
        grade.grade(course, [worker], package(MAIN).parent, everything(course))


def test_an_error_in_one_exercise_is_that_exercises(
    course: Course, worker: Worker, package: PackageMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What breaks while one exercise is graded is told with it; the others have their verdicts."""
    check = worker.check

    def breaks(course: Course, id: str, app: Path) -> CheckReport:
        if id == "0.2":
            raise OSError("no space left on \x1b device")
        return check(course, id, app)

    monkeypatch.setattr(worker, "check", breaks)
    reports, _ = grade.grade(course, [worker], package(MAIN, GOOD).parent, everything(course))
    assert [(one.outcome, one.points, one.out_of) for one in reports] == [
        (Outcome.PASSED, 2, 2),
        (Outcome.BROKE, 0, 3),
    ]
    assert reports[1].note == r"grading this exercise failed: OSError: no space left on \x1b device"


def test_a_fork_that_grades_itself_is_told(root: Path, course: Course, worker: Worker) -> None:
    """Where the checks that ran are the submission's own, the report says so."""
    _, found = grade.grade(course, [worker], root, everything(course)[:1])
    assert "the checks that ran are the submission's own: grade with another copy of the course" in found.notes
