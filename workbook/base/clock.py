"""How much time a process really had: on a busy machine that is less than the clock on the wall says."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

LONGEST = 25.0  # seconds that a test may ask for
PATIENCE, LEAST = 3.0, 20.0  # how many times its limit, and how many seconds more, while it gets no processor
BUSY = "the machine was busy, and left this check no time; run it again"
_excused = 0.0


def excuse(seconds: float) -> None:
    """Count time in which others, for whom this process waits, got no processor, as such time of its own."""
    global _excused  # noqa: PLW0603 - one process, one clock
    _excused += seconds


def longest(limit: float) -> float:
    """Return the seconds on the wall that a process with this limit may take."""
    return max(PATIENCE * limit, limit + LEAST)


class MachineBusy(BaseException):
    """Code did not end, and the machine gave it no time to: that is no verdict on it."""


def queued(process: int | str = "self") -> float:
    """Return the seconds that a process was ready to run and got no processor, as far as the system says."""
    return _counted(process, 1) + (_excused if process == "self" else 0.0)


def _counted(process: int | str, column: int) -> float:
    """Return what the system counts for the threads of a process: 0, the seconds at work; 1, those in the queue."""
    found = 0
    for thread in _threads(process):
        with suppress(OSError, ValueError, IndexError):  # it has ended since, or this system does not count
            found += int((thread / "schedstat").read_text().split()[column])
    return found / 1e9


def _threads(process: int | str) -> list[Path]:
    try:
        return list(Path(f"/proc/{process}/task").iterdir())
    except OSError:
        return []


def _share() -> float:
    """Return which part of a processor a process can expect to get, from the load, where nothing better is known."""
    with suppress(AttributeError, OSError):
        return min(1.0, (os.cpu_count() or 1) / max(1.0, os.getloadavg()[0]))
    return 1.0


def is_busy() -> bool:
    """Say whether the machine has more than twice as much to do as it can."""
    return _share() < 0.5


class Stopwatch:
    """Measures the time that a process had, from now on.

    Args:
        process: its number; by default this one.
    """

    def __init__(self, process: int | str = "self") -> None:
        self._process = process
        self._began, self._used, self._queued = time.monotonic(), self._work(), queued(process)
        self._counts = bool(_threads(process))

    @property
    def passed(self) -> float:
        """Return the seconds on the wall."""
        return time.monotonic() - self._began

    @property
    def used(self) -> float:
        """Return the seconds at work."""
        return self._work() - self._used

    def _work(self) -> float:
        return time.process_time() if self._process == "self" else _counted(self._process, 0)

    @property
    def missed(self) -> float:
        """Return the seconds in which it could have run, and did not get a processor."""
        passed = self.passed
        if not self._counts:
            return (1.0 - _share()) * passed
        return min(passed, max(0.0, queued(self._process) - self._queued))

    def left(self, limit: float) -> float:
        """Return the seconds that are left of a limit; 0 when it had them, or its patience is at an end."""
        passed = self.passed
        return max(0.0, min(limit - (passed - self.missed), longest(limit) - passed))

    def is_fair(self, limit: float) -> bool:
        """Say whether it had its time: all of it, or at least half of it at work."""
        return self.passed - self.missed >= 0.99 * limit or self.used >= limit / 2
