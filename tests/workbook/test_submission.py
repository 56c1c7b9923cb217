"""What is taken of a submission: one tolerant, explicit choice, and a note for everything that was left out."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.workbook.conftest import HEALTH, MAIN, PackageMaker
from workbook.course import release
from workbook.course.index import Course
from workbook.course.snapshot import solved_until
from workbook.grading import submission, submitted
from workbook.grading.source import Source
from workbook.grading.submission import SubmissionError, opened

GOOD = HEALTH.replace("{body}", 'return {"status": "ok"}')
Notebooks = Callable[..., Path]


def cell(source: Any, kind: str = "code") -> dict[str, Any]:
    """Return a cell as a notebook file holds it."""
    return {"cell_type": kind, "source": source, "metadata": {}}


def notebook(path: Path, *cells: Any) -> Path:
    """Write a notebook; a text becomes a code cell."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = {"cells": [cell(one) if isinstance(one, str) else one for one in cells], "nbformat": 4, "metadata": {}}
    path.write_text(json.dumps(made), encoding="utf-8")
    return path


def solved(course: Course) -> list[str]:
    """Return the solved cells of the small course."""
    return [release.solved_source(one) for one in course.chapters[0].writes]


def stubs(course: Course) -> list[str]:
    """Return the cells of the small course as the learner gets them."""
    return [release.learner_source(one) for one in course.chapters[0].writes]


def taken(folder: Path, course: Course, source: Source = Source.AUTO) -> tuple[dict[str, str], list[str], list[str]]:
    """Return what would be graded, as texts by path, what was used, and the notes."""
    with opened(folder, course, source) as found:
        files = {
            path.relative_to(found.app).as_posix(): path.read_text(encoding="utf-8") for path in found.app.rglob("*.py")
        }
        return files, found.used, found.notes


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Give an empty folder to hand something in."""
    made = tmp_path / "handed in"
    made.mkdir()
    return made


def test_a_submission_named_app_may_hold_app(course: Course, package: PackageMaker, place: Path) -> None:
    """A folder that is called `app`, as a repository can be, and holds `app/` is no package itself."""
    app = package(MAIN, GOOD)
    outer = place / "app"
    outer.mkdir(parents=True)
    app.rename(outer / "app")
    (outer / "README.md").write_text("Mine.")
    files, used, _ = taken(outer, course)
    assert "health" in files["main.py"]
    assert used == [str(outer / "app")]
    (outer / "main.py").write_text("mine = 1\n")
    assert taken(outer, course)[0]["main.py"] == "mine = 1\n"


@pytest.mark.parametrize("name", ["00_demo_old.ipynb", "0_demo.ipynb", "00_demo-Copy1.ipynb", "Untitled.ipynb"])
@pytest.mark.parametrize("inner", ["", "notebooks"])
def test_a_copy_with_stubs_never_wins_by_its_name(course: Course, place: Path, name: str, inner: str) -> None:
    """The course's own notebook is used, and the note names what was left out."""
    notebook(place / inner / name, *stubs(course))
    notebook(place / inner / "00_demo.ipynb", *solved(course))
    files, used, notes = taken(place, course)
    assert "return a + b" in files["numbers.py"]
    assert [Path(one).name for one in used] == ["00_demo.ipynb"]
    assert any(name in note and "left out" in note for note in notes)


def test_an_old_answer_in_a_copy_does_not_win(course: Course, place: Path) -> None:
    """Of two notebooks with work in them, the one with the course's name is used."""
    old = [one.replace("a + b", "b + a + 0") for one in solved(course)]
    notebook(place / "00_demo_old.ipynb", *old)
    notebook(place / "00_demo.ipynb", *solved(course))
    files, _, notes = taken(place, course)
    assert "return a + b" in files["numbers.py"]
    assert any("its name is not the course's" in note for note in notes)


def test_a_renamed_notebook_is_known_by_its_exercises(course: Course, place: Path) -> None:
    """A notebook that was renamed is used where there is no other, and the note says so."""
    notebook(place / "ada lovelace, final.ipynb", *solved(course))
    files, _, notes = taken(place, course)
    assert "return a + b" in files["numbers.py"]
    assert notes == [f"{place.name}/ada lovelace, final.ipynb is used for chapter 00, by its exercises"]


def test_worked_notebooks_that_a_build_put_aside_count(course: Course, place: Path) -> None:
    """Answers in notebooks/mine are graded, and not the untouched notebook that replaced them."""
    notebook(place / "notebooks" / "00_demo.ipynb", *stubs(course))
    notebook(place / "notebooks" / "mine" / "00_demo.ipynb", *solved(course))
    files, used, notes = taken(place, course)
    assert "return a + b" in files["numbers.py"]
    assert used == ["notebooks/mine/00_demo.ipynb"]
    assert any("notebooks/00_demo.ipynb is left out: it holds no work" in note for note in notes)


