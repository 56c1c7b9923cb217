"""A handle on the warm process that runs checks (`host`): jobs go in as JSON lines, results come out."""

from __future__ import annotations

import contextlib
import os
import queue
import secrets
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

from workbook.base.clock import LONGEST, is_busy
from workbook.base.launch import NEEDED, launcher
from workbook.base.plain import named, plain
from workbook.course.index import Course
from workbook.course.release import stub
from workbook.feedback.outcome import Outcome
from workbook.feedback.verdict import CheckReport, Criterion
from workbook.running import sandbox, wire
from workbook.running.conclusion import Conclusion
from workbook.running.job import GRACE, NO_TIME, OUT_OF_TIME, START, Job, check_files, digest
from workbook.servers import services

STDERR = "stderr.txt"
CAN_FORK = hasattr(os, "fork") and not os.environ.get("WORKBOOK_NO_FORK")


class Worker:
    """A handle on one warm process. Safe to use from several threads: jobs wait for each other.

    Args:
        root: the repository, whose tests/chapters hold the checks.
        stages: how many collections of checks the process keeps; by default those of two chapters.
    """

    def __init__(self, root: Path, stages: int | None = None) -> None:
        self.root, self._stages = root, stages
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
        with (self._folder / STDERR).open("wb") as errors:
            self._process = subprocess.Popen(
                launcher("workbook.running.host"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=self._folder,
                env=_environment() | ({"WORKBOOK_STAGES": str(self._stages)} if self._stages else {}),
                start_new_session=CAN_FORK,
            )
        reader = threading.Thread(target=_read, args=(self._process.stdout, self._lines), daemon=True)
        reader.start()

    def expect(self, chapter: int) -> None:
        """Let the process collect a chapter's checks for those that will be run; nobody waits for it."""
        job = Job(app=self.root, root=self.root, files=check_files(self.root, [chapter]), ahead=True)
        if CAN_FORK and job.files and self._lock.acquire(blocking=False):
            try:
                self.warm()
                self._send(job)
            finally:
                self._lock.release()

    def check(self, course: Course, exercise: str, app: Path, *, limit: float = 10.0) -> CheckReport:
        """Run the checks of one exercise on a package, in a process of its own.

        Args:
            course: the index, for title and points.
            exercise: an id such as `2.2`.
            app: the package's folder.
            limit: seconds for one test; an exercise may take three times as much.
        """
        return self._check(course, [exercise], app, limit)[0]

    def is_refused(self, course: Course, exercise: str, app: Path, *, limit: float = 10.0) -> CheckReport:
        """Run the checks of one exercise up to the first that does not pass: is there one?"""
        return self._check(course, [exercise], app, limit, first_failure=True)[0]

    def check_all(self, course: Course, exercises: list[str], app: Path, *, limit: float = 10.0) -> list[CheckReport]:
        """Run the checks of several exercises in one process; each that does not pass there is checked again alone."""
        reports = self._check(course, exercises, app, limit) if len(exercises) > 1 else []
        passed = {one.exercise: one for one in reports if one.passed}
        return [passed.get(id) or self.check(course, id, app, limit=limit) for id in exercises]

    def check_together(self, course: Course, exercises: list[str], app: Path) -> list[CheckReport]:
        """Run the checks of several exercises in one process; what does not pass there may still pass alone."""
        return self._check(course, exercises, app, 10.0)

    def _check(
        self, course: Course, exercises: list[str], app: Path, limit: float, *, first_failure: bool = False
    ) -> list[CheckReport]:
        files = check_files(self.root, sorted({course.exercises[id].chapter for id in exercises}))
        job = Job(exercises=exercises, app=app, root=self.root, files=files, limit=limit, first_failure=first_failure)
        job.total, job.services = limit * (2 + len(exercises)), services.provide(files)
        self._mark(job)
        before = {} if sandbox.version() else sandbox.fingerprint(self.root)
        began = time.perf_counter()
        with self._lock:
            messages = self._run(job) if files else []
        shutil.rmtree(job.scratch, ignore_errors=True)
        seconds = (time.perf_counter() - began) / len(exercises)
        reports = [self._report(course, id, job, messages, seconds) for id in exercises]
        if before and (touched := sandbox.changed(before, self.root)):
            _refuse(reports, touched)
        return reports

    def _report(self, course: Course, id: str, job: Job, messages: list[dict[str, Any]], seconds: float) -> CheckReport:
        found = course.exercises[id]
        report = CheckReport(exercise=id, title=found.title, outcome=Outcome.BROKE, out_of=found.points)
        cell = course.chapter(found.chapter).cells[found.cell]
        report.package, report.digest, report.seconds = str(job.app), digest(job.app), seconds
        Conclusion(report, messages, job).fill(stub(cell.body, id))
        report.provenance.isolation = next((one["isolation"] for one in messages if "isolation" in one), sandbox.OPEN)
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
        if not self._send(job):
            reason = self._reason()
            self.close()
            return [{"ended": f"the worker could not be started{reason}"}]
        return self._collect(job)

    def _send(self, job: Job) -> bool:
        """Give a job to the process; return False if it has ended."""
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.write(job.model_dump_json().encode() + b"\n")
            self._process.stdin.flush()
            return True
        return False

    def _reason(self) -> str:
        """Return the last of what the process wrote as an error, if anything."""
        assert self._process is not None
        assert self._folder is not None
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            self._process.wait(timeout=1)
            text = plain((self._folder / STDERR).read_bytes()[-2000:].decode("utf-8", "replace")).strip()
            return f": {text}" if text else ""
        return ""

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
                return [*messages, {"ended": NO_TIME if is_busy() else OUT_OF_TIME}]
            if line is None:
                reason = self._reason()
                self._replace()
                return [*messages, {"ended": f"the process ended{reason}"}]
            message = wire.parse(line, job.nonce)
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
            sandbox.end_tree(process.pid)
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


def _refuse(reports: list[CheckReport], touched: list[Path]) -> None:
    """Give no verdict where the files that decide it were changed meanwhile."""
    names = ", ".join(named(path) for path in touched[:3]) + (", …" if len(touched) > 3 else "")
    for report in reports:
        report.outcome, report.points = Outcome.BROKE, 0
        report.note = f"no verdict: these files of the course changed while the check ran: {names}"
        report.hint = "look at them (`git diff`, `git status`), bring back what you did not change, and check again"


def _read(stream: IO[bytes], lines: queue.Queue[bytes | None]) -> None:
    with contextlib.suppress(ValueError, OSError):
        for line in stream:
            lines.put(line)
    lines.put(None)


def _environment() -> dict[str, str]:
    """Return the environment of a worker: nothing of the learner's but where things lie."""
    kept = (*NEEDED, "WORKBOOK_NO_FORK", "WORKBOOK_NO_SANDBOX")
    found = {name: os.environ[name] for name in kept if name in os.environ}
    return found | {"PYTHONUTF8": "1", "WORKBOOK_TREE_GUARD": "off"}
