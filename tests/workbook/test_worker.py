"""The worker: the five outcomes, and code that tries to take the check down with it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.workbook.conftest import HEALTH, MAIN, PackageMaker
from workbook.base import engine
from workbook.course.index import Course, read_course
from workbook.feedback import report
from workbook.feedback.outcome import Outcome
from workbook.running.host import CAN_FORK
from workbook.running.worker import Worker


def health(package: PackageMaker, body: str) -> Path:
    """Return an app whose `GET /health` runs `body`."""
    return package(MAIN, HEALTH.replace("{body}", body.replace("\n", "\n    ")))


GOOD = 'return {"status": "ok"}'


def test_a_right_answer_passes_with_its_points(course: Course, worker: Worker, package: PackageMaker) -> None:
    """A right answer is passed and earns the exercise's points."""
    found = worker.check(course, "0.1", health(package, GOOD))
    assert (found.outcome, found.points, found.out_of) == (Outcome.PASSED, 2, 2)
    assert len(found.digest) == 64


def test_a_wrong_answer_speaks_http(course: Course, worker: Worker, package: PackageMaker) -> None:
    """The feedback names the request, the answer, what was expected, why, the learner's line and one hint."""
    found = worker.check(course, "0.1", health(package, 'return {"status": "OK"}'))
    assert found.outcome is Outcome.WRONG
    text = report.text(found)
    for part in (
        "0.1 A route: wrong (1 of 2 criteria fails)",
        "GET /health",
        "got: the body {'status': 'OK'}",
        "expected: the body {'status': 'ok'}",
        "why: a monitor reads the body",
        "your code: app/main.py:",
        "replay: await client.get('/health')",
        "hint: return the dict",
    ):
        assert part in text


@pytest.mark.skipif(not CAN_FORK, reason="a process that checks may write there itself")
def test_the_checks_are_compiled_once(course: Course, root: Path, package: PackageMaker) -> None:
    """What pytest compiles of the checks is kept by the first check, for those that may not write, and used again."""
    app, folder = health(package, GOOD), root / "tests" / "chapters" / "__pycache__"
    with Worker(root) as worker:
        worker.check(course, "0.1", app)
        kept = {path: path.stat().st_mtime_ns for path in folder.glob("test_00_*-pytest-*.pyc")}
        assert len(kept) == 1, sorted(folder.iterdir()) if folder.is_dir() else "nothing was kept"
        worker.check(course, "0.1", app)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_the_stub_is_not_attempted(course: Course, worker: Worker, package: PackageMaker) -> None:
    """A stub that raises NotImplementedError is not attempted, not wrong."""
    found = worker.check(course, "0.1", health(package, 'raise NotImplementedError("exercise 0.1")'))
    assert found.outcome is Outcome.NOT_ATTEMPTED
    assert found.points == 0
    assert found.hint.startswith("the cell is still as it was given: write your code where it says `# YOUR CODE HERE`")


def test_what_is_not_attempted_tells_what_is_asked_only(course: Course, worker: Worker, package: PackageMaker) -> None:
    """An untouched stub shows its criteria: what fails, and the hints for it, would tell what to write."""
    text = report.text(worker.check(course, "0.1", health(package, 'raise NotImplementedError("exercise 0.1")')))
    assert "not yet GET /health gives 200" in text
    for part in ("got:", "why:", "your code:", "replay:", "NotImplementedError", "add the route"):
        assert part not in text


def test_a_missing_module_is_not_attempted(course: Course, worker: Worker, package: PackageMaker) -> None:
    """Where nothing was written yet, the exercise is not attempted."""
    assert worker.check(course, "0.1", package()).outcome is Outcome.NOT_ATTEMPTED


def test_a_planted_bug_is_not_attempted_but_shown(course: Course, worker: Worker, package: PackageMaker) -> None:
    """Planted code that nobody touched is not attempted, and the feedback still shows what fails."""
    found = worker.check(
        course, "0.2", package("%%app numbers.py\ndef add(a: int, b: int) -> int:\n    return a - b\n")
    )
    assert found.outcome is Outcome.NOT_ATTEMPTED
    text = report.text(found)
    assert "got: -1" in text
    assert "hint: the cell is still as it was given: change it" in text
    for part in ("use +", "sums are for adding", "your code:"):
        assert part not in text


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return nope", "NameError: name 'nope' is not defined"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("import os; os._exit(0)", "your code ended the whole process (exit status 0)"),
        ("import os; os.kill(os.getpid(), 9)", "your code ended the whole process (signal 9)"),
        ("x = bytearray(4 << 30); return {}", "MemoryError"),
        ("return health()", "RecursionError"),
        ("import asyncio; return asyncio.sleep(0)", "put `await` before the call"),
        ("return asyncio.sleep", "NameError: name 'asyncio' is not defined"),
        ("return 3()", "is a pair of brackets too many?"),
        ('if 1 == 2: return\nraise NotImplementedError("exercise 0.1")', "a part of this exercise is still as it was"),
        ('raise NotImplementedError("exercise 0.2")', "write exercise 0.2 first"),
        ("class Mute(Exception):\n    def __str__(self): pass\nraise Mute", "its message cannot be read"),
        ("raise KeyboardInterrupt", "your code ended the whole process"),
    ],
)
def test_code_that_raises(course: Course, worker: Worker, package: PackageMaker, body: str, said: str) -> None:
    """Whatever the learner's code does to its process, the outcome is "your code raised" and says what it was."""
    if body == "return health()":
        body = "return await health()"
    found = worker.check(course, "0.1", health(package, body))
    assert found.outcome is Outcome.RAISED, report.text(found)
    assert said in report.text(found)


