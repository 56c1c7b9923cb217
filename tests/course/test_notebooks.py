"""nbval proves the notebooks: the solved ones repeat their outputs, a learner's fails where it is not solved."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.course.conftest import ROOT
from workbook.course import execution, release
from workbook.course.chapter import Chapter
from workbook.course.index import Course, read_course
from workbook.course.notebook import notebook
from workbook.course.snapshot import solved_before

CHAPTERS = [chapter.name for chapter in read_course(ROOT).chapters]
CELL_TIMEOUT = 120


def chapter_of(course: Course, name: str) -> Chapter:
    """Return a chapter by its file's stem."""
    return next(chapter for chapter in course.chapters if chapter.name == name)


def nbval(path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run nbval on one notebook, as a person would: a process of its own, each cell with a time limit."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-o", "addopts="]
    command += ["--nbval-current-env", f"--nbval-cell-timeout={CELL_TIMEOUT}", "-q", "--tb=short", *options]
    command += ["-W", "ignore", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(path.parent), str(path)]
    return subprocess.run(command, cwd=path.parent, capture_output=True, text=True, timeout=900, check=False)


def copy(tmp_path: Path, course: Course, chapter: Chapter, folder: str) -> Path:
    """Copy the course to a folder whose package stands as it does before the chapter; return the notebooks' folder."""
    root = execution.copy_tree(ROOT, tmp_path / "course")
    target = root / folder
    target.mkdir(exist_ok=True)
    shutil.rmtree(root / "solutions" / "app")  # what later chapters build must not be there yet
    solved_before(course, chapter.number).write(root / "solutions" if folder == "solutions" else root)
    return target


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_solved_notebook_repeats_its_outputs(course: Course, tmp_path: Path, name: str) -> None:
    """Every output of solutions/*.ipynb comes out again, text and HTML, when it is run from top to bottom."""
    folder = copy(tmp_path, course, chapter_of(course, name), "solutions")
    path = folder / f"{name}.ipynb"
    path.write_bytes((ROOT / "solutions" / path.name).read_bytes())
    rules = ROOT / "tests" / "course" / "nbval.cfg"
    found = nbval(path, "--nbval", "--nbval-sanitize-with", str(rules))
    assert found.returncode == 0, found.stdout[-6000:]
    assert "passed" in found.stdout


def learner(course: Course, chapter: Chapter, solved: set[str]) -> Any:
    """Return the learner's notebook with some exercises solved by hand."""
    made = notebook(chapter, with_solutions=False)
    for cell, node in zip(chapter.cells, made.cells, strict=True):
        if cell.exercise in solved:
            node.source = release.solved_source(cell)
    return made


def test_a_notebook_solved_by_hand_passes_lax(course: Course, tmp_path: Path) -> None:
    """A learner's notebook with every exercise solved passes `pytest --nbval-lax`."""
    chapter = course.chapters[0]
    path = copy(tmp_path, course, chapter, "notebooks") / f"{chapter.name}.ipynb"
    nbformat.write(learner(course, chapter, {one.id for one in chapter.exercises}), path)
    found = nbval(path, "--nbval-lax")
    assert found.returncode == 0, found.stdout[-6000:]


def test_an_unsolved_notebook_fails_at_its_first_check(course: Course, tmp_path: Path) -> None:
    """The untouched notebook's first failing cell is its first `%check`."""
    chapter = course.chapters[0]
    path = copy(tmp_path, course, chapter, "notebooks") / f"{chapter.name}.ipynb"
    made = learner(course, chapter, set())
    nbformat.write(made, path)
    found = nbval(path, "--nbval-lax", "-x")
    code = [cell.source for cell in made.cells if cell.cell_type == "code"]
    first = next(index for index, source in enumerate(code) if source.startswith("%check"))
    assert found.returncode == 1, found.stdout[-6000:]
    assert f"1 failed, {first} passed" in found.stdout


def test_a_dead_kernel_fails_the_run(tmp_path: Path) -> None:
    """A kernel that dies is a failure within the cell's time limit, not a pass and not a hang."""
    path = tmp_path / "dead.ipynb"
    cells = [nbformat.v4.new_code_cell("import os\nos._exit(0)")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    found = nbval(path, "--nbval-lax", "--nbval-cell-timeout=2")
    assert found.returncode == 1, found.stdout[-6000:]
    assert "1 failed" in found.stdout
    assert "Failed to interrupt kernel" in found.stdout  # one that is only slow can be interrupted
