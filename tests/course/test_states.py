"""Every state that a learner can be in: cells run in any order, twice, skipped or wrong; then catching up.

`WORKBOOK_EXAMPLES=50` tries more states than `make check` has time for; a failing one is printed as it was drawn.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir

from tests.course.conftest import ROOT
from workbook.base.launch import NEEDED
from workbook.catchup import plan as catchup
from workbook.course import release
from workbook.course.chapter import Cell
from workbook.course.index import Course
from workbook.course.snapshot import Snapshot, writes
from workbook.course.timeline import timeline
from workbook.learner import writing
from workbook.learner.desk import Draft
from workbook.learner.standing import standing
from workbook.learner.workspace import Workspace
from workbook.learner.written import Written
from workbook.merge.assemble import parse_header
from workbook.merge.outline import parts
from workbook.proof.answers import read_answers
from workbook.running.worker import Worker

CACHE = tempfile.TemporaryDirectory(prefix="hypothesis-")  # removed at exit
set_hypothesis_home_dir(CACHE.name)
EXAMPLES = int(os.environ.get("WORKBOOK_EXAMPLES", "2"))
CHOICES = ("solved", "stub", "right", "wrong", "skipped")


@dataclass
class Learner:
    """Somebody who works through the course in a package of their own."""

    course: Course
    space: Workspace
    ran: list[tuple[int, str]] = field(default_factory=list)

    def run(self, source: str) -> Written:
        """Run a cell, as the notebook does."""
        first, _, code = source.partition("\n")
        header = parse_header(first.removeprefix("%%app"))
        return writing.write(self.course, self.space, header, code)

    def do(self, position: int, choice: str) -> None:
        """Run the cell at a place in the course: solved, as it was given, or with an answer in its stead."""
        self.ran.append((position, choice))
        cell = list(writes(self.course))[position]
        sources = self._sources(cell, choice)
        for source in sources:
            self.run(source)

    def _sources(self, cell: Cell, choice: str) -> list[str]:
        if choice == "skipped":
            return []
        if cell.exercise is None or choice == "solved":
            return [release.solved_source(cell)]
        if choice == "stub":
            return [release.learner_source(cell)]
        chapter = self.course.chapter(self.course.exercises[cell.exercise].chapter)
        found = read_answers(ROOT / "tests" / "answers" / f"{chapter.name}.md", chapter)
        answer = next(one for one in found if one.exercise == cell.exercise and one.kind == choice)
        named = [self._named(source, cell) for source in answer.cells]
        return [release.solved_source(cell), *answer.cells] if answer.patch else named

    @staticmethod
    def _named(source: str, cell: Cell) -> str:
        """Return an answer with its exercise's name in its first line, where it is for the same module."""
        first, _, code = source.partition("\n")
        same = parse_header(first.removeprefix("%%app")).path == cell.argument.split()[0]
        return f"{first} --exercise {cell.exercise}\n{code}" if same else source

    @property
    def files(self) -> dict[str, str]:
        """Return the package's modules."""
        return Snapshot.read(self.space.app_dir).files


@pytest.fixture
def learner(course: Course, tmp_path: Path) -> Learner:
    """Give a learner with an empty package."""
    return new_learner(course, tmp_path)


def new_learner(course: Course, folder: Path) -> Learner:
    """Return a learner with an empty package in a folder."""
    app = Snapshot().write(folder)
    return Learner(course, Workspace(ROOT, app, folder / ".workbook"))


def passing(course: Course, worker: Worker, app: Path, ids: list[str]) -> set[str]:
    """Return those of the exercises that pass on a package."""
    chapters: dict[int, list[str]] = {}
    for id in ids:
        chapters.setdefault(course.exercises[id].chapter, []).append(id)
    found = [one for some in chapters.values() for one in worker.check_all(course, some, app)]
    return {one.exercise for one in found if one.passed}


