"""The learner's tests on several packages: what they catch, and that nothing they do harms the one who asks."""

from __future__ import annotations

import configparser
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from workbook.base.clock import MachineBusy, Stopwatch
from workbook.checking import task, testrun
from workbook.checking.suite import Suite, Variant
from workbook.course.index import read_course
from workbook.course.snapshot import Snapshot
from workbook.running.worker import Worker

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


@pytest.fixture(autouse=True)
def fair(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every run count, also on a busy machine: one test asks what happens where it does not."""
    monkeypatch.setattr(Stopwatch, "is_fair", lambda _self, _limit: True)


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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import asyncio\nasync def test_a():\n    asyncio.sleep(0)\n", "`sleep` was called without `await`"),
        ("import warnings\ndef test_a():\n    warnings.warn('old', DeprecationWarning)\n", "DeprecationWarning: old"),
        ("import pytest\n@pytest.mark.slow\ndef test_a(): pass\n", "'slow' not found in `markers`"),
        ("import pytest\n@pytest.mark.xfail\ndef test_a(): pass\n", "[XPASS(strict)]"),
    ],
)
def test_what_a_terminal_refuses_is_refused(make: Callable[..., Suite], text: str, said: str) -> None:
    """A warning, a forgotten `await`, a marker that nobody declared: the same verdict as `pytest app/tests` gives."""
    (found,) = make(test_it=text).run([RIGHT], limit=60)
    assert not found.good
    assert said in found.summary()


def test_the_markers_of_fastapis_documentation_work(make: Callable[..., Suite]) -> None:
    """Tests marked for anyio, with its fixture, run as in a terminal."""
    text = "import pytest\n@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n@pytest.mark.anyio\nasync def test_a():\n    assert True\n"
    (found,) = make(test_it=text).run([RIGHT], limit=60)
    assert found.good, found.summary()


def test_a_suite_runs_with_the_courses_own_options() -> None:
    """What pyproject.toml says of asyncio, markers and warnings holds for the learner's tests in a check, too."""
    options = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"]
    given = configparser.ConfigParser()
    given.read_string(task.INI)
    mine = dict(given["pytest"])
    for name in ("asyncio_mode", "asyncio_default_fixture_loop_scope", "asyncio_default_test_loop_scope"):
        assert mine[name] == options[name]
    assert mine["xfail_strict"] == str(options["xfail_strict"]).lower()
    assert mine["filterwarnings"].split()[0] == options["filterwarnings"][0] == "error"
    shared = [word for word in options["addopts"] if word.startswith("--")]
    assert mine["addopts"].split() == shared


@pytest.mark.usefixtures("forks")
def test_what_raises_is_told_with_its_line_and_hint(make: Callable[..., Suite]) -> None:
    """A failure of the learner's tests names their line, and the hint of the exception."""
    helper = "def half(numbers):\n    return numbers[0]\n"
    text = "from app.tests.support import half\n\n\ndef test_a():\n    half([])\n"
    (found,) = make(test_it=text, support=helper).run([RIGHT], limit=60)
    fault = found.fault
    assert fault is not None
    assert str(fault.where) == "app/tests/support.py:2  return numbers[0]"
    assert "what happens when it is empty?" in fault.hint
    assert found.summary() == "tests/test_it.py::test_a: IndexError: list index out of range"


def test_a_file_of_the_check_is_no_line_of_the_learners(make: Callable[..., Suite]) -> None:
    """An exception in a probe that a check has added names no line of it as theirs."""
    probe = Variant("probe", files={"tests/probe/test_probe.py": "def test_p():\n    [][0]\n"}, paths=("tests/probe",))
    (found,) = make(test_sum=GOOD).run([probe], limit=60)
    assert found.fault is not None
    assert found.fault.where is None


def test_a_busy_machine_gives_no_verdict(make: Callable[..., Suite], monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that got no time have shown nothing, and nothing is remembered of them."""
    monkeypatch.setattr(Stopwatch, "is_fair", lambda _self, _limit: False)
    suite = make(test_it="import time\ndef test_a():\n    time.sleep(60)\n")
    with pytest.raises(MachineBusy, match="the machine left them no time"):
        suite.run([RIGHT], limit=0.5)
    monkeypatch.setattr(Stopwatch, "is_fair", lambda _self, _limit: True)
    assert suite.run([RIGHT], limit=0.5)[0].ended == "out of time"


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
from workbook.checking.suite import Variant


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
