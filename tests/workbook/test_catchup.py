"""Catching up keeps what passes, fills in the rest, says so, and can be undone."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import dedent
from typing import Any

import pytest

from tests.workbook.conftest import HEALTH, MAIN
from workbook.base.errors import WorkbookError
from workbook.catchup import plan as catchup
from workbook.catchup.settling import Settling
from workbook.course.index import Course, UnknownExercise
from workbook.course.snapshot import Snapshot
from workbook.feedback.outcome import Outcome
from workbook.learner import files, progress, versions, writing
from workbook.learner.workspace import Workspace, WorkspaceError
from workbook.merge.assemble import parse_header
from workbook.merge.header import Header
from workbook.running.worker import Worker

MINE = "%%app numbers.py\ndef add(a, b):\n    # my own way\n    return sum((a, b))\n"
WRONG = "%%app numbers.py\nMINE = 1\n\n\ndef add(a, b):\n    return a * b\n"


def fill(workspace: Workspace, *cells: str) -> None:
    """Write the learner's app."""
    made = Snapshot()
    for cell in cells:
        made.run(dedent(cell))
    workspace.write({path: text.encode() for path, text in made.files.items()}, "test")


def test_what_passes_stays(course: Course, workspace: Workspace, worker: Worker) -> None:
    """A passing answer keeps every character; what is missing comes from the solution; `undo` takes it back."""
    fill(workspace, MINE)
    text = (workspace.app_dir / "numbers.py").read_text(encoding="utf-8")
    said = catchup.run(course, workspace, worker, "all")
    assert (workspace.app_dir / "numbers.py").read_text(encoding="utf-8") == text
    assert "kept yours: 0.2" in said
    assert "filled in:  0.1" in said
    assert all(worker.check(course, id, workspace.app_dir).passed for id in course.exercises)
    assert workspace.undo() is not None
    assert not (workspace.app_dir / "main.py").exists()
    assert (workspace.app_dir / "numbers.py").read_text(encoding="utf-8") == text


def test_what_fails_is_replaced_and_the_rest_of_the_file_kept(
    course: Course, workspace: Workspace, worker: Worker
) -> None:
    """Only the failing definition is replaced; the learner's other names stay."""
    fill(workspace, MAIN, HEALTH.replace("{body}", 'return {"status": "ok"}'), WRONG)
    said = catchup.run(course, workspace, worker, "all")
    text = (workspace.app_dir / "numbers.py").read_text(encoding="utf-8")
    assert "MINE = 1" in text
    assert "return a + b" in text
    assert "kept yours: 0.1" in said
    assert catchup.run(course, workspace, worker, "all").startswith("nothing to do")


def test_what_is_filled_in_earns_nothing_and_is_not_next(course: Course, workspace: Workspace, worker: Worker) -> None:
    """What passes counts as passed; what is filled in is no attempt, and the next exercise is the one after."""
    fill(workspace, MINE)
    catchup.run(course, workspace, worker, "0.2")
    assert progress.greeting(course, workspace).endswith("0 of 5 points; next: 0.2 A sum.")
    for _again in range(2):
        catchup.run(course, workspace, worker, "all")
        found = workspace.progress()
        assert (found["0.1"].best, found["0.1"].attempts, found["0.1"].passed) == (0, 0, False)
        assert (found["0.2"].best, found["0.2"].attempts, found["0.2"].passed) == (3, 1, True)
        assert progress.greeting(course, workspace).endswith(
            "3 of 5 points; all is done, but for 1 exercise filled in."
        )
    assert "0.1   filled in" in progress.overview(course, workspace)