def test_an_endless_loop_ends_at_the_limit(course: Course, worker: Worker, package: PackageMaker) -> None:
    """An endless loop is stopped within its limit, its line is named, and the worker goes on."""
    app = health(package, "while True:\n    pass")
    found = worker.check(course, "0.1", app, limit=1.0)
    assert found.outcome is Outcome.RAISED
    assert "it did not end within 1 second" in report.text(found)
    assert "app/main.py" in str(found.criteria[0].where)
    assert worker.check(course, "0.1", health(package, GOOD)).passed


@pytest.mark.parametrize("waiting", ["pass", "time.sleep(60)"])
def test_a_loop_that_swallows_everything_is_killed(
    course: Course, worker: Worker, package: PackageMaker, waiting: str
) -> None:
    """A loop that catches even the alarm is ended from outside; the verdict comes, also where it sleeps meanwhile."""
    body = f"import time\nwhile True:\n    try:\n        while True: {waiting}\n    except BaseException: pass"
    found = worker.check(course, "0.1", health(package, body), limit=0.5)
    assert found.outcome is Outcome.RAISED
    assert "did not end" in report.text(found)


def test_fifty_megabytes_of_output_are_cut(course: Course, worker: Worker, package: PackageMaker) -> None:
    """A print of 50 MB changes no verdict and does not reach the report."""
    found = worker.check(course, "0.1", health(package, f'print("x" * 50_000_000); {GOOD}'))
    assert found.passed
    assert len(found.output) < 2000
    assert "more characters" in found.output


def test_a_forgotten_await_is_named(course: Course, worker: Worker, package: PackageMaker) -> None:
    """A coroutine that nobody awaited is said first, though Python only warns."""
    body = 'import asyncio\nasyncio.sleep(0)\nreturn {"status": "late"}'
    found = worker.check(course, "0.1", health(package, body))
    assert "`sleep` was called without `await`" in found.hint
    body = "import asyncio\nasyncio.sleep(0)\nassert 1 == 2"
    found = worker.check(course, "0.1", health(package, body))
    assert found.outcome is Outcome.RAISED
    assert "`sleep` was called without `await`" in found.hint


def test_a_request_without_an_answer_is_told(course: Course, worker: Worker, package: PackageMaker) -> None:
    """A middleware that swallows the request is a wrong answer with its request, not a bare AssertionError."""
    mute = """
class Mute:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)


app.add_middleware(Mute)
"""
    app = package(MAIN, HEALTH.replace("{body}", GOOD), f"%%app main.py --merge\n{mute}")
    found = worker.check(course, "0.1", app)
    assert found.outcome is Outcome.WRONG, report.text(found)
    for part in ("GET /health", "got: no answer", "hint: does every way through your middleware await the next app"):
        assert part in report.text(found)


def test_an_import_that_raises(course: Course, worker: Worker, package: PackageMaker) -> None:
    """A module that raises on import is the learner's to repair, with the line."""
    found = worker.check(
        course, "0.2", package('%%app numbers.py\ndef add(a, b): return a\n\nraise ValueError("boom")\n')
    )
    assert found.outcome is Outcome.RAISED
    assert "ValueError: boom" in report.text(found)
    assert "app/numbers.py:3" in report.text(found)


def test_a_missing_name_is_explained(course: Course, worker: Worker, package: PackageMaker) -> None:
    """A name that the check needs and the module lacks is not attempted as long as nothing of it is there."""
    found = worker.check(course, "0.2", package("%%app numbers.py\nx = 1\n"))
    assert found.outcome is Outcome.NOT_ATTEMPTED


