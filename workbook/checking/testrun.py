"""Runs of pytest on several packages at once, each in a process of its own with a time limit.

Where there is fork, the processes are children of the one that asks, which has imported everything already; elsewhere
each is `python -m workbook.checking.task`. Both write one JSON line for each thing that happens.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import selectors
import signal
import subprocess
from collections.abc import Sequence

from workbook.base.clock import Stopwatch, excuse
from workbook.base.launch import launcher
from workbook.checking.result import Ran
from workbook.checking.task import Task, perform

BUSY = "the machine was busy"
CAN_FORK = hasattr(os, "fork") and not os.environ.get("WORKBOOK_NO_FORK")


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
                perform(task, sink, self._nonce)
            finally:
                os._exit(0)
        os.close(sink)
        return source

    def _spawn(self, task: Task) -> int:
        told = json.dumps([task.name, str(task.folder), task.paths, task.added])
        command = [*launcher("workbook.checking.task"), told]
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
                    self.ran.note(message)
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
