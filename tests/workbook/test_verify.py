"""The proof: it holds for good checks and names what is wrong with bad ones."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.workbook.conftest import ANSWERS, CHECKS, SOURCE
from workbook.course.chapter import SourceError
from workbook.course.index import read_course
from workbook.proof.answers import read_answers
from workbook.proof.mutants import mutants
from workbook.proof.table import Row, put_table, table
from workbook.proof.verify import Verifier
from workbook.running.worker import Worker

STATE = Path(tempfile.mkdtemp(prefix="workbook-verify-"))
atexit.register(shutil.rmtree, STATE, ignore_errors=True)


def proof(worker: Worker) -> list[Row]:
    """Verify the small course; what a test leaves as it was has its verdict from the tests before."""
    course = read_course(worker.root)
    return Verifier(worker.root, course, STATE, [worker]).verify(course.select(""))


def problems(worker: Worker) -> str:
    """Return every problem of the small course's proof."""
    return "\n".join(problem for row in proof(worker) for problem in row.problems)


def test_good_checks_are_proven(root: Path, worker: Worker) -> None:
    """Stub, solution, answers and mutants all hold, the second time from the cache, and the table says so."""
    rows = proof(worker)
    assert [row.problems for row in rows] == [[], []]
    assert rows[0].counts["wrong"] == [2, 2]
    assert rows[0].counts["stub"] == [2, 2]
    assert rows[0].counts["mutants"][0] == rows[0].counts["mutants"][1] > 2
    assert proof(worker) == rows
    assert put_table(root, rows, write=False)
    assert not put_table(root, rows, write=True)
    assert not put_table(root, rows, write=False)
    assert table(rows) in (root / "CONTRIBUTING.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("tests/chapters/test_00_demo.py", 'expect.json(response, {"status": "ok"}', "(lambda *a, **k: 0)((0", "wrong"),
        ("tests/answers/00_demo.md", "message: 404 Not Found", "message: 500 Oops", "the feedback lacks '500 Oops'"),
        ("tests/answers/00_demo.md", "return sum((a, b))", "return a", "right 'by sum': wrong, expected passed"),
        ("solutions/00_demo.md", "return a + b", "return a - b * 1", "solution 'after 0.2': wrong"),
        ("solutions/00_demo.md", "# return a - b", "# return b + a", "stub 'the stub'"),
    ],
)
def test_a_gap_is_named(root: Path, worker: Worker, file: str, old: str, new: str, said: str) -> None:
    """A check that misses a wrong answer, a message that is not there, a refused right answer, a wrong solution."""
    path = root / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    if file.startswith("tests/chapters"):
        lines = [line for line in text.split("\n") if "expect.json" not in line]
        path.write_text("\n".join(lines), encoding="utf-8")
    else:
        path.write_text(text.replace(old, new), encoding="utf-8")
    assert said in problems(worker)


def test_the_record_spares_what_has_not_changed(root: Path, worker: Worker, tmp_path: Path) -> None:
    """What the record knows is not run again, but for a sample; what has changed is; a verdict never hides in it."""

    def verifier(state: str) -> Verifier:
        return Verifier(root, read_course(root), tmp_path / state, [worker])

    first = verifier("first")
    rows = first.verify(first.course.select(""))
    assert first.ran > 10
    first.record.write()
    fresh = verifier("fresh")
    assert fresh.verify(fresh.course.select("")) == rows
    assert (fresh.ran, fresh.known) == (0, first.ran + first.known)
    sampled = verifier("sampled")
    assert sampled.verify(sampled.course.select("0.1"), sample=1000) == rows[:1]
    assert sampled.known == 0
    answers = root / "tests/answers/00_demo.md"
    answers.write_text(ANSWERS.replace("return a * b", "return b + a"), encoding="utf-8")
    changed = verifier("changed")
    assert "wrong 'multiplies': passed" in changed.verify(changed.course.select(""))[1].problems[0]
    assert changed.ran == 1
    changed.record.write()
    again = verifier("again")
    assert again.verify(again.course.select(""))[1].problems
    assert again.ran == 1


def test_a_survivor_must_be_listed_and_must_survive(root: Path, worker: Worker) -> None:
    """An unlisted survivor is a problem, a listed one is none, and a listed one that dies is."""
    checks = root / "tests/chapters/test_00_demo.py"
    answers = root / "tests/answers/00_demo.md"
    weak = "add(2, 3) in (5, 6), True"
    checks.write_text(CHECKS.replace("add(2, 3), 5", weak), encoding="utf-8")
    source = root / "solutions/00_demo.md"
    source.write_text(SOURCE.replace("return a + b", "return a + b + 0"), encoding="utf-8")
    answers.write_text(ANSWERS.replace("return a * b", "return 1"), encoding="utf-8")
    assert "mutant survives: return a + b + 0 -> return a + b + 1" in problems(worker)
    listed = "\n### 0.2 survivor: a demonstration\nmutant: return a + b + 0 -> return a + b*\n"
    answers.write_text(ANSWERS.replace("return a * b", "return 1") + listed, encoding="utf-8")
    assert problems(worker) == ""
    checks.write_text(CHECKS, encoding="utf-8")
    source.write_text(SOURCE, encoding="utf-8")
    answers.write_text(ANSWERS + listed, encoding="utf-8")
    assert "does not survive" in problems(worker)


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("### 0.1 wrong: another path", "### 0.1 bad: another path", "is not `### 2.2 wrong: name`"),
        ("### 0.1 wrong: another path", "### 0.9 wrong: another path", "has no exercise 0.9"),
        ("message: 404 Not Found\n", "", "without `message:`"),
        ("### 0.2 right: by sum", "### 0.1 right: by sum", "0 right answers"),
        ("%%app numbers.py\ndef add(a, b):\n    return sum", "def add(a, b):\n    return sum", "does not begin"),
        (
            "```python\n%%app numbers.py\ndef add(a, b):\n    return sum",
            "```python x\n%%app a.py\nx = (",
            "word is 'x'",
        ),
    ],
)
def test_malformed_answers_are_refused(root: Path, old: str, new: str, rule: str) -> None:
    """An answers file that breaks a rule is told with file and line."""
    path = root / "tests/answers/00_demo.md"
    assert old in ANSWERS
    path.write_text(ANSWERS.replace(old, new), encoding="utf-8")
    with pytest.raises(SourceError, match=r"00_demo\.md") as caught:
        read_answers(path, read_course(root).chapters[0])
    assert rule in str(caught.value)


def test_mutants_stay_inside_the_solution() -> None:
    """Only lines of the solution block are mutated; docstrings and types are not; each mutant compiles."""
    cell = next(cell for cell in SOURCE.split("```") if "def add" in cell).split("\n", 2)[2]
    found = mutants(cell)
    assert {mutant.what for mutant in found} == {"return a + b -> return a - b"}
    for mutant in found:
        compile(mutant.code, "mutant", "exec")