@pytest.mark.parametrize(
    "trick",
    [
        "import workbook.expect as e; e.equal = lambda *a, **k: None",
        "import workbook.expect as e; e.same = lambda *a: True",
        "import workbook.checking.judge as c; c.Judge._fill = lambda *a: None",
    ],
)
def test_tampering_is_seen(course: Course, worker: Worker, package: PackageMaker, trick: str) -> None:
    """A submission that makes the checks harmless gets no points."""
    found = worker.check(course, "0.2", package(f"%%app numbers.py\n{trick}\ndef add(a, b): return 7\n"))
    assert not found.passed
    assert found.points == 0


def test_equal_to_everything_is_wrong(course: Course, worker: Worker, package: PackageMaker) -> None:
    """An object that claims to be equal to everything does not pass."""
    code = "%%app numbers.py\nclass All:\n    def __eq__(self, other): return True\ndef add(a, b): return All()\n"
    assert worker.check(course, "0.2", package(code)).outcome is Outcome.WRONG


def test_no_check_collected_is_an_error(root: Path, course: Course, worker: Worker, package: PackageMaker) -> None:
    """An exercise without any check is the course's fault, never a pass."""
    (root / "tests/chapters/test_00_demo.py").write_text("", encoding="utf-8")
    found = worker.check(course, "0.1", health(package, GOOD))
    assert found.outcome is Outcome.BROKE
    assert "no check was collected" in found.note


def test_a_broken_check_is_not_the_learners_fault(
    root: Path, course: Course, worker: Worker, package: PackageMaker
) -> None:
    """A check that raises by itself is told as such, and so is a check file that cannot be read."""
    checks = root / "tests/chapters/test_00_demo.py"
    kept = checks.read_text(encoding="utf-8")
    checks.write_text(kept.replace("add = load", '{}["no"]\n    add = load'), encoding="utf-8")
    app = package("%%app numbers.py\ndef add(a, b): return a + b\n")
    assert worker.check(course, "0.2", app).outcome is Outcome.BROKE
    checks.write_text("def (:", encoding="utf-8")
    assert worker.check(course, "0.2", app).outcome is Outcome.BROKE


SHARED = '''"""What checks share."""

from workbook import expect


def adds(load, *numbers):
    """Expect a sum."""
    add = load("numbers").add
    if add(*numbers) is None:
        raise expect.Wrong(got="None", hint="use return", at=add)
    expect.equal(add(*numbers).real, sum(numbers), hint="use +", at=add)
'''


def share(root: Path) -> Path:
    """Let the check of 0.2 ask a function of a package that checks share; return the package's module."""
    module, settings = engine.shared(root) / "sums.py", root / "pyproject.toml"
    module.parent.mkdir()
    (module.parent / "__init__.py").write_text("", encoding="utf-8")
    module.write_text(SHARED, encoding="utf-8")
    settings.write_text(settings.read_text(encoding="utf-8") + 'pythonpath = ["tests/chapters"]\n', encoding="utf-8")
    checks = root / "tests/chapters/test_00_demo.py"
    text = checks.read_text(encoding="utf-8").replace('add = load("numbers").add', "adds(load, 2, 3)")
    text = "\n".join(line for line in text.split("\n") if "expect.equal" not in line)
    checks.write_text(f"from course_checks.sums import adds\n{text}", encoding="utf-8")
    return module


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("return a - b", ["got: -1", "expected: 5", "your code: app/numbers.py:1", "hint: use +"]),
        ("pass", ["got: None", "your code: app/numbers.py:1", "hint: use return"]),
        ("return 'five'", ["the check cannot go on at `expect.equal(add(*numbers).real", "app/numbers.py:1"]),
        ("return a / 0", ["ZeroDivisionError", "app/numbers.py:1"]),
    ],
)
def test_what_checks_share_speaks_as_a_check_does(
    root: Path, course: Course, worker: Worker, package: PackageMaker, body: str, told: list[str]
) -> None:
    """Feedback of a function in the shared package names the learner's line, and never the check's own."""
    share(root)
    text = report.text(worker.check(course, "0.2", package(f"%%app numbers.py\ndef add(a, b): {body}\n")))
    assert [part for part in told if part not in text] == [], text
    assert "sums.py" not in text
    assert "test_00" not in text


def test_what_checks_share_is_the_checks_own_fault(
    root: Path, course: Course, worker: Worker, package: PackageMaker
) -> None:
    """What a shared function raises by itself is reported as such; a change of it is seen at the next check."""
    module, app = share(root), package("%%app numbers.py\ndef add(a, b): return a + b\n")
    assert worker.check(course, "0.2", app).passed
    module.write_text(SHARED.replace("add = load", 'raise OSError("no")\n    add = load'), encoding="utf-8")
    assert worker.check(course, "0.2", app).outcome is Outcome.BROKE


