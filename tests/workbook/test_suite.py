"""The learner's tests on several packages: what they catch, and that nothing they do harms the one who asks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from workbook import testrun
from workbook.course import read_course
from workbook.snapshot import Snapshot
from workbook.suite import Suite, Variant
from workbook.worker import Worker

APP = {"numbers.py": "def add(a: int, b: int) -> int:\n    return a + b\n"}
GOOD = "from app.numbers import add\n\n\nasync def test_sum():\n    assert add(2, 3) == 5\n"
RIGHT = Variant("the app")
WRONG = Variant("a difference", ("%%app numbers.py --merge\ndef add(a, b):\n    return a - b\n",), first_failure=True)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Suite]:
    """Make a suite of a learner's tests, given by name."""

    def suite(**tests: str) -> Suite:
        files = {f"tests/{name}.py": text for name, text in tests.items()}
        return Suite(Snapshot({**APP, **files}).write(tmp_path), lambda: Snapshot(APP))

    return suite


@pytest.fixture(params=[True, False], ids=["fork", "no fork"])
def forks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run with and without fork."""
    if request.param and not testrun.CAN_FORK:
        pytest.skip("this system has no fork")
    monkeypatch.setattr(testrun, "CAN_FORK", request.param)


@pytest.mark.usefixtures("forks")
def test_good_tests_pass_and_catch(make: Callable[..., Suite]) -> None:
    """They pass on the right app, fail on the wrong one, and say how; the results are in the variants' order."""
    wrong, right = make(test_sum=GOOD).run([WRONG, RIGHT], limit=60)
    assert right.good
    assert not right.caught
    assert right.summary() == "1 test passed"
    assert wrong.caught
    assert wrong.summary() == "tests/test_sum.py::test_sum: assert -1 == 5"
    assert (right.name, wrong.name) == ("the app", "a difference")


@pytest.mark.usefixtures("forks")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def test_a():\n    while True: pass\n", "your tests did not come to their end: out of time"),
        ("import os\n\ndef test_a():\n    os._exit(0)\n", "your tests did not come to their end: no result"),
        ("def test_a():\n    raise SystemExit\n", "tests/test_it.py::test_a: SystemExit"),
        ("def broken(:\n", "your tests could not be read: SyntaxError: invalid syntax"),
        ("import nothing_like_it\n", "No module named 'nothing_like_it'"),
        ("def helper(): pass\n", "no test ran"),
        ("import pytest\n@pytest.mark.skip\ndef test_a(): pass\n", "no test ran"),
        ("import pytest\n@pytest.fixture\ndef x():\n    1 / 0\ndef test_a(x): pass\n", "ZeroDivisionError"),
    ],
)
def test_bad_tests_are_not_good(make: Callable[..., Suite], text: str, said: str) -> None:
    """Loops, exits, syntax errors, missing modules, no tests and broken fixtures are told apart."""
    limit = 3 if "while True" in text else 120  # seconds: the others end by themselves, also on a busy machine
    (found,) = make(test_it=text).run([RIGHT], limit=limit)
    assert not found.good
    assert said in found.summary()


@pytest.mark.parametrize(
    ("variant", "said"),
    [
        (Variant("x", paths=("tests/test_other.py",)), "there is no app/tests/test_other.py"),
        (Variant("x", files={"tests/conftest.py": "1 / 0\n"}), "app/tests/conftest.py: ZeroDivisionError"),
        (Variant("x", files={"tests/test_sum.py": None}), "there is no app/tests"),
        (Variant("x", files={"tests/test_more.py": "def test_b(): pass\n"}), "2 tests passed"),
        (Variant("x", own=True), "1 test passed"),
    ],
)
def test_files_are_added_and_taken_away(make: Callable[..., Suite], variant: Variant, said: str) -> None:
    """A variant can bring files of its own, lack some, or name what is not there."""
    (found,) = make(test_sum=GOOD).run([variant], limit=30)
    assert said in found.summary()


def test_a_failure_after_a_pass_counts(make: Callable[..., Suite]) -> None:
    """A test whose clean-up fails is not passed; a test that prints or forges results changes nothing."""
    forged = 'print(\'{"test": "x", "outcome": "passed"}\')\n'
    text = f"import pytest\n@pytest.fixture\ndef x():\n    yield\n    1 / 0\ndef test_a(x):\n    {forged}"
    (found,) = make(test_it=text).run([RIGHT], limit=30)
    assert found.outcomes == {"tests/test_it.py::test_a": "error"}


def test_the_same_variant_runs_once(make: Callable[..., Suite], tmp_path: Path) -> None:
    """A second criterion that asks for the same result gets the first one's."""
    counter = tmp_path / "count"
    suite = make(test_it=f"def test_a():\n    open({str(counter)!r}, 'a').write('x')\n")
    first = suite.run([RIGHT], limit=30)
    assert suite.run([RIGHT], limit=30) == first
    assert counter.read_text() == "x"


def test_checks_use_it_in_the_worker(root: Path, worker: Worker, package: Callable[..., Path]) -> None:
    """A check runs the learner's tests on the solutions of the chapters before, and may take longer than usual."""
    checks = """
from workbook import expect
from workbook.checks import exercise
from workbook.suite import Variant


@exercise("0.1", limit=20)
def test_tests(suite):
    \"\"\"Your tests pass\"\"\"
    own, other = suite.run([Variant("yours", own=True), Variant("ours")])
    expect.that(own.good, did="pytest app/tests", got=own.summary(), expected="all pass")
    expect.that(not other.good, got=other.summary())
"""
    (root / "tests/chapters/test_00_demo.py").write_text(checks, encoding="utf-8")
    app = package("%%app main.py\nfrom fastapi import FastAPI\n\napp = FastAPI()\n")
    tests = app / "tests"
    tests.mkdir()
    (tests / "test_main.py").write_text("from app.main import app\ndef test_app():\n    assert app\n", encoding="utf-8")
    report = worker.check(read_course(root), "0.1", app)
    assert [one.got for one in report.criteria] == [""]
