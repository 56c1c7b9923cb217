"""A warm process that runs checks: it has imported everything but the learner's code, and forks for each check.

`python -m workbook.worker` reads a job a line from standard input and writes the results as JSON lines. Where there
is no fork, it runs one job itself and ends; the next one is started at once, so that it is warm when it is needed.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import queue
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

from workbook.conclusion import Conclusion
from workbook.course import Course
from workbook.job import LONGEST, Job, digest
from workbook.release import stub
from workbook.verdict import CheckReport, Criterion, Outcome

PRELOADED = (
    "pytest",
    "pytest_asyncio.plugin",
    "workbook.checks",
    "fastapi",
    "fastapi.middleware.cors",
    "fastapi.security",
    "httpx",
    "pydantic_settings",
    "email_validator",
    "sqlalchemy.ext.asyncio",
    "sqlalchemy.orm",
    "aiosqlite",
    "passlib.context",
    "passlib.handlers.bcrypt",
    "jose.jwt",
    "cryptography.hazmat.backends.openssl.backend",
    "python_multipart",
    "uuid",
    "decimal",
    # what the first use would import: a fork after it has them all
    "anyio._backends._asyncio",
    "pydantic.functional_serializers",
    "pydantic.v1",
    "sqlalchemy.dialects.sqlite.aiosqlite",
    "packaging.version",
    "concurrent.futures.thread",
    "resource",
    "tomllib",
    "unittest",
    "pdb",
)
GRACE, START = 3.0, 60.0
CAN_FORK = hasattr(os, "fork") and not os.environ.get("WORKBOOK_NO_FORK")


class Worker:
    """A handle on one warm process. Safe to use from several threads: jobs wait for each other.

    Args:
        root: the repository, whose tests/chapters hold the checks.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._process: subprocess.Popen[bytes] | None = None
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        self._lock = threading.Lock()
        self._folder: Path | None = None

    def warm(self) -> None:
        """Start the process without waiting for it."""
        if self._process is not None and self._process.poll() is None:
            return
        self.close()
        self._lines = queue.Queue()
        self._folder = Path(tempfile.mkdtemp(prefix="workbook-"))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "workbook.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
            env=_environment(),
            start_new_session=CAN_FORK,
        )
        reader = threading.Thread(target=_read, args=(self._process.stdout, self._lines), daemon=True)
        reader.start()

    def check(self, course: Course, exercise: str, app: Path, *, limit: float = 10.0) -> CheckReport:
        """Run the checks of one exercise on a package, in a process of its own.

        Args:
            course: the index, for title and points.
            exercise: an id such as `2.2`.
            app: the package's folder.
            limit: seconds for one test; an exercise may take three times as much.
        """
        return self._check(course, [exercise], app, limit)[0]

    def check_all(self, course: Course, exercises: list[str], app: Path, *, limit: float = 10.0) -> list[CheckReport]:
        """Run the checks of several exercises in one process; each that does not pass there is checked again alone."""
        reports = self._check(course, exercises, app, limit) if len(exercises) > 1 else []
        passed = {one.exercise: one for one in reports if one.passed}
        return [passed.get(id) or self.check(course, id, app, limit=limit) for id in exercises]

    def check_together(self, course: Course, exercises: list[str], app: Path) -> list[CheckReport]:
        """Run the checks of several exercises in one process; what does not pass there may still pass alone."""
        return self._check(course, exercises, app, 10.0)

    def _check(self, course: Course, exercises: list[str], app: Path, limit: float) -> list[CheckReport]:
        chapters = {course.exercises[id].chapter for id in exercises}
        folder = self.root / "tests" / "chapters"
        files = [path for number in sorted(chapters) for path in sorted(folder.glob(f"test_{number:02d}_*.py"))]
        job = Job(exercises=exercises, app=app, root=self.root, files=files, limit=limit)
        job.total = limit * (2 + len(exercises))
        self._mark(job)
        began = time.perf_counter()
        with self._lock:
            messages = self._run(job) if files else []
        shutil.rmtree(job.scratch, ignore_errors=True)
        seconds = (time.perf_counter() - began) / len(exercises)
        return [self._report(course, id, job, messages, seconds) for id in exercises]

    def _report(self, course: Course, id: str, job: Job, messages: list[dict[str, Any]], seconds: float) -> CheckReport:
        found = course.exercises[id]
        report = CheckReport(exercise=id, title=found.title, outcome=Outcome.BROKE, out_of=found.points)
        cell = course.chapter(found.chapter).cells[found.cell]
        report.package, report.digest, report.seconds = str(job.app), digest(job.app), seconds
        Conclusion(report, messages, job).fill(stub(cell.body, id))
        report.points = found.points if report.passed else 0
        return report

    def can_import(self, module: str, app: Path, *, limit: float = 10.0) -> Criterion:
        """Import one module of a package in a process of its own, and judge what happens."""
        job = Job(app=app, root=self.root, module=module, limit=limit, total=limit)
        self._mark(job)
        with self._lock:
            messages = self._run(job)
        report = CheckReport(exercise="", title="", outcome=Outcome.BROKE)
        return Conclusion(report, messages, job).imported()

    def _mark(self, job: Job) -> None:
        """Give a job a name that cannot be guessed and a scratch folder of its own."""
        job.nonce = secrets.token_hex(8)
        self.warm()
        assert self._folder is not None
        job.scratch = self._folder / job.nonce

    def _run(self, job: Job) -> list[dict[str, Any]]:
        self.warm()
        process = self._process
        assert process is not None
        assert process.stdin is not None
        try:
            process.stdin.write(job.model_dump_json().encode() + b"\n")
            process.stdin.flush()
        except OSError:
            self.close()
            return [{"ended": "the worker could not be started"}]
        return self._collect(job)

    def _collect(self, job: Job) -> list[dict[str, Any]]:
        """Read messages until the job's end, the deadline or the process's death."""
        deadline = time.monotonic() + max(job.total, 3 * LONGEST) + GRACE + 2 * START
        messages: list[dict[str, Any]] = []
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                self.close()
                self._replace()
                return [*messages, {"ended": "out of time"}]
            if line is None:
                self._replace()
                return [*messages, {"ended": "the process ended"}]
            message = _parse(line, job.nonce)
            if message is not None:
                messages.append(message)
                if "ended" in message:
                    self._replace()
                    return messages

    def _replace(self) -> None:
        """Where there is no fork a process serves one job: start the next one, so that it is warm in time."""
        if not CAN_FORK:
            self.close()
            self.warm()

    def close(self) -> None:
        """End the process and what it started."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(OSError):
                process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    if stream is not None:
                        stream.close()
        folder, self._folder = self._folder, None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def __enter__(self) -> Worker:
        self.warm()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _parse(line: bytes, nonce: str) -> dict[str, Any] | None:
    """Return a message that carries the job's nonce; anything else is noise."""
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) and message.get("nonce") == nonce else None


