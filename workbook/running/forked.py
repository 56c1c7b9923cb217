"""A run in a process of its own: forked, confined, listened to until it is done or out of time, and ended for sure."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import tempfile
import time
from collections.abc import Collection
from itertools import pairwise

from workbook.base.clock import Stopwatch
from workbook.running import sandbox, wire
from workbook.running.job import GRACE, NO_TIME, OUT_OF_TIME, START, Job
from workbook.running.session import Emit, emitter


def forked(job: Job, out: int, kept: Collection[int] = ()) -> Emit | None:
    """Fork for a job.

    In the child, return what sends its messages; it has nothing but its scratch folder to write to, and must end with
    `os._exit`. In the parent, return None once the child has ended and all that it told stands in `out`.

    Args:
        out: where the messages go, and the last one, which says how the process ended.
        kept: children of this process that live on; all others are ended with the job.
    """
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        emit = emitter(sink, job.nonce)
        try:
            sandbox.die_with_parent()
            os.setsid()
            leave_streams(sink)
            confine(job)
        except OSError as error:
            emit({"broken": f"the process could not be prepared: {error}"})
            os._exit(0)
        return emit
    os.close(sink)
    early = _relay(source, out, job, child)
    os.close(source)
    with contextlib.suppress(OSError):
        os.killpg(child, signal.SIGKILL)
    with contextlib.suppress(OSError):
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    sandbox.end_descendants(kept)
    emitter(out, job.nonce)({"ended": early or _how(status), "isolation": sandbox.isolation()})
    return None


def leave_streams(*kept: int) -> None:
    """Point standard input, output and error to nowhere, and close what else was inherited but these handles."""
    null = os.open(os.devnull, os.O_RDWR)
    for handle in (0, 1, 2):
        os.dup2(null, handle)
    bounds = [2, *sorted(kept), os.sysconf("SC_OPEN_MAX") if hasattr(os, "sysconf") else 1024]
    for below, above in pairwise(bounds):
        os.closerange(below + 1, above)


def confine(job: Job) -> None:
    """Make the scratch folder the only place that can be written to, and the one for temporary files."""
    temporary = job.scratch / "tmp"
    temporary.mkdir(parents=True)
    os.chdir(temporary)
    for name in ("TMPDIR", "TEMP", "TMP"):
        os.environ[name] = str(temporary)
    tempfile.tempdir = None
    sandbox.confine(job.scratch)


def _how(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"signal {os.WTERMSIG(status)}"
    return f"exit status {os.WEXITSTATUS(status)}"


def _relay(source: int, out: int, job: Job, child: int) -> str:
    """Copy what a child tells until it is done; return why it was ended before, if it was.

    The time counts from the first check on: how long a busy machine takes to collect them is nobody's fault.
    """
    total, started, lines, watch = job.total, False, wire.Lines(), Stopwatch(child)
    deadline = time.monotonic() + START
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([source], [], [], left)[0]:
            continue
        data = os.read(source, 1 << 16)
        if not data:
            return ""
        for line in lines.add(data):
            if (message := wire.parse(line, job.nonce)) is None:
                continue
            wire.write_all(out, line + b"\n")
            total = max(total, message.get("total", 0.0))
            if "started" in message and not started:
                deadline, started, watch = time.monotonic() + total + GRACE, True, Stopwatch(child)
            if "done" in message:
                return ""
        if lines.flooded:
            return f"it sent more than {wire.ALL >> 20} MB of results"
    return OUT_OF_TIME if watch.is_fair(total) else NO_TIME