def test_solved_notebooks_leave_the_same_files_in_any_order(course: Course, learner: Learner) -> None:
    """All cells of all chapters, run again in any order, solved or as given, leave the finished app as it is."""
    order = list(range(len(timeline(course).steps)))
    for position in order:
        learner.do(position, "solved")
    finished = learner.files
    solved = timeline(course).states[-1]
    assert {path: text for path, text in finished.items() if path != "__init__.py"} == {
        path: text for path, text in solved.items() if text.strip()
    }
    chapters = [[s.position for s in timeline(course).steps if s.chapter == c.number] for c in course.chapters]
    random.Random(9).shuffle(chapters)
    for number, positions in enumerate(chapters):
        for position in positions:
            learner.do(position, "stub" if number % 3 == 0 else "solved")
        assert learner.files == finished, f"chapter {timeline(course).steps[positions[0]].chapter} run again"


@settings(
    max_examples=3 * EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_the_cells_of_a_module_in_any_order(course: Course, data: st.DataObject) -> None:
    """A module can be imported once all its cells ran; run again, in order, they define what they always define."""
    line = timeline(course)
    path = data.draw(st.sampled_from([path for path, steps in line.by_path.items() if len(steps) > 1]))
    desk = Draft()
    for step in data.draw(st.permutations(line.by_path[path])):
        writing.write(course, desk, step.header, step.solved)
    with tempfile.TemporaryDirectory(prefix="states-") as folder:
        Snapshot({**line.states[-1], path: desk.files[path]}).write(Path(folder))
        name = "app." + path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        command = [sys.executable, "-B", "-c", f"import {name}"]
        done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stderr}\n{desk.files[path]}"
    for step in line.by_path[path]:
        writing.write(course, desk, step.header, step.solved)
    assert parts(desk.files[path]) == parts(line.states[-1][path])


def environment() -> dict[str, str]:
    """Return what a program needs of the environment, and no settings of the app."""
    return {name: value for name, value in os.environ.items() if name in NEEDED}


def states() -> st.SearchStrategy[tuple[int, dict[int, str], list[int], int]]:
    """Draw how far a learner came, what they did otherwise than asked, which cells they ran again, and the target."""
    wrong_turns = st.dictionaries(st.integers(0, 60), st.sampled_from(CHOICES), max_size=8)
    return st.tuples(st.integers(0, 60), wrong_turns, st.lists(st.integers(0, 60), max_size=4), st.integers(2, 4))


@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(state=states())
def test_catching_up_from_any_state(
    course: Course, worker: Worker, state: tuple[int, dict[int, str], list[int], int]
) -> None:
    """It ends; all before the target passes; own code that passed stays; a second time there is nothing to do."""
    reached, turns, again, target = state
    with tempfile.TemporaryDirectory(prefix="states-", ignore_cleanup_errors=True) as folder:
        learner = new_learner(course, Path(folder))
        for position in [*range(reached), *(place for place in again if place < reached)]:
            learner.do(position, turns.get(position, "solved"))
        hold(course, worker, learner, str(target))


def hold(course: Course, worker: Worker, learner: Learner, target: str) -> None:
    """Catch up, and assert what must hold whatever the state was."""
    before = [id for id, one in course.exercises.items() if target == "all" or one.chapter < int(target)]
    app = learner.space.app_dir
    passed = passing(course, worker, app, before)
    end = place_of(course, target)
    own = {id: own_code(course, learner, id, end) for id in passed}
    said = catchup.run(course, learner.space, worker, target)
    assert passing(course, worker, app, before) == set(before), said
    for id, code in own.items():
        now = own_code(course, learner, id, end)
        assert code.items() <= now.items(), f"{id} passed, and was changed\n{said}"
    states = standing(course, learner.space).states
    assert {states[id] for id in before} <= {"passed", "filled in", "not attempted"}
    files = learner.files
    assert catchup.run(course, learner.space, worker, target).startswith("nothing to do")
    assert learner.files == files


def own_code(course: Course, learner: Learner, id: str, end: int) -> dict[str, str]:
    """Return an exercise's definitions where they are the learner's own, and no later exercise asks for them anew."""
    step, owners = timeline(course).exercises[id], timeline(course).owners(timeline(course).exercises[id].path, end)
    there = parts(learner.files.get(step.path, ""))
    names = [name for name in step.hole if name in there and owners.get(name) is step]
    return {name: there[name] for name in names if not timeline(course).written(step.path, name, there[name])}


