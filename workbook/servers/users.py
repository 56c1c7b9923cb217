"""The processes that use a server, each a file that is named after its number.

A number is used again after a process has ended, so that the file also says when its process began.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path


class Users:
    """The processes that use one server.

    Args:
        folder: where their files lie.
        stop: called when a process that registered ends.
    """

    def __init__(self, folder: Path, stop: Callable[[], None]) -> None:
        self.folder, self._stop = folder, stop

    def register(self) -> None:
        """Write this process down as a user, until it ends."""
        mine = self.folder / str(os.getpid())
        if not _lives(mine):
            mine.write_text(str(_born(os.getpid())), encoding="utf-8")
            atexit.register(self._leave, os.getpid())

    def remove(self) -> None:
        """Take this process out."""
        (self.folder / str(os.getpid())).unlink(missing_ok=True)

    def any_lives(self) -> bool:
        """Say whether a process that registered still lives; forget those that do not."""
        gone = [path for path in self.folder.iterdir() if not _lives(path)]
        for path in gone:
            path.unlink(missing_ok=True)
        return any(self.folder.iterdir())

    def _leave(self, process: int) -> None:
        """Stop at the end of the process that registered; a fork of it has nothing to stop."""
        if process == os.getpid():
            with contextlib.suppress(OSError, sqlite3.Error, subprocess.SubprocessError):
                self._stop()


def _lives(path: Path) -> bool:
    """Say whether the process that a file is named after lives; another may have its number by now."""
    try:
        return abs(float(path.read_text(encoding="utf-8")) - _born(int(path.name))) < 2
    except (OSError, ValueError):
        return False


def _born(process: int) -> float:
    """Return how many seconds after the machine started a process began, which no change of the clock moves."""
    import psutil

    try:
        return float(psutil.Process(process).create_time() - psutil.boot_time())
    except psutil.Error:
        return 0.0
