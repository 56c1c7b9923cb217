"""`workbook demo` as people start it: a process of its own, interrupted with Ctrl-C, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 600  # seconds: only a process that hangs needs them, also on a busy machine


@contextmanager
def demo(folder: Path, port: int = 0, settings: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """Run the command in a folder; interrupt it at the end, and kill what does not obey, with all that it started."""
    # a background job of a shell ignores Ctrl-C, and so does what it starts
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    command = [sys.executable, "-m", "workbook.cli", "demo", "--port", str(port)]
    started = subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | dict(settings or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield started
        if started.poll() is None:
            started.send_signal(signal.SIGINT)
        started.communicate(timeout=PATIENCE)
    finally:
        if started.poll() is None:
            os.killpg(started.pid, signal.SIGKILL)
            started.communicate()