def place_of(course: Course, target: str) -> int:
    """Return the place in the course where a target begins."""
    steps = timeline(course).steps
    return next((one.position for one in steps if target != "all" and one.chapter >= int(target)), len(steps))


def test_from_nothing_no_check_runs(course: Course, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fresh package is filled in without a check: the solved course is proven. It equals it byte for byte."""
    monkeypatch.setattr(Worker, "warm", lambda _: pytest.fail("a process was started"))
    for target in ("1", "6", catchup.ALL):
        learner = new_learner(course, tmp_path / target)
        said = catchup.run(course, learner.space, Worker(ROOT), target)
        assert "filled in:  0.1" in said
        end = place_of(course, target)
        goal = {path: text for path, text in timeline(course).states[end].items() if text.strip()}
        assert {path: text for path, text in learner.files.items() if path != "__init__.py"} == goal
        assert catchup.run(course, learner.space, Worker(ROOT), target).startswith("nothing to do")
        assert standing(course, learner.space).points == 0


def test_ones_own_answer_after_catching_up_stands_alone(course: Course, learner: Learner, worker: Worker) -> None:
    """Nothing that was filled in for an exercise stays beside one's own answer, which alone is judged.

    What an earlier exercise had written, and the cell leaves to it, is as the earlier one's solution has it.
    """
    catchup.run(course, learner.space, Worker(ROOT), catchup.ALL)
    line = timeline(course)
    for id, step in line.exercises.items():
        left_out = {name for name in step.hole if name not in step.given_parts}
        if left_out:
            writing.write(course, learner.space, step.header, f"{step.given}\n\nMINE_{id.replace('.', '_')} = 1\n")
        there, owners = parts(learner.files[step.path]), line.owners(step.path, len(line.steps))
        before = parts(line.states[step.position].get(step.path, ""))
        for name in (name for name in left_out if owners.get(name) is step):
            assert there.get(name) == before.get(name), (id, name)
    for id in ("11.5", "11.6"):
        name = line.exercises[id].path
        learner.run(
            f"%%app {name} --exercise {id}\nclass TestMine:\n    def test_all(self) -> None:\n        assert True\n"
        )
    assert not passing(course, worker, learner.space.app_dir, ["11.5", "11.6"])


def test_a_lost_import_costs_no_answer(course: Course, learner: Learner, worker: Worker) -> None:
    """Without an import nothing can be imported and every check fails; catching up gives back the import alone."""
    for position in range(place_of(course, "6")):
        learner.do(position, "solved")
    path = "users/schemas.py"
    module = learner.files[path].replace("\n    field_validator,", "").replace(", field_validator", "")
    module = module.replace("def check_password(value: str)", "def check_password(value: str, least: int = 1)")
    assert "import field_validator" not in module
    assert "@field_validator" in module
    learner.space.write({path: module.encode()}, "by hand")
    kept = parts(module)
    said = catchup.run(course, learner.space, worker, "6")
    assert parts(learner.files[path]) == kept, said
    assert [line for line in said.splitlines() if line.startswith("  app/")] == [f"  app/{path}: changed imports"]
    before = [id for id, one in course.exercises.items() if one.chapter < 6]
    assert passing(course, worker, learner.space.app_dir, before) == set(before), said


def test_an_answer_that_stops_every_import_is_the_only_one_replaced(
    course: Course, learner: Learner, worker: Worker
) -> None:
    """Of the learner's own answers, only the one with which nothing can be imported is filled in."""
    for position in range(place_of(course, "6")):
        learner.do(position, "solved")
    right, wrong = "core/pagination.py", "users/schemas.py"
    own = learner.files[right].replace("    limit: int = ", "    more: int = 0\n    limit: int = ", 1)
    broken = learner.files[wrong].replace("class UserCreate(", "class UserCreate(Missing, ", 1)
    assert own != learner.files[right]
    assert broken != learner.files[wrong]
    learner.space.write({right: own.encode(), wrong: broken.encode()}, "by hand")
    said = catchup.run(course, learner.space, worker, "6")
    assert learner.files[right] == own, said
    assert "Missing" not in learner.files[wrong], said
    before = [id for id, one in course.exercises.items() if one.chapter < 6]
    assert passing(course, worker, learner.space.app_dir, before) == set(before), said