def _read(stream: IO[bytes], lines: queue.Queue[bytes | None]) -> None:
    with contextlib.suppress(ValueError, OSError):
        for line in stream:
            lines.put(line)
    lines.put(None)


def _environment() -> dict[str, str]:
    """Return the environment of a worker: nothing of the learner's but where things lie."""
    kept = ("PATH", "HOME", "LANG", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "WORKBOOK_NO_FORK", "VIRTUAL_ENV")
    found = {name: os.environ[name] for name in kept if name in os.environ}
    package = str(Path(__file__).resolve().parent.parent)
    return found | {"PYTHONUTF8": "1", "PYTHONPATH": package}


def serve() -> None:
    """Read jobs and run each one, until standard input ends."""
    from _pytest.config import default_plugins

    for name in (*PRELOADED, *(f"_pytest.{plugin}" for plugin in default_plugins)):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    from workbook.session import emitter

    gc.collect()
    gc.freeze()
    out = os.dup(1)
    for line in sys.stdin.buffer:
        job = Job.model_validate_json(line)
        if not CAN_FORK:
            _run_here(job, out)
            return
        ended = _run_forked(job, out)
        emitter(out, job.nonce)({"ended": ended})


def _run_here(job: Job, out: int) -> None:
    from workbook.session import emitter, run

    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 0)
    emit = emitter(out, job.nonce)
    run(job, emit)
    emit({"ended": "exit status 0"})


def _run_forked(job: Job, out: int) -> str:
    """Run a job in a child; return how it ended."""
    from workbook.session import emitter, run

    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(source)
            _enter_child(out)
            run(job, emitter(sink, job.nonce))
        finally:
            os._exit(0)
    os.close(sink)
    late = _relay(source, out, job)
    os.close(source)
    with contextlib.suppress(OSError):
        os.killpg(child, signal.SIGKILL)
    with contextlib.suppress(OSError):
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return "out of time" if late else _how(status)


def _how(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"signal {os.WTERMSIG(status)}"
    return f"exit status {os.WEXITSTATUS(status)}"


def _enter_child(out: int) -> None:
    """Leave the worker's session, input and output behind."""
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for handle in (0, 1, 2):
        os.dup2(null, handle)
    os.close(out)


def _relay(source: int, out: int, job: Job) -> bool:
    """Copy what a child writes until it is done; return True when it ran out of time.

    The time counts from the first check on: how long a busy machine takes to collect them is nobody's fault.
    """
    total, started, rest = job.total, False, b""
    deadline = time.monotonic() + START
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([source], [], [], left)[0]:
            continue
        data = os.read(source, 1 << 16)
        if not data:
            return False
        _write_all(out, data)
        *lines, rest = (rest + data).split(b"\n")
        for message in filter(None, (_parse(line, job.nonce) for line in lines)):
            total = max(total, message.get("total", 0.0))
            if "started" in message and not started:
                deadline, started = time.monotonic() + total + GRACE, True
            if "done" in message:
                return False
    return True


def _write_all(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]


if __name__ == "__main__":
    serve()
