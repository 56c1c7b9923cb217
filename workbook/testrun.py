"""Runs of pytest on several packages at once, each in a process of its own with a time limit.

Where there is fork, the processes are children of the one that asks, which has imported everything already; elsewhere
each is `python -m workbook.testrun`. Both write one JSON line for each thing that happens.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import secrets
import selectors
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from workbook.clock import Stopwatch, excuse
from workbook.imported import PACKAGE, Finder
from workbook.job import launcher
from workbook.package import Package
from workbook.teller import Teller, forgotten
from workbook.trail import Trail
from workbook.verdict import Fault
from workbook.wording import shortened, summary

TESTS = "tests"
# as in the course's pyproject.toml, so that a terminal and a check give one verdict
INI = """[pytest]
addopts = --import-mode=importlib --strict-markers --strict-config
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
asyncio_default_test_loop_scope = function
xfail_strict = true
filterwarnings =
    error
    ignore::pytest.PytestAssertRewriteWarning
"""
PLUGINS = ("pytest_asyncio.plugin", "anyio.pytest_plugin")
BUSY = "the machine was busy"
LEFT_OUT = ("cacheprovider", "terminal", "junitxml", "doctest", "pastebin", "faulthandler", "nbval", "workbook.checks")
CAN_FORK = hasattr(os, "fork") and not os.environ.get("WORKBOOK_NO_FORK")


@dataclass
class Ran:
    """What a run of tests gave.

    `outcomes` maps each test (`tests/test_items.py::test_create`) to passed, failed, error or skipped; `messages` maps
    those that did not pass to one line, `faults` to what raised. `broken` says what could not be collected. `ended` is
    empty when pytest came to its end; otherwise it says how the process ended.
    """

    name: str
    outcomes: dict[str, str] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)
    broken: str = ""
    ended: str = "no result"

    def count(self, outcome: str) -> int:
        """Return how many tests had an outcome."""
        return sum(found == outcome for found in self.outcomes.values())

    @property
    def good(self) -> bool:
        """Say whether everything was collected and ran, at least one test passed, and none failed."""
        return not (self.broken or self.ended or self.first) and self.count("passed") > 0

    @property
    def caught(self) -> bool:
        """Say whether a test failed, or could not be prepared: a process that died has shown nothing."""
        return bool(self.first)

    @property
    def first(self) -> str:
        """Return the first test that did not pass, or an empty string."""
        return next((id for id, outcome in self.outcomes.items() if outcome in ("failed", "error")), "")

    @property
    def fault(self) -> Fault | None:
        """Return what raised in the first test that did not pass, for `expect.that(..., fault=ran.fault)`."""
        return self.faults.get(self.first)

    def summary(self) -> str:
        """Return the result in one line."""
        if self.first:
            return f"{self.first}: {self.messages.get(self.first, 'failed')}"
        if self.broken:
            return f"your tests could not be read: {self.broken}"
        if self.ended:
            return f"your tests did not come to their end: {self.ended}"
        number = self.count("passed")
        return {0: "no test ran", 1: "1 test passed"}.get(number, f"{number} tests passed")


@dataclass(frozen=True)
class Task:
    """A folder with a package, and what pytest does there; `added` are files in it that are not the learner's."""

    name: str
    folder: Path
    paths: tuple[str, ...]
    first_failure: bool
    added: tuple[str, ...] = ()

    def arguments(self) -> list[str]:
        """Return pytest's command line."""
        left_out = [word for name in LEFT_OUT for word in ("-p", f"no:{name}")]
        paths = [str(self.folder / PACKAGE / path) for path in self.paths]
        fixed = ["-c", str(self.folder / "pytest.ini"), "--rootdir", str(self.folder / PACKAGE), "--capture=sys"]
        stop = ["-x"] if self.first_failure else []
        return [*(word for name in PLUGINS for word in ("-p", name)), *left_out, *fixed, *stop, *paths]


class Child:
    """One running process, and what it has told so far."""

    def __init__(self, task: Task, limit: float) -> None:
        self.ran, self._limit, self._excused = Ran(task.name), limit, 0.0
        self._nonce, self._rest = secrets.token_hex(8), b""
        self._process: subprocess.Popen[bytes] | None = None
        self._id = 0
        if CAN_FORK:
            self.source = self._fork(task)
        else:
            self.source = self._spawn(task)
        self._watch = Stopwatch(self._id)

    @property
    def left(self) -> float:
        """Return the seconds that are left; time in which a busy machine did not let it run does not count."""
        return self._watch.left(self._limit)

    def excuse(self) -> float:
        """Return how much time it missed since this was asked the last time."""
        before, self._excused = self._excused, self._watch.missed
        return max(0.0, self._excused - before)

    def _fork(self, task: Task) -> int:
        source, sink = os.pipe()
        self._id = os.fork()
        if self._id == 0:
            try:
                os.close(source)
                _perform(task, sink, self._nonce)
            finally:
                os._exit(0)
        os.close(sink)
        return source

    def _spawn(self, task: Task) -> int:
        told = json.dumps([task.name, str(task.folder), task.paths, task.added])
        command = [*launcher("workbook.testrun"), told]
        command += [str(int(task.first_failure)), self._nonce]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self._process.stdout is not None
        self._id = self._process.pid
        return self._process.stdout.fileno()

    def read(self) -> bool:
        """Take what has arrived; return False at the end."""
        data = os.read(self.source, 1 << 16)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            with contextlib.suppress(ValueError, TypeError, KeyError):
                message = json.loads(line)
                if message["nonce"] == self._nonce:
                    _note(self.ran, message)
        return bool(data) and self.ran.ended != ""

    def end(self, *, late: bool) -> Ran:
        """End the process and return the result."""
        if late:
            self.ran.ended = "out of time" if self._watch.is_fair(self._limit) else BUSY
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
        else:
            os.close(self.source)
            with contextlib.suppress(OSError):
                os.kill(self._id, signal.SIGKILL)
            with contextlib.suppress(OSError):
                os.waitpid(self._id, 0)
        return self.ran


