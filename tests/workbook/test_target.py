"""Catching up stops at its target: what comes later is neither filled in nor paid for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workbook.conftest import HINTS
from workbook.catchup import plan as catchup
from workbook.course.index import Course, read_course
from workbook.learner import writing
from workbook.learner.standing import State, standing
from workbook.learner.workspace import Workspace
from workbook.merge.assemble import parse_header
from workbook.running.worker import Worker

FENCE = "```"
SECOND = f"""---
title: Second
minutes: 10
goals: [go on]
---

{FENCE}python
%load_ext workbook
{FENCE}

#### Exercise 1.1 · `app/main.py`

{HINTS}

{FENCE}python exercise="1.1" points=2 title="Better health"
%%app main.py --merge
@app.get("/health")
async def health() -> dict[str, str]:
    ### BEGIN SOLUTION
    return {{"status": "ok", **EXTRA}}
    ### END SOLUTION


EXTRA: dict[str, str] = {{}}
{FENCE}

{FENCE}python
%check 1.1
{FENCE}

{FENCE}python
%%app words.py
MARK = "!"
{FENCE}

#### Exercise 1.2 · `app/words.py`

{HINTS}

{FENCE}python exercise="1.2" points=2 title="Loud"
%%app words.py --merge
def loud(word: str) -> str:
    ### BEGIN SOLUTION
    return word.upper() + MARK
    ### END SOLUTION
{FENCE}

{FENCE}python
%check 1.2
{FENCE}
"""
THIRD = f"""---
title: Third
minutes: 10
goals: [go on]
---

{FENCE}python
%load_ext workbook
{FENCE}

#### Exercise 2.1 · `app/words.py`

{HINTS}

{FENCE}python exercise="2.1" points=2 title="Quiet"
%%app words.py --merge
def quiet(word: str) -> str:
    ### BEGIN SOLUTION
    return word.lower()
    ### END SOLUTION
{FENCE}

{FENCE}python
%check 2.1
{FENCE}
"""
CHECKS = '''
from workbook import expect
from workbook.checks import exercise


@exercise("{id}")
def test_{name}(load):
    """It answers"""
    expect.equal({call}, {value}, did="it", why="so it is", hint="look")
'''
MAIN = "%%app main.py\nfrom fastapi import FastAPI\n\napp = FastAPI()\n"
HEALTH = (
    '%%app main.py --merge --exercise 0.1\n@app.get("/health")\nasync def health():\n    return dict(status="ok")\n'
)
SUM = "%%app numbers.py --exercise 0.2\ndef add(a, b):\n    return b + a\n"
WORDS = '%%app words.py\nMARK = "!"\n'
QUIET = (
    "%%app words.py --merge --exercise 2.1\ndef quiet(word: str) -> str:\n"
    '    raise NotImplementedError("exercise 2.1")\n'
)


@pytest.fixture
def course(root: Path) -> Course:
    """Give the small course with two more chapters."""
    (root / "solutions/01_second.md").write_text(SECOND, encoding="utf-8")
    (root / "solutions/02_third.md").write_text(THIRD, encoding="utf-8")
    one = CHECKS.format(id="1.1", name="extra", call='load("main").EXTRA', value="{}")
    one += CHECKS.format(id="1.2", name="loud", call='load("words").loud("a")', value="'A!'")
    two = CHECKS.format(id="2.1", name="quiet", call='load("words").quiet("A")', value="'a'")
    (root / "tests/chapters/test_01_second.py").write_text(one, encoding="utf-8")
    (root / "tests/chapters/test_02_third.py").write_text(two, encoding="utf-8")
    return read_course(root)


def run(course: Course, workspace: Workspace, *sources: str) -> None:
    """Run cells."""
    for source in sources:
        first, _, code = source.partition("\n")
        writing.write(course, workspace, parse_header(first.removeprefix("%%app")), code)


def files(workspace: Workspace) -> dict[str, str]:
    """Return what the package holds."""
    return {path.name: path.read_text(encoding="utf-8") for path in workspace.app_dir.glob("*.py")}


def test_a_later_exercise_that_was_skipped_stays_out(course: Course, workspace: Workspace, worker: Worker) -> None:
    """A given cell behind 1.1 was run: catching up to chapter 1 does not put 1.1's solution over the answer to 0.1."""
    run(course, workspace, MAIN, HEALTH, SUM, WORDS)
    before = files(workspace)
    said = catchup.run(course, workspace, worker, "1")
    assert said == "nothing to do: all that comes before 1 passes"
    assert files(workspace) == before
    assert standing(course, workspace).states["1.1"] == State.NEVER


def test_a_later_stub_brings_nothing_of_its_file(course: Course, workspace: Workspace, worker: Worker) -> None:
    """The stub of 2.1 alone stays alone until its chapter is the target; what is filled in then is not the learner's."""
    run(course, workspace, QUIET)
    alone = files(workspace)["words.py"]
    said = catchup.run(course, workspace, worker, "1")
    assert "filled in:  0.1, 0.2" in said
    assert files(workspace)["words.py"] == alone
    said = catchup.run(course, workspace, worker, "2")
    assert "filled in:  1.1, 1.2" in said
    assert "kept yours" not in said
    assert "filled in before: 2" in said
    assert 'NotImplementedError("exercise 2.1")' in files(workspace)["words.py"]
    assert standing(course, workspace).points == 0


def test_what_a_later_stub_broke_is_brought_back(course: Course, workspace: Workspace, worker: Worker) -> None:
    """The stub of 1.1 stands over the answer to 0.1: that is filled in, and no other answer is taken away."""
    stub = '%%app main.py --merge --exercise 1.1\n@app.get("/health")\nasync def health() -> dict[str, str]:\n'
    stub += '    raise NotImplementedError("exercise 1.1")\n\n\nEXTRA: dict[str, str] = {}\n'
    run(course, workspace, MAIN, HEALTH, SUM, stub)
    said = catchup.run(course, workspace, worker, "1")
    assert "kept yours: 0.2\n  filled in:  0.1\n" in said
    assert "b + a" in files(workspace)["numbers.py"]
    assert worker.check(course, "0.1", workspace.app_dir).passed
    assert standing(course, workspace).states["1.1"] == State.NEVER
