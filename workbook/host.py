"""The warm process behind a Worker: it has imported everything but the learner's code, and forks for each job.

`python -m workbook.host` reads a job a line from standard input and writes the results as JSON lines. Where there is no
fork, it runs one job itself and ends; the next one is started at once, so that it is warm when it is needed.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import select
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from workbook import sandbox, wire
from workbook.job import GRACE, START, Job

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
    "alembic.command",
    "alembic.config",
    "alembic.autogenerate",
    "asyncpg",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "redis.asyncio",
    "redis.asyncio.retry",
    "limits.aio.storage",
    "limits.aio.strategies",
    "aiosmtplib",
    "starlette.middleware.gzip",
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
CAN_FORK = hasattr(os, "fork") and not os.environ.get("WORKBOOK_NO_FORK")


def serve() -> None:
    """Read jobs and run each one, until standard input ends."""
    from _pytest.config import default_plugins

    for name in (*PRELOADED, *(f"_pytest.{plugin}" for plugin in default_plugins)):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    from workbook.session import emitter

    sandbox.adopt()
    gc.collect()
    gc.freeze()
    out = os.dup(1)
    for line in sys.stdin.buffer:
        job = Job.model_validate_json(line)
        if not CAN_FORK:
            _run_here(job, out)
            return
        if job.files and not _kept(job):
            _fork_and_wait(lambda job=job: _collect(job))  # type: ignore[misc]
        ended = _run_forked(job, out)
        emitter(out, job.nonce)({"ended": ended, "isolation": sandbox.isolation()})


def _run_here(job: Job, out: int) -> None:
    from workbook.session import emitter, run

    _leave_streams()
    emit = emitter(out, job.nonce)
    _confine(job)
    run(job, emit)
    emit({"ended": "exit status 0", "isolation": sandbox.isolation()})


def _kept(job: Job) -> bool:
    """Say whether pytest has kept the checks' bytecode: a process that may not write would make it at every check."""
    import pytest

    tail = f"{sys.implementation.cache_tag}-pytest-{pytest.__version__}.pyc"
    conftests = (job.root / "tests" / "conftest.py", job.root / "tests" / "chapters" / "conftest.py")
    for path in [*job.files, *filter(Path.is_file, conftests)]:
        try:
            found, kept = path.stat(), (path.parent / "__pycache__" / f"{path.stem}.{tail}").read_bytes()[8:16]
        except OSError:
            return False
        if kept != (int(found.st_mtime) & 0xFFFFFFFF).to_bytes(4, "little") + found.st_size.to_bytes(4, "little"):
            return False
    return True


def _collect(job: Job) -> None:
    """Let pytest keep the checks' bytecode, and the course's index: none of the learner's code runs here."""
    from workbook.session import collect

    _leave_streams()
    collect(job)


def _fork_and_wait(call: Callable[[], None]) -> None:
    child = os.fork()
    if child == 0:
        try:
            call()
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def _run_forked(job: Job, out: int) -> str:
    """Run a job in a child; return how it ended."""
    from workbook.session import emitter, run

    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(source)
            sandbox.die_with_parent()
            os.setsid()
            _leave_streams()
            os.close(out)
            _confine(job)
            run(job, emitter(sink, job.nonce))
        except OSError as error:
            emitter(sink, job.nonce)({"broken": f"the process could not be prepared: {error}"})
        finally:
            os._exit(0)
    os.close(sink)
    early = _relay(source, out, job)
    os.close(source)
    with contextlib.suppress(OSError):
        os.killpg(child, signal.SIGKILL)
    with contextlib.suppress(OSError):
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    sandbox.end_descendants()
    return early or _how(status)


def _how(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"signal {os.WTERMSIG(status)}"
    return f"exit status {os.WEXITSTATUS(status)}"


def _leave_streams() -> None:
    """Point standard input, output and error to nowhere."""
    null = os.open(os.devnull, os.O_RDWR)
    for handle in (0, 1, 2):
        os.dup2(null, handle)


def _confine(job: Job) -> None:
    """Make the scratch folder the only place that can be written to, and the one for temporary files."""
    temporary = job.scratch / "tmp"
    temporary.mkdir(parents=True)
    os.chdir(temporary)
    for name in ("TMPDIR", "TEMP", "TMP"):
        os.environ[name] = str(temporary)
    tempfile.tempdir = None
    sandbox.confine(job.scratch)


def _relay(source: int, out: int, job: Job) -> str:
    """Copy what a child tells until it is done; return why it was ended before, if it was.

    The time counts from the first check on: how long a busy machine takes to collect them is nobody's fault.
    """
    total, started, lines = job.total, False, wire.Lines()
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
                deadline, started = time.monotonic() + total + GRACE, True
            if "done" in message:
                return ""
        if lines.flooded:
            return f"it sent more than {wire.ALL >> 20} MB of results"
    return "out of time"


if __name__ == "__main__":
    serve()
