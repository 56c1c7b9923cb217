"""A process that has collected checks serves any job on them, as they are now, and lives on whatever a job does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workbook.conftest import HEALTH, MAIN, PackageMaker
from workbook.course.index import Course
from workbook.feedback import report
from workbook.feedback.outcome import Outcome
from workbook.running import sandbox
from workbook.running.host import CAN_FORK, STAGES
from workbook.running.worker import Worker

pytestmark = pytest.mark.skipif(not CAN_FORK, reason="a stage is a fork")
GOOD = 'return {"status": "ok"}'
BAD = 'return {"status": "no"}'


@pytest.fixture
def worker(root: Path) -> Iterator[Worker]:
    """A worker of the test's own, whose stages can be counted."""
    with Worker(root) as one:
        yield one


def app_with(package: PackageMaker, body: str) -> Path:
    """Return a package whose health endpoint has a body."""
    return package(MAIN, HEALTH.format(body=body))


def stages(worker: Worker) -> list[int]:
    """Return the processes that the worker's host has started, and that live."""
    assert worker._process is not None
    return sorted(sandbox.children(worker._process.pid))


def test_one_process_serves_all_jobs_on_the_same_checks(course: Course, worker: Worker, package: PackageMaker) -> None:
    """Packages and exercises change from job to job; what has collected the checks stays."""
    assert worker.check(course, "0.1", app_with(package, GOOD)).passed
    first = stages(worker)
    assert len(first) == 1
    assert worker.check(course, "0.1", app_with(package, BAD)).outcome is Outcome.WRONG
    assert worker.check(course, "0.2", app_with(package, GOOD)).outcome is Outcome.NOT_ATTEMPTED
    assert worker.check(course, "0.1", app_with(package, GOOD)).passed
    assert stages(worker) == first


def test_changed_checks_are_collected_anew(course: Course, worker: Worker, root: Path, package: PackageMaker) -> None:
    """A check file that was edited counts as it is now, and so does one that cannot be read any more."""
    app, checks = app_with(package, GOOD), root / "tests" / "chapters" / "test_00_demo.py"
    text = checks.read_text(encoding="utf-8")
    assert worker.check(course, "0.1", app).passed
    checks.write_text(text.replace('"ok"', '"fine"'), encoding="utf-8")
    assert "fine" in report.text(worker.check(course, "0.1", app))
    checks.write_text("import nowhere\n" + text, encoding="utf-8")
    broken = worker.check(course, "0.1", app)
    assert broken.outcome is Outcome.BROKE
    assert "nowhere" in broken.note
    checks.write_text(text, encoding="utf-8")
    assert worker.check(course, "0.1", app).passed
    assert len(stages(worker)) <= STAGES


@pytest.mark.parametrize(
    "body",
    [
        "import os, signal; os.kill(os.getppid(), signal.SIGKILL)",
        "import os; os._exit(3)",
        "import os\n    for handle in range(3, 200):\n        try: os.write(handle, b'.\\n')\n        except OSError: pass",
    ],
    ids=["kills what started it", "ends at once", "writes into every handle"],
)
def test_the_next_job_is_served_whatever_the_last_one_did(
    course: Course, worker: Worker, package: PackageMaker, body: str
) -> None:
    """A job that harms its process, or tries to harm the one behind it, never passes; the next one is judged rightly."""
    hostile = worker.check(course, "0.1", app_with(package, f"{body}\n    return 1"))
    assert hostile.outcome in (Outcome.RAISED, Outcome.WRONG, Outcome.BROKE)
    assert worker.check(course, "0.1", app_with(package, GOOD)).passed
    assert worker.check(course, "0.1", app_with(package, BAD)).outcome is Outcome.WRONG


LEAVING = """import os, sys, pathlib
    mine, file = str(os.getpid()), pathlib.Path("left")
    seen = {os.environ.get("LEFT", mine), sys.modules.get("left", mine), file.read_text() if file.exists() else mine}
    os.environ["LEFT"] = sys.modules["left"] = mine
    file.write_text(mine)
    return {"status": "ok" if seen == {mine} else "seen"}"""


def test_nothing_of_one_job_is_seen_by_the_next(course: Course, worker: Worker, package: PackageMaker) -> None:
    """Modules, environment and files of a job are gone with its process."""
    for _ in range(3):
        found = worker.check(course, "0.1", app_with(package, LEAVING))
        assert found.passed, report.text(found)


def test_a_mutant_is_checked_up_to_the_first_failure(course: Course, worker: Worker, package: PackageMaker) -> None:
    """Whether something refuses it is all that is asked; what passes is checked whole."""
    assert worker.is_refused(course, "0.1", app_with(package, GOOD)).passed
    whole = worker.check(course, "0.1", app_with(package, BAD))
    short = worker.is_refused(course, "0.1", app_with(package, BAD))
    assert short.outcome is whole.outcome is Outcome.WRONG
    assert short.criteria[0].got == whole.criteria[0].got


def test_expected_checks_are_collected_ahead(course: Course, worker: Worker, package: PackageMaker) -> None:
    """What a notebook's kernel expects is collected before the first check, which then finds it; nobody waits."""
    worker.expect(0)
    worker.expect(77)
    until = time.monotonic() + 60
    while not (ready := stages(worker)) and time.monotonic() < until:
        time.sleep(0.05)
    assert worker.check(course, "0.1", app_with(package, GOOD)).passed
    assert stages(worker) == ready