@pytest.mark.parametrize("kind", ["markdown", "raw"])
def test_a_cell_that_became_text_is_named(course: Course, place: Path, kind: str) -> None:
    """A `%%app` cell that a slip of the keyboard made Markdown was not used, and the note says which it is."""
    first, *others = solved(course)
    notebook(place / "00_demo.ipynb", first, *[cell(one, kind) for one in others])
    _, _, notes = taken(place, course)
    shown = {"markdown": "Markdown", "raw": "raw"}[kind]
    assert f"00_demo.ipynb, cell 2 is {shown}, but begins with %%app: it was not used" in notes


def test_checkpoints_are_no_code(course: Course, place: Path) -> None:
    """What JupyterLab keeps in app/.ipynb_checkpoints does not make an empty package code."""
    kept = place / "app" / ".ipynb_checkpoints"
    kept.mkdir(parents=True)
    (place / "app" / "__init__.py").write_text('"""Mine."""\n')
    (kept / "main-checkpoint.py").write_text("x = 1\n")
    notebook(place / "notebooks" / "00_demo.ipynb", *solved(course))
    files, _, notes = taken(place, course)
    assert "return a + b" in files["numbers.py"]
    assert any("app is left out: it holds no code, and the notebooks do" in note for note in notes)


def test_a_package_wins_over_notebooks_and_says_so(course: Course, place: Path, package: PackageMaker) -> None:
    """Where both hold code, app/ is graded; the note names the notebooks, and what only they write."""
    package(MAIN, GOOD).rename(place / "app")
    notebook(place / "00_demo.ipynb", *solved(course))
    files, _, notes = taken(place, course)
    assert "numbers.py" not in files
    assert "app/ is graded, and not the 1 notebooks beside it (00_demo.ipynb)" in notes[-1]
    assert "they write app/numbers.py, which app/ lacks: --source notebooks grades them instead" in notes[-1]
    files, _, notes = taken(place, course, Source.NOTEBOOKS)
    assert "return a + b" in files["numbers.py"]
    assert "app is left out: the notebooks were asked for" in notes[-1]


def test_links_to_the_solutions_are_refused(course: Course, place: Path) -> None:
    """Neither `app` nor a notebook nor the folder itself may be a link; the reason is told."""
    answers = solved_until(course, None).write(place / "solutions")
    linked = notebook(place / "solutions" / "00_demo.ipynb", *solved(course))
    folder = place / "ada"
    folder.mkdir()
    (folder / "app").symlink_to(answers)
    with pytest.raises(SubmissionError, match=r"app was not taken: it is a link to .*solutions/app"):
        taken(folder, course)
    (folder / "00_demo.ipynb").symlink_to(linked)
    with pytest.raises(SubmissionError, match=r"00_demo\.ipynb was not taken: it is a link"):
        taken(folder, course)
    notebook(folder / "mine" / "00_demo.ipynb", MAIN)
    files, _, notes = taken(folder, course)
    assert "numbers.py" not in files
    assert len(notes) == 2
    (place / "bob").symlink_to(place / "solutions")
    with pytest.raises(SubmissionError, match="it is a link to"):
        taken(place / "bob", course)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are Unix's")
def test_a_pipe_instead_of_a_notebook_does_not_wait(course: Course, place: Path, package: PackageMaker) -> None:
    """A FIFO is no regular file, in app/ neither: it is named and not opened."""
    os.mkfifo(place / "01_x.ipynb")
    notebook(place / "00_demo.ipynb", *solved(course))
    files, _, notes = taken(place, course)
    assert "return a + b" in files["numbers.py"]
    assert notes == ["01_x.ipynb was not taken: it is no regular file"]
    app = package(MAIN)
    os.mkfifo(app / "numbers.py")
    assert "app/numbers.py is left out: it is a pipe" in taken(app.parent, course)[2]


def test_what_lies_one_level_down_is_found_or_named(course: Course, place: Path) -> None:
    """The one obvious deeper place is graded; several submissions, and a packed one, are named."""
    with pytest.raises(SubmissionError, match="it is empty"):
        taken(place, course)
    notebook(place / "ada" / "course-main" / "notebooks" / "00_demo.ipynb", *solved(course))
    (place / "ada" / "course-main" / "solutions" / "app").mkdir(parents=True)
    files, _, notes = taken(place, course)
    assert "return a + b" in files["numbers.py"]
    assert notes == ["ada/course-main/ inside the folder is graded: the folder itself holds nothing of its own"]
    notebook(place / "bob" / "course-main" / "notebooks" / "00_demo.ipynb", *solved(course))
    with pytest.raises(SubmissionError, match="several submissions: ada/course-main, bob/course-main"):
        taken(place, course)
    packed = place / "zips" / "ada.zip"
    packed.parent.mkdir()
    packed.write_bytes(b"PK")
    with pytest.raises(SubmissionError, match=r"neither app/ nor notebooks; it holds ada\.zip"):
        taken(packed.parent, course)
    with pytest.raises(SubmissionError, match="packed file"):
        taken(packed, course)


