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
from typing import Any, NamedTuple

import pytest

from workbook import expect
from workbook.base.clock import MachineBusy, Stopwatch, longest
from workbook.base.plain import plain_of
from workbook.base.wording import count
from workbook.checking import memo
from workbook.checking.judge import Judge
from workbook.checking.marker import criterion_text, id_of, limit_of
from workbook.checking.package import Package
from workbook.checking.state import state_of
from workbook.feedback.outcome import Outcome
from workbook.feedback.verdict import Criterion
from workbook.running.job import LATE, Job
from workbook.running.output import Kept, capture
from workbook.running.wire import write_all

PLUGINS = ("pytest_asyncio.plugin", "workbook.checking.plugin")
LEFT_OUT = ("cacheprovider", "capture", "terminal", "logging", "junitxml", "doctest", "pastebin", "faulthandler")
GARBAGE = ("unraisableexception", "threadexception")  # they collect it at the end: a fourth of a check's time
Emit = Callable[[dict[str, Any]], None]


class Running(NamedTuple):
    """What the end of a run needs: what the process has printed, and where its messages go."""

    output: Kept
    emit: Emit


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
        config.option.maxfail = int(self._job.first_failure)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Send the criteria that are about to be checked."""
        self.announce(session)

    def announce(self, session: pytest.Session) -> None:
        """Send the criteria that are about to be checked."""
        self._session = session
        sys.dont_write_bytecode = True
        items = [item for item in session.items if id_of(item)]
        state = state_of(session.config)
        state.sink = self._criterion
        found = [{"id": item.nodeid, "text": criterion_text(item), "exercise": id_of(item)} for item in items]
        attempts = {id: str(state.attempt(id)) for id in {id_of(item) for item in items}}
        most = max((limit_of(item) or self._job.limit for item in items), default=0.0)
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
        with _alarm(limit_of(item) or self._job.limit):
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
    output = prepare(job)
    code: int = pytest.ExitCode.OK
    if job.module:
        emit({"criterion": _import(job).model_dump(mode="json")})
    else:
        chosen = ["--app", str(job.app), "--exercise", ",".join(job.exercises)]
        code = pytest.main([*arguments(job), *chosen], plugins=[Reporter(job, emit)])
    conclude(code, output, emit)


def prepare(job: Job) -> Kept:
    """Bound this process, and give it a job's environment; return what it will have printed."""
    memo.remember()
    output = capture()
    _limit_memory(job.memory)
    os.environ.update(job.services | environment(job))
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda _raised: None
    threading.excepthook = lambda _raised: None
    return output


def conclude(code: int, output: Kept, emit: Emit) -> None:
    """Send how pytest came to its end, what was printed, and that all is done."""
    if code == pytest.ExitCode.INTERNAL_ERROR:  # never the learner's doing
        emit({"crashed": f"pytest ended with an internal error\n{output.text()}"})
    elif code == pytest.ExitCode.USAGE_ERROR:
        emit({"unusable": f"pytest could not begin\n{output.text()}"})
    emit({"done": True, "output": output.text(), "tampered": tampered()})


def environment(job: Job) -> dict[str, str]:
    """Return what pytest and its plugins need of the environment."""
    return {"WORKBOOK_ROOT": str(job.root), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # no plugin but PLUGINS


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


def arguments(job: Job) -> list[str]:
    """Return pytest's command line for the check files of a job."""
    plugins = [word for name in PLUGINS for word in ("-p", name)]
    left_out = [word for name in (*LEFT_OUT, *GARBAGE) for word in ("-p", f"no:{name}")]
    fixed = ["-c", str(job.root / "pyproject.toml"), "--rootdir", str(job.root)]
    fixed += ["-o", "addopts=--import-mode=importlib", "-o", "filterwarnings=ignore"]
    return [*plugins, *left_out, *fixed, *map(str, job.files)]


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
