"""A process in which pytest has collected some check files once, and which forks for each run of them.

Collecting takes longer than many a check: reading the files, and pytest's own preparation. What was collected holds
none of the learner's code, so a fork of it can run any job on these files.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal

import pytest

from workbook.checking.state import chosen, state_of
from workbook.running import forked, sandbox, session
from workbook.running.job import Job, Key
from workbook.running.wire import Lines, write_all

READY, OVER = b"+", b"."


class Stage:
    """A handle on the process; it runs nothing before it is told to.

    `ready` says whether pytest could collect the files.

    Args:
        job: a job on the files that it collects.
        key: what `key_of` says of them.
        out: where the results of each job go.
    """

    def __init__(self, job: Job, key: Key, out: int) -> None:
        self.key = key
        orders, self._orders = os.pipe()
        self._answers, answers = os.pipe()
        self.process = os.fork()
        if self.process == 0:
            try:
                os.close(self._orders)
                os.close(self._answers)
                _perform(job, Loop(orders, answers, out))
            finally:
                os._exit(0)
        os.close(orders)
        os.close(answers)
        self.ready = os.read(self._answers, 1) == READY

    def run(self, job: Job) -> bool:
        """Run a job; return False if the process did not come to the job's end, and can run no other."""
        with contextlib.suppress(OSError):
            write_all(self._orders, job.model_dump_json().encode() + b"\n")
            return os.read(self._answers, 1) == OVER
        return False

    def close(self) -> None:
        """End the process."""
        for handle in (self._orders, self._answers):
            os.close(handle)
        with contextlib.suppress(OSError):
            os.kill(self.process, signal.SIGKILL)
        with contextlib.suppress(OSError):
            os.waitpid(self.process, 0)


class Loop:
    """A pytest plugin that waits for jobs in place of running what was collected, and forks for each.

    Args:
        orders: where jobs come from, one a line.
        answers: where it says that it is ready, and that a job is over.
        out: where the messages of each job go.
    """

    def __init__(self, orders: int, answers: int, out: int) -> None:
        self._orders, self._answers, self._out = self.handles = orders, answers, out
        self._broken: list[str] = []
        self.running: session.Running | None = None  # in a fork: the job that it is for

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep what could not be collected: each job is told."""
        if report.failed:
            self._broken.append(str(report.longrepr)[-2000:])

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Serve jobs until there are no more; in the fork for one, go on to pytest's own loop."""
        gc.collect()
        gc.freeze()
        os.write(self._answers, READY)
        lines = Lines()
        while data := os.read(self._orders, 1 << 16):
            for line in lines.add(data):
                job = Job.model_validate_json(line)
                if emit := forked.forked(job, self._out):
                    self._begin(session, job, emit)
                    return
                os.write(self._answers, OVER)
        os._exit(0)

    def _begin(self, collected: pytest.Session, job: Job, emit: session.Emit) -> None:
        """Choose a job's checks among those that were collected, and announce them."""
        self.running = session.Running(session.prepare(job), emit)
        state = state_of(collected.config)
        state.begin(job.app, job.exercises)
        collected.items[:] = chosen(collected.items, state)
        collected.testscollected = len(collected.items)
        reporter = session.Reporter(job, emit)
        collected.config.pluginmanager.register(reporter)
        for text in self._broken:
            emit({"broken": text})
        reporter.announce(collected)


def _perform(job: Job, loop: Loop) -> None:
    """Collect and serve; a fork for a job comes back from pytest once its checks are over."""
    sandbox.die_with_parent()
    sandbox.adopt()
    forked.leave_streams(*loop.handles)
    os.environ.update(session.environment(job))
    code = pytest.main(session.arguments(job), plugins=[loop])
    if loop.running is not None:
        session.conclude(code, *loop.running)