@pytest.mark.skipif(not CAN_FORK, reason="a process that checks may write there itself")
def test_what_checks_share_is_compiled_once(root: Path, course: Course, worker: Worker, package: PackageMaker) -> None:
    """The bytecode of what a chapter's checks use of the shared package is kept by the first check."""
    module, app = share(root), package("%%app numbers.py\ndef add(a, b): return a + b\n")
    assert worker.check(course, "0.2", app).passed
    kept = {path: path.stat().st_mtime_ns for path in (module.parent / "__pycache__").glob("*.pyc")}
    assert len(kept) == 2
    assert worker.check(course, "0.2", app).passed
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    module.write_text(SHARED.replace("Expect a sum", "Expect the sum"), encoding="utf-8")
    assert worker.check(course, "0.2", app).passed
    assert {path: path.stat().st_mtime_ns for path in kept} != kept


def test_the_learners_environment_stays_outside(
    course: Course, worker: Worker, package: PackageMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A secret in the caller's environment and files in the caller's folder are not seen by the checked code."""
    monkeypatch.setenv("SECRET_KEY", "hidden")
    body = "import os\nassert 'SECRET_KEY' not in os.environ\nassert os.listdir('.') == []\n" + GOOD
    assert worker.check(course, "0.1", health(package, body)).passed


def test_the_worker_restarts_after_its_death(course: Course, worker: Worker, package: PackageMaker) -> None:
    """When the warm process is killed, the next check starts a new one."""
    app = health(package, GOOD)
    assert worker.check(course, "0.1", app).passed
    assert worker._process is not None
    worker._process.kill()
    worker._process.wait()
    assert worker.check(course, "0.1", app).passed


def test_without_fork_the_verdicts_are_the_same(
    course: Course, root: Path, package: PackageMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no fork, a fresh process serves each check and the next one is started ahead."""
    monkeypatch.setenv("WORKBOOK_NO_FORK", "1")
    monkeypatch.setattr("workbook.running.worker.CAN_FORK", False)
    with Worker(root) as spawned:
        assert spawned.check(course, "0.1", health(package, GOOD)).passed
        assert spawned._process is not None
        assert spawned.check(course, "0.1", health(package, "import os; os._exit(0)")).outcome is Outcome.RAISED
        assert spawned.check(course, "0.1", health(package, "return {}")).outcome is Outcome.WRONG


def test_can_import_judges_a_module(worker: Worker, package: PackageMaker) -> None:
    """The import of one module is judged in a process of its own."""
    app = package("%%app good.py\nx = 1\n", "%%app bad.py\nimport sys\nsys.exit()\n")
    assert worker.can_import("good", app).outcome is Outcome.PASSED
    assert worker.can_import("bad", app).outcome is Outcome.RAISED


def test_nothing_is_left_behind(course: Course, root: Path, package: PackageMaker) -> None:
    """A closed worker leaves no process and no file."""
    with Worker(root) as made:
        made.check(course, "0.1", health(package, GOOD))
        assert made._process is not None
        assert made._folder is not None
        pid, folder = made._process.pid, made._folder
    assert not folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


REPLAYED = """
import sys
from fastapi import FastAPI
from workbook import expect
from workbook.checks import exercise


@exercise("0.1")
class TestReplay:
    async def test_own(self, client):
        \"\"\"The app itself\"\"\"
        expect.status(await client.get("/none"), 200)

    async def test_known(self, connect):
        \"\"\"Another app, a path that the app has\"\"\"
        async with connect(FastAPI()) as client:
            expect.status(await client.get("/health"), 200)

    async def test_unknown(self, connect):
        \"\"\"Another app, a path that only it has\"\"\"
        async with connect(FastAPI()) as client:
            expect.status(await client.get("/probe"), 200)
"""


def test_only_what_the_notebook_can_send_is_replayed(root: Path, worker: Worker, package: PackageMaker) -> None:
    """A request to an app of the check's own is shown for replay only where the learner's app has such a path."""
    (root / "tests/chapters/test_00_demo.py").write_text(REPLAYED, encoding="utf-8")
    found = worker.check(read_course(root), "0.1", health(package, GOOD))
    assert [one.exchange.replay for one in found.criteria if one.exchange] == [True, True, False]


def test_an_internal_error_is_no_fault_of_the_learner(root: Path, worker: Worker, package: PackageMaker) -> None:
    """When pytest itself breaks, the check broke, and what it said is shown."""
    conftest = root / "tests/chapters/conftest.py"
    conftest.write_text("def pytest_runtest_call(item):\n    pass\n\ndef pytest_runtest_protocol(item):\n    1 / 0\n")
    found = worker.check(read_course(root), "0.1", health(package, GOOD))
    assert found.outcome is Outcome.BROKE
    assert "internal error" in found.note
