"""The course as a whole: sources, checks, answers and built files agree."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.course.conftest import ROOT
from workbook.course import build, release
from workbook.course.excerpt import names
from workbook.course.index import Course
from workbook.course.snapshot import Snapshot
from workbook.grading import grade
from workbook.proof.answers import read_answers
from workbook.running.worker import Worker


def test_the_solutions_get_full_marks(course: Course, worker: Worker) -> None:
    """`workbook grade solutions` passes every exercise."""
    reports, _ = grade.grade(course, [worker], ROOT / "solutions", list(course.exercises.values()))
    assert [one.exercise for one in reports if not one.passed] == []
    assert sum(one.points for one in reports) == sum(one.points for one in course.exercises.values())


def test_the_untouched_course_gets_none(course: Course, worker: Worker, tmp_path: Path) -> None:
    """The learner's notebooks as they are handed out: 0 points, every exercise not attempted."""
    notebooks = tmp_path / "notebooks"
    notebooks.mkdir()
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        (notebooks / path.name).write_bytes(path.read_bytes())
    reports, _ = grade.grade(course, [worker], tmp_path, list(course.exercises.values()))
    assert {one.exercise: str(one.outcome) for one in reports if one.outcome != "not attempted"} == {}
    assert sum(one.points for one in reports) == 0


def test_built_files_agree_with_their_sources() -> None:
    """notebooks/, solutions/app and the cells of solutions/*.ipynb are what `workbook build` makes."""
    assert build.stale(ROOT) == []


def test_every_chapter_has_checks_and_answers(course: Course) -> None:
    """A chapter has its checks, in one file or in several, and one file of answers; nothing else lies beside them."""
    stems = {chapter.name for chapter in course.chapters}
    numbers = {path.stem.split("_")[1] for path in (ROOT / "tests/chapters").glob("test_*.py")}
    assert numbers == {stem.partition("_")[0] for stem in stems}
    assert {path.stem for path in (ROOT / "tests/answers").glob("*.md")} == stems
    for chapter in course.chapters:
        read_answers(ROOT / "tests/answers" / f"{chapter.name}.md", chapter)


def test_every_check_states_its_criterion(course: Course) -> None:
    """Every test of a chapter has a docstring, and no criterion of an exercise stands there twice."""
    for path in sorted((ROOT / "tests/chapters").glob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        scopes: list[ast.Module | ast.ClassDef] = [tree, *(n for n in tree.body if isinstance(n, ast.ClassDef))]
        for scope in scopes:
            tests = [
                node
                for node in scope.body
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test")
            ]
            said = [ast.get_docstring(node) for node in tests]
            assert all(said), f"{path.name}: a test of {getattr(scope, 'name', 'the module')} has no docstring"
            assert len(said) == len(set(said)), (
                f"{path.name}: {getattr(scope, 'name', 'the module')} repeats a criterion"
            )


def test_the_checks_of_an_exercise_lie_in_one_file() -> None:
    """Their order is the one in which a learner reads the criteria, and a file says from which exercise on it goes."""
    places: dict[str, set[str]] = {}
    for path in sorted((ROOT / "tests/chapters").glob("test_*.py")):
        for id in re.findall(r'^@exercise\("([\d.]+)"', path.read_text(encoding="utf-8"), re.MULTILINE):
            places.setdefault(id, set()).add(path.name)
    assert {id: names for id, names in places.items() if len(names) > 1} == {}


def test_every_stub_can_be_imported(course: Course, tmp_path: Path) -> None:
    """With every exercise still a stub, each module of the app can be imported after each chapter.

    From chapter 12 on the chapters before are solved: an index on a column needs the column.
    """
    package, solved = Snapshot(), Snapshot()
    for chapter in course.chapters:
        package = solved.copy() if chapter.number >= 12 else package
        for cell in chapter.writes:
            package.run(release.learner_source(cell))
            solved.run(release.solved_source(cell))
        folder = tmp_path / chapter.name
        package.write(folder)
        modules = ["app." + path.removesuffix(".py").replace("/", ".") for path in package.files]
        code = (
            "import importlib, sys\nfor name in sys.argv[1:]:\n importlib.import_module(name.removesuffix('.__init__'))"
        )
        command = [sys.executable, "-c", code, *modules]
        found = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
        assert found.returncode == 0, f"{chapter.name}: {found.stderr[-1500:]}"


@pytest.mark.parametrize("folder", ["notebooks", "solutions"])
def test_no_output_holds_a_path_of_this_machine(folder: str) -> None:
    """No notebook holds an absolute path, and the learner's hold no output at all."""
    for path in (ROOT / folder).glob("*.ipynb"):
        text = path.read_text(encoding="utf-8")
        outputs = [cell.get("outputs", []) for cell in json.loads(text)["cells"]]
        assert str(ROOT) not in text
        assert "/tmp/" not in json.dumps(outputs)
        assert folder == "solutions" or '"output_type"' not in text


def test_an_exercise_defines_something(course: Course) -> None:
    """Each exercise's cell defines at least one name: by it a stub is told from an attempt."""
    for chapter in course.chapters:
        for exercise in chapter.exercises:
            assert names(release.solved(chapter.cells[exercise.cell].body)), exercise.id


def test_what_every_check_imports_starts_no_process() -> None:
    """A check imports tests/conftest.py too: whatever that starts, a learner would wait for at each `%check`."""
    spy = "import sys\nsys.addaudithook(lambda name, _: sys.exit(name) if name == 'subprocess.Popen' else None)\n"
    command = [sys.executable, "-B", "-c", f"{spy}import tests.conftest, workbook.checking.plugin"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