def run_all(tasks: Sequence[Task], limit: float, at_once: int) -> list[Ran]:
    """Run the tasks, several at once; return the results in the tasks' order.

    Args:
        limit: seconds for one task.
        at_once: how many processes.
    """
    waiting = list(enumerate(tasks))
    found: dict[int, Ran] = {}
    with selectors.DefaultSelector() as selector:
        running: dict[int, Child] = {}
        while waiting or running:
            while waiting and len(running) < at_once:
                number, task = waiting.pop(0)
                running[number] = Child(task, limit)
                selector.register(running[number].source, selectors.EVENT_READ, number)
            until = min(child.left for child in running.values())
            ready = {key.data for key, _ in selector.select(min(until, 1.0))}
            excuse(max(child.excuse() for child in running.values()))
            for number, child in list(running.items()):
                late = child.left <= 0
                if late or (number in ready and not child.read()):
                    selector.unregister(child.source)
                    found[number] = running.pop(number).end(late=late)
    return [found[number] for number in range(len(tasks))]


def _note(ran: Ran, message: Mapping[str, Any]) -> None:
    """Enter a message; of several outcomes of one test, the first that is no pass counts."""
    if "test" in message:
        id, outcome = message["test"], message["outcome"]
        if ran.outcomes.get(id, "passed") == "passed":
            ran.outcomes[id] = outcome
            if outcome != "passed":
                ran.messages[id] = message["message"]
                if message.get("fault"):
                    ran.faults[id] = Fault.model_validate(message["fault"])
    elif "broken" in message:
        ran.broken = ran.broken or message["broken"]
    elif "done" in message:
        ran.ended = ""


def _perform(task: Task, sink: int, nonce: str) -> None:
    """Run pytest in this process, which is spent afterwards."""

    def emit(message: dict[str, Any]) -> None:
        data = (json.dumps({**message, "nonce": nonce}) + "\n").encode()
        while data:
            data = data[os.write(sink, data) :]

    for name in [name for name in sys.modules if name.split(".")[0] in (PACKAGE, "conftest")]:
        del sys.modules[name]
    Finder.point(task.folder / PACKAGE)  # the check may have imported the learner's own package by now
    sys.path.insert(0, str(task.folder))
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.chdir(task.folder)
    try:
        code = pytest.main(task.arguments(), plugins=[Teller(emit, _trail(task))])
    except BaseException as error:  # a conftest.py that raises is told, as a test that fails is
        told = forgotten(error)
        emit({"broken": told.summary if told else shortened(summary(error))})
        raise
    if code == pytest.ExitCode.USAGE_ERROR:
        emit({"broken": _why_unusable(task)})
    emit({"done": True})


def _trail(task: Task) -> Trail:
    """Return what follows exceptions to the learner's tests; files that a check added are not theirs."""
    package = Package(task.folder / PACKAGE)
    package.foreign = frozenset(task.added)
    return Trail(package, path=f"{PACKAGE}/{TESTS}/")


def _why_unusable(task: Task) -> str:
    """Say why pytest refused to begin: a path that is not there, or a conftest.py that cannot be imported."""
    missing = [path for path in task.paths if not (task.folder / PACKAGE / path.split("::")[0]).exists()]
    if missing:
        return f"there is no {PACKAGE}/{missing[0]}"
    for path in sorted((task.folder / PACKAGE / TESTS).rglob("conftest.py")):
        module = ".".join(path.relative_to(task.folder).with_suffix("").parts)
        sys.modules.pop(module, None)  # pytest leaves what it could not import
        try:
            importlib.import_module(module)
        except BaseException as error:
            return f"{PACKAGE}/{path.relative_to(task.folder / PACKAGE).as_posix()}: {type(error).__name__}: {error}"
    return "pytest could not begin"


@contextlib.contextmanager
def _silenced() -> Iterator[int]:
    """Give the standard output's handle, and point standard output itself to nowhere."""
    sink, null = os.dup(1), os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    yield sink


if __name__ == "__main__":
    name, folder, paths, added = json.loads(sys.argv[1])
    with _silenced() as handle:
        _perform(Task(name, Path(folder), tuple(paths), sys.argv[2] == "1", tuple(added)), handle, sys.argv[3])