def test_what_cannot_be_written_is_not_filled_in(
    course: Course, workspace: Workspace, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the files cannot be written, nothing is recorded as filled in, nor as passed."""

    def refuse(*_: object) -> None:
        raise WorkspaceError("the disk is full", "make room")

    monkeypatch.setattr(files, "replace_all", refuse)
    with pytest.raises(WorkspaceError, match="the disk is full"):
        catchup.run(course, workspace, worker, "all")
    assert workspace.progress() == {}


def test_a_cell_that_begins_a_file_takes_nothing_away_later(
    course: Course, workspace: Workspace, worker: Worker
) -> None:
    """After catching up, a notebook's first cell counts as run: `%%app main.py` in it is merged."""
    catchup.run(course, workspace, worker, "all")
    cell = next(cell for cell in course.chapters[0].writes if cell.argument == "main.py")
    known = workspace.recall_cell(str(Header("main.py").key(cell.body + "\n")))
    assert known is not None
    assert known.strip() == cell.body.strip()


def test_an_answer_that_fails_because_of_an_earlier_one_stays(
    course: Course, workspace: Workspace, worker: Worker
) -> None:
    """Only the cause is replaced: what passes once it is repaired is the learner's."""
    broken = HEALTH.replace('"/health"', "nope").replace("{body}", 'return {"status": "ok"}')
    needy = MINE.replace("def add", "from app import main as _\n\n\ndef add")
    fill(workspace, MAIN, broken, needy)
    assert not worker.check(course, "0.2", workspace.app_dir).passed
    text = (workspace.app_dir / "numbers.py").read_text(encoding="utf-8")
    said = catchup.run(course, workspace, worker, "all")
    assert "kept yours: 0.2\n  filled in:  0.1" in said
    assert (workspace.app_dir / "numbers.py").read_text(encoding="utf-8") == text


def test_to_an_exercise(course: Course, workspace: Workspace, worker: Worker) -> None:
    """Catching up to an exercise fills in only what comes before it."""
    catchup.run(course, workspace, worker, "0.2")
    assert (workspace.app_dir / "main.py").is_file()
    assert not (workspace.app_dir / "numbers.py").exists()


def test_a_file_that_is_no_python_stops_it(course: Course, workspace: Workspace, worker: Worker) -> None:
    """Nothing is changed; the line is named, and the version that brings back what was last written."""
    fill(workspace, MAIN, MINE)
    good, broken = files_of(workspace), workspace.app_dir / "numbers.py"
    broken.write_text(good["numbers.py"] + "def add(:\n", encoding="utf-8")
    with pytest.raises(WorkbookError, match=r"app/numbers.py, line 4: invalid syntax") as caught:
        catchup.run(course, workspace, worker, "all")
    assert files_of(workspace) == {**good, "numbers.py": good["numbers.py"] + "def add(:\n"}
    kept = workspace.history("numbers.py", 1)[0]
    assert f"`%undo {kept.id}` brings version {kept.id} of this file back" in caught.value.hint
    versions.undo(workspace, str(kept.id))
    assert files_of(workspace) == good
    assert workspace.newest_readable("numbers.py") > 0


def test_a_cell_for_a_file_that_is_no_python_names_its_version(course: Course, workspace: Workspace) -> None:
    """The refusal names the version of this very file, not the newest change of any; asked twice it is the same."""
    fill(workspace, MINE)
    fill(workspace, MAIN)
    broken = workspace.app_dir / "numbers.py"
    text = broken.read_text(encoding="utf-8")
    broken.write_text(text + "nope nope\n", encoding="utf-8")
    for _again in range(2):
        with pytest.raises(WorkbookError, match=r"app/numbers\.py, line 4") as caught:
            writing.write(course, workspace, parse_header("numbers.py --merge"), "X = 1\n")
        kept = next(one for one in workspace.history("numbers.py") if one.cause == "an edit by hand")
        assert f"`%undo {kept.id}`" in caught.value.hint
        assert kept.content == text.encode()
    assert workspace.undo() is not None
    assert not (workspace.app_dir / "main.py").exists(), "a bare undo still takes back the newest written change"


def files_of(workspace: Workspace) -> dict[str, str]:
    """Return what the package holds."""
    return {path.name: path.read_text(encoding="utf-8") for path in workspace.app_dir.glob("*.py")}


def test_an_unknown_target_is_refused(course: Course, workspace: Workspace, worker: Worker) -> None:
    """A target that is no chapter or exercise is told what there is."""
    with pytest.raises(UnknownExercise, match="hint:"):
        catchup.run(course, workspace, worker, "9")


def test_a_renamed_answer_that_passes_stays_alone(course: Course, workspace: Workspace, worker: Worker) -> None:
    """An endpoint under a name of the learner's own passes: the solution's is not put beside it."""
    renamed = HEALTH.replace("def health", "def alive").replace("{body}", 'return {"status": "ok"}')
    fill(workspace, MAIN, renamed)
    said = catchup.run(course, workspace, worker, "all")
    text = (workspace.app_dir / "main.py").read_text(encoding="utf-8")
    assert "def alive" in text
    assert "def health" not in text
    assert "kept yours: 0.1" in said


def test_ones_own_answer_takes_the_place_of_all_that_was_filled_in(
    course: Course, workspace: Workspace, worker: Worker
) -> None:
    """What the solution has and one's own answer has not goes with it, and what later cells wrote stays."""
    catchup.run(course, workspace, worker, "all")
    own = '@app.get("/healthy")\nasync def alive() -> dict[str, str]:\n    return {"status": "ok"}\n'
    later = Header("main.py", merge=True)
    writing.write(course, workspace, later, "def later() -> None: ...\n")
    done = writing.write(course, workspace, Header("main.py", merge=True, exercise="0.1"), own)
    text = (workspace.app_dir / "main.py").read_text(encoding="utf-8")
    assert "def health" not in text
    assert "def later" in text
    assert "(it was filled in; `%undo` brings it back)" in done.summary()
    assert not worker.check(course, "0.1", workspace.app_dir).passed
    assert "0.1   filled in" not in progress.overview(course, workspace)


def test_a_renamed_answer_that_fails_goes(course: Course, workspace: Workspace, worker: Worker) -> None:
    """The solution takes the place of a wrong answer under another name: no second route stays."""
    fill(workspace, MAIN, HEALTH.replace("def health", "def alive").replace("{body}", 'return {"status": "no"}'))
    catchup.run(course, workspace, worker, "all")
    text = (workspace.app_dir / "main.py").read_text(encoding="utf-8")
    assert text.count('@app.get("/health")') == 1
    assert worker.check(course, "0.1", workspace.app_dir).passed


def test_what_passed_in_an_earlier_round_is_checked_last(
    course: Course, workspace: Workspace, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where answers are filled in one after the other, what nobody has looked at yet comes first."""
    order: list[str] = []

    def chunks(_self: Settling, ids: list[str]) -> list[list[str]]:
        order.extend(ids)
        return [[id] for id in ids]

    monkeypatch.setattr(Settling, "_chunks", chunks)
    fill(workspace, MAIN, HEALTH.replace("{body}", 'return {"status": "ok"}'), WRONG)
    assert "kept yours: 0.1" in catchup.run(course, workspace, worker, "all")
    assert order == ["0.1", "0.2", "0.2", "0.1"]


def test_what_a_busy_machine_leaves_no_time_is_not_tried_for_ever(
    course: Course, workspace: Workspace, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no verdict: the answer stays, it is tried once more by itself, and catching up ends."""
    tried: list[str] = []

    def late(call: Callable[..., Any]) -> Callable[..., Any]:
        def checked(*args: Any, **options: Any) -> Any:
            found = call(*args, **options)
            for one in found if isinstance(found, list) else [found]:
                if one.exercise == "0.2":
                    tried.append("0.2")
                    one.outcome = Outcome.LATE
            return found

        return checked

    monkeypatch.setattr(Worker, "check_together", late(Worker.check_together))
    monkeypatch.setattr(Worker, "check", late(Worker.check))
    fill(workspace, MINE)
    text = (workspace.app_dir / "numbers.py").read_text(encoding="utf-8")
    assert "filled in:  0.1\n" in catchup.run(course, workspace, worker, "all")
    assert (workspace.app_dir / "numbers.py").read_text(encoding="utf-8") == text
    assert len(tried) == 2


def test_what_is_known_is_not_checked_again(
    course: Course, workspace: Workspace, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second time nothing has changed, and no check runs; a fresh package needs none the first time either."""
    fill(workspace, MINE)
    catchup.run(course, workspace, worker, "all")
    monkeypatch.setattr(Worker, "check_together", lambda *_: pytest.fail("a check ran"))
    monkeypatch.setattr(Worker, "check", lambda *_, **__: pytest.fail("a check ran"))
    assert catchup.run(course, workspace, worker, "all").startswith("nothing to do")


def test_it_says_how_far_it_is(course: Course, workspace: Workspace, worker: Worker) -> None:
    """The first thing is said before anything is read; then how many checks are done."""
    fill(workspace, MINE)
    said: list[tuple[str, int, int]] = []
    catchup.run(course, workspace, worker, "all", lambda *words: said.append(words))
    assert said[0] == ("reading your package", 0, 0)
    assert ("checking", 0, 2) in said


def test_a_course_that_fails_even_solved_ends_with_a_message(
    course: Course, workspace: Workspace, worker: Worker
) -> None:
    """Where a check fails on the solution itself, catching up ends, takes what there is, and names the exercise."""
    path = worker.root / "tests/chapters/test_00_demo.py"
    path.write_text(path.read_text(encoding="utf-8").replace("add(2, 3), 5", "add(2, 3), 6"), encoding="utf-8")
    fill(workspace, MINE, "%%app extra.py\nx = 1\n")
    said = catchup.run(course, workspace, worker, "all")
    assert said.startswith("these do not pass, though they are as the solution has them: 0.2")
    assert "`workbook doctor`" in said
    assert not workspace.progress()["0.2"].passed
