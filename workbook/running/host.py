"""The warm process behind a Worker: it has imported everything but the learner's code, and forks for each job.

`python -m workbook.running.host` reads a job a line from standard input and writes the results as JSON lines. A job's
checks are collected in a fork of its own, a `stage`, which stays for the next jobs on the same files. What is not
imported yet is imported while no job waits. Where there is no fork, it runs one job itself and ends; the next one is
started at once, so that it is warm when needed.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import select
from collections import deque

from workbook.checking.state import course_of
from workbook.running import forked, sandbox, wire
from workbook.running.job import Job, key_of
from workbook.running.session import emitter, run
from workbook.running.stage import Stage

PRELOADED = (
    "pytest",
    "pytest_asyncio.plugin",
    "workbook.checking.plugin",
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
STAGES = 2  # a chapter's checks, and another's: each is a process, and takes about 20 MB


def serve() -> None:
    """Read jobs and run each one, until standard input ends."""
    sandbox.adopt()
    host = Host(os.dup(1))
    while (job := host.next()) is not None:
        if not CAN_FORK:
            host.run_here(job)
            return
        host.serve(job)


class Host:
    """What one warm process holds: its orders, what is still to be imported, and its stages, the newest last.

    Args:
        out: where the results go.
    """

    def __init__(self, out: int) -> None:
        from _pytest.config import default_plugins

        self._out, self._lines, self._waiting = out, wire.Lines(), deque[bytes]()
        self._missing = deque([*PRELOADED, *(f"_pytest.{plugin}" for plugin in default_plugins)])
        self._stages: list[Stage] = []
        self._ahead: Job | None = None

    def next(self) -> Job | None:
        """Return the next job; prepare for it until it comes. None means that there will be no more."""
        while True:
            while not self._waiting:
                if CAN_FORK and self._is_unprepared() and not select.select([0], [], [], 0)[0]:
                    self._prepare()
                elif not (data := os.read(0, 1 << 16)):
                    return None
                else:
                    self._waiting += self._lines.add(data)
            job = Job.model_validate_json(self._waiting.popleft())
            if not job.ahead:
                return job
            self._ahead = job

    def _is_unprepared(self) -> bool:
        return bool(self._missing) or self._ahead is not None

    def _prepare(self) -> None:
        """Do the next thing that spares a job time: import a module, or collect the checks that are expected."""
        if self._missing:
            self._import(self._missing.popleft())
        elif self._ahead is not None:
            job, self._ahead = self._ahead, None
            self._stage(job)

    def _import(self, name: str) -> None:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
        if not self._missing:
            while self._stages:  # they lack what was imported since
                self._stages.pop().close()
            gc.collect()
            gc.freeze()

    def run_here(self, job: Job) -> None:
        """Run a job in this process, which is spent afterwards."""
        while self._missing:
            self._import(self._missing.popleft())
        forked.leave_streams(self._out)
        emit = emitter(self._out, job.nonce)
        forked.confine(job)
        run(job, emit)
        emit({"ended": "exit status 0", "isolation": sandbox.isolation()})

    def serve(self, job: Job) -> None:
        """Run a job in a fork of its stage; where it has none, in a fork of this process."""
        stage = self._stage(job) if job.files else None
        if stage is None:
            if emit := forked.forked(job, self._out, [one.process for one in self._stages]):
                try:
                    run(job, emit)
                finally:
                    os._exit(0)
        elif not stage.run(job):
            self._stages.remove(stage)
            stage.close()
            sandbox.end_descendants([one.process for one in self._stages])
            emitter(self._out, job.nonce)({"ended": "the process that collects the checks ended"})

    def _stage(self, job: Job) -> Stage | None:
        """Return what has collected a job's checks as they are now; None if they cannot be collected."""
        key = key_of(job.root, job.files)
        found = next((one for one in self._stages if one.key == key), None)
        if found is None:
            with contextlib.suppress(Exception):  # a course that cannot be read is told by who checks it
                course_of(job.root)  # each stage shares it then
            gc.freeze()
            found = Stage(job, key, self._out)
            if not found.ready:
                found.close()
                return None
        else:
            self._stages.remove(found)
        self._stages.append(found)
        while len(self._stages) > int(os.environ.get("WORKBOOK_STAGES") or STAGES):
            self._stages.pop(0).close()
        return found


if __name__ == "__main__":
    serve()