def test_an_empty_package_does_not_hide_what_lies_deeper(course: Course, place: Path) -> None:
    """Where app/ was never begun, notebooks in another folder are graded; where it was, they are named."""
    folder = place
    (folder / "app").mkdir(parents=True)
    (folder / "app" / "__init__.py").write_text('"""Mine."""\n')
    notebook(folder / "week 1" / "00_demo.ipynb", *solved(course))
    files, _, notes = taken(folder, course)
    assert "return a + b" in files["numbers.py"]
    assert notes == ["week 1/ inside the folder is graded: the folder itself holds nothing of its own"]
    (folder / "app" / "main.py").write_text("x = 1\n")
    files, _, notes = taken(folder, course)
    assert files["main.py"] == "x = 1\n"
    assert notes == ["these folders hold more, which was not taken: week 1"]
    notebook(folder / "notebooks" / "mine" / "00_demo.ipynb.json", MAIN)
    assert any("its name does not end with .ipynb" in note for note in taken(folder, course)[2])


@pytest.mark.parametrize("name", ["n" * 5000, "missing"])
def test_a_folder_that_is_not_there_is_told(course: Course, place: Path, name: str) -> None:
    """A name that no system bears is an error in words too."""
    with pytest.raises(SubmissionError, match="hint: name a folder"):
        taken(place / name, course)


def test_odd_cells_are_passed_over(course: Course, place: Path) -> None:
    """A cell without source, null, a number and a list of lines among the cells stop nothing."""
    lines = solved(course)[2].splitlines(keepends=True)
    odd = [{"cell_type": "code"}, None, 42, cell(None), cell([1, 2]), cell(lines)]
    path = notebook(place / "00_demo.ipynb", *odd)
    assert "return a + b" in taken(place, course)[0]["numbers.py"]
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    files, _, notes = taken(place, course)
    assert "return a + b" in files["numbers.py"]
    assert [note for note in notes if "is no cell" in note]


def test_conflict_markers_are_named(course: Course, place: Path) -> None:
    """A merge that was not finished is named, with its line, in the notebook's file and in a cell."""
    notebook(place / "00_demo.ipynb", f"{MAIN}\n<<<<<<< HEAD\nx = 1\n=======\nx = 2\n>>>>>>> theirs\n", GOOD)
    (place / "01_more.ipynb").write_text('{"cells": [\n<<<<<<< HEAD\n]}', encoding="utf-8")
    files, _, notes = taken(place, course)
    assert "health" in files["main.py"]
    assert "01_more.ipynb is left out: it holds the conflict markers of a merge (line 2)" in notes
    assert "00_demo.ipynb, cell 1 holds the conflict markers of a merge: it was not used" in notes


def test_a_huge_notebook_is_not_read(course: Course, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook beyond the limit is named and left out; so is a cell, and what takes too long to put together."""
    monkeypatch.setattr(submitted, "BYTES", 400)
    notebook(place / "00_demo.ipynb", "%%app main.py\n" + "x = 1\n" * 100)
    notebook(place / "other.ipynb", "%%app main.py\nx = 1\n")
    assert "00_demo.ipynb is left out: it has more than" in taken(place, course)[2][0]
    monkeypatch.undo()
    monkeypatch.setattr(submitted, "CELL", 20)
    assert "cell 1 has more than 20 characters" in "\n".join(taken(place, course)[2])
    monkeypatch.undo()
    monkeypatch.setattr(submission, "SECONDS", -1.0)
    assert any("could not be put together" in note for note in taken(place, course)[2])


def test_odd_names_are_left_out(course: Course, package: PackageMaker) -> None:
    """Names that are not UTF-8, a lock link of an editor, `x.py/`, and names without end: named, and the rest is graded."""
    app = package(MAIN, GOOD)
    Path(os.fsdecode(os.fsencode(app) + b"/caf\xe9.py")).write_text("x = 1\n")
    (app / ".#main.py").symlink_to("ada@host.1234")
    (app / "x.py").mkdir()
    (app / "x.py" / "y.py").write_text("x = 1\n")
    (app / f"{'n' * 200}.py").write_text("x = 1\n")
    deep = app
    for _ in range(20):
        deep = deep / "d"
    deep.mkdir(parents=True)
    files, _, notes = taken(app.parent, course)
    assert set(files) == {"__init__.py", "main.py"}
    said = "\n".join(notes)
    for part in (r"caf\xe9.py is left out: its name is not UTF-8", ".#main.py is left out", "x.py is left out: it is a folder",
                 "more than 150 characters", "folders deep"):  # fmt: skip
        assert part in said, notes


def test_a_module_name_of_300_letters_is_a_note(course: Course, place: Path) -> None:
    """A path that no file system can hold is refused with its cell, as in the notebook."""
    notebook(place / "00_demo.ipynb", f"%%app {'n' * 300}.py\nx = 1\n", MAIN)
    files, _, notes = taken(place, course)
    assert "main.py" in files
    assert "cell 1, is left out" in notes[0]
    assert len(notes[0]) < 400
