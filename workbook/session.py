"""One run of an exercise's checks inside a process of its own: limits, pytest, and results as JSON lines."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from workbook import checks, expect
from workbook.clock import MachineBusy, Stopwatch, longest
from workbook.job import LATE, Job
from workbook.judge import Judge
from workbook.outcome import Outcome
from workbook.output import capture
from workbook.package import Package
from workbook.plain import plain_of
from workbook.verdict import Criterion
from workbook.wire import write_all
from workbook.wording import count

PLUGINS = ("pytest_asyncio.plugin", "workbook.checks")
LEFT_OUT = ("cacheprovider", "capture", "terminal", "logging", "junitxml", "doctest", "pastebin", "faulthandler")
GARBAGE = ("unraisableexception", "threadexception")  # they collect it at the end: a fourth of a check's time
ALONE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # no plugin but those named here
Emit = Callable[[dict[str, Any]], None]


class TimeExceeded(BaseException):
    """A check did not end within its limit; raised inside the code that runs too long."""


class Reporter:
    """A pytest plugin that sends what happens, as it happens, so that nothing is lost when the process dies."""

    def __init__(self, job: Job, emit: Emit) -> None:
        self._job, self._emit = job, emit
        self._session: pytest.Session | None = None

    def pytest_configure(self, config: pytest.Config) -> None:
        """Format no tracebacks: the judge reads the exceptions, and nine tenths of a failure's time would go there."""
        config.option.tbstyle = "native"

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Send the criteria that are about to be checked."""
        self._session = session
        sys.dont_write_bytecode = True
        items = [item for item in session.items if checks.id_of(item)]
        state = checks.state_of(session.config)
        state.sink = self._criterion
        found = [
            {"id": item.nodeid, "text": checks.criterion_text(item), "exercise": checks.id_of(item)} for item in items
        ]
        attempts = {id: str(state.attempt(id)) for id in {checks.id_of(item) for item in items}}
        most = max((checks.limit_of(item) or self._job.limit for item in items), default=0.0)
        total = max(self._job.total, 3 * most) + longest(most) - most  # one of them may have to wait for a busy machine
        self._emit({"collected": found, "attempts": attempts, "total": total})

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Send a check file that cannot be collected: that is never the learner's fault."""
        if report.failed:
            self._emit({"broken": str(report.longrepr)[-2000:]})

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Announce a test and bound its time."""
        self._emit({"started": item.nodeid})
        with _alarm(checks.limit_of(item) or self._job.limit):
            return (yield)

    def _criterion(self, criterion: Criterion) -> None:
        if (criterion.got.startswith(LATE) or criterion.outcome is Outcome.LATE) and self._session is not None:
            self._session.shouldstop = "out of time"
        self._emit({"criterion": criterion.model_dump(mode="json")})


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raise TimeExceeded in the running code once it had `seconds`, where the system has alarms.

    Time in which a busy machine did not let it run does not count, up to a bound; beyond it MachineBusy is raised.
    """
    if not hasattr(signal, "setitimer"):
        yield
        return
    watch = Stopwatch()

    def ring(_number: int, _frame: object) -> None:
        if left := watch.left(seconds):
            signal.setitimer(signal.ITIMER_REAL, max(left, 0.05))
        elif watch.is_fair(seconds):
            raise TimeExceeded(f"{LATE} {count(seconds, 'second')}")
        else:
            lost = f"of {count(watch.passed, 'second')} it got no processor for {watch.missed:.0f}"
            raise MachineBusy(f"{LATE} {count(seconds, 'second')}: {lost}")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run(job: Job, emit: Emit) -> None:
    """Run the checks of one exercise in this process, which is spent afterwards."""
    output = capture()
    _limit_memory(job.memory)
    os.environ.update(job.services | {"WORKBOOK_ROOT": str(job.root)} | ALONE)
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda _raised: None
    threading.excepthook = lambda _raised: None
    if job.module:
        emit({"criterion": _import(job).model_dump(mode="json")})
    else:
        code = pytest.main(_arguments(job), plugins=[Reporter(job, emit)])
        if code == pytest.ExitCode.INTERNAL_ERROR:  # never the learner's doing
            emit({"crashed": f"pytest ended with an internal error\n{output.text()}"})
        elif code == pytest.ExitCode.USAGE_ERROR:
            emit({"unusable": f"pytest could not begin\n{output.text()}"})
    emit({"done": True, "output": output.text(), "tampered": tampered()})


def collect(job: Job) -> None:
    """Collect a job's checks and run none: what pytest keeps of them is there then for processes that may not write."""
    os.environ.update(ALONE)
    pytest.main([*_arguments(job), "--collect-only"])


def _import(job: Job) -> Criterion:
    """Import one module of the package, as the check of a freshly written file."""
    # a module rewritten within a second, with the same size, would be taken from its old bytecode
    sys.dont_write_bytecode = True
    package = Package(job.app)
    error: BaseException | None = None
    try:
        with _alarm(job.limit):
            package.load(job.module)
    except BaseException as raised:  # whatever the learner's code raises is told, not passed on
        error = raised
    return Judge(package).judge(job.module, f"app.{job.module} can be imported", 0.0, error)


def _arguments(job: Job) -> list[str]:
    plugins = [word for name in PLUGINS for word in ("-p", name)]
    left_out = [word for name in (*LEFT_OUT, *GARBAGE) for word in ("-p", f"no:{name}")]
    fixed = ["-c", str(job.root / "pyproject.toml"), "--rootdir", str(job.root)]
    fixed += ["-o", "addopts=--import-mode=importlib", "-o", "filterwarnings=ignore"]
    chosen = ["--app", str(job.app), "--exercise", ",".join(job.exercises), "--basetemp", str(job.scratch / "checks")]
    return [*plugins, *left_out, *fixed, *chosen, *map(str, job.files)]


def _limit_memory(size: int) -> None:
    """Bound the address space and the size of a written file, where the system can."""
    try:
        import resource
    except ImportError:
        return
    for kind, bound in ((resource.RLIMIT_AS, size), (resource.RLIMIT_FSIZE, 64 << 20), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(kind, (bound, bound))


class _EqualToAll:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = object.__hash__


def tampered() -> str:
    """Return what was made harmless in the checking itself, by tests that must fail; empty when all is well."""
    must_fail: dict[str, Callable[[], object]] = {
        "expect.equal": lambda: expect.equal(_EqualToAll(), 1),
        "expect.that": lambda: expect.that(_EqualToAll()),
        "assert": lambda: exec(compile("assert 1 == 2", "canary", "exec"), {}),
    }
    for name, call in must_fail.items():
        try:
            call()
        except AssertionError:
            continue
        except Exception as error:
            return f"{name} raised {error!r}"
        return f"{name} accepted a wrong answer"
    return _judge_canary()


def _judge_canary() -> str:
    """Judge a wrong answer through the same code that judges the learner's."""
    judge = Judge(Package(Path()))
    judged = judge.judge("canary", "canary", 0.0, expect.Wrong(did="canary"))
    return "" if judged.outcome is Outcome.WRONG else "a wrong answer was judged as right"


def emitter(handle: int, nonce: str) -> Emit:
    """Return a function that writes one JSON line to a file descriptor at once."""

    def emit(message: dict[str, Any]) -> None:
        write_all(handle, (json.dumps({**plain_of(message), "nonce": nonce}) + "\n").encode())

    return emit
