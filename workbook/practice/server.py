"""A package served in a process of its own, with an empty database: an app that can be asked and examined."""

from __future__ import annotations

import asyncio
import atexit
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import httpx

from workbook.base import engine
from workbook.base.trouble import Trouble
from workbook.exam import run
from workbook.exam.cast import Exam
from workbook.exam.client import PREFIX, Client

PASSWORD = "Correct horse"  # the first admin's, on this machine only
SECONDS = 60.0  # that a start may take on a busy machine
CLOCKED = "equal_work"  # a criterion that compares times; a counter says it better
KEPT = ("PATH", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR", "LANG", "VIRTUAL_ENV")


class Served:
    """A package's app in a process of its own.

    Args:
        folder: it has the package `app`.
        settings: more environment variables.
    """

    what = "your app"

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder, self.url = folder, ""
        self._settings, self._key = settings, ""
        self._process: subprocess.Popen[bytes] | None = None
        self._scratch: Path | None = None
        self.http = httpx.AsyncClient(timeout=SECONDS, trust_env=False)
        atexit.register(self.stop)

    async def start(self) -> None:
        """Start it anew, with an empty database and a first admin.

        Raises:
            Trouble: it does not start; the reason is what it wrote.
        """
        self.stop()
        self._scratch, self._key = Path(tempfile.mkdtemp(prefix="workbook-target-")), secrets.token_urlsafe(48)
        with (self._scratch / "errors.txt").open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "workbook.practice.serving", str(self.folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=self._scratch,
                env=self._environment(),
            )
        port = await asyncio.to_thread(self._process.stdout.readline)  # type: ignore[union-attr]
        if not port.strip():
            raise self._ended()
        self.url = f"http://127.0.0.1:{int(port)}"
        self.http.base_url = httpx.URL(f"{self.url}{PREFIX}")
        await self._answers()

    def _environment(self) -> dict[str, str]:
        own = {
            "DATABASE_URL": f"sqlite:///{self.database.as_posix()}",
            "SECRET_KEY": self._key,
            "FIRST_ADMIN_EMAIL": "root@example.com",
            "FIRST_ADMIN_PASSWORD": PASSWORD,
            "RATE_LIMIT_ENABLED": "false",
            "LOG_LEVEL": "CRITICAL",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": str(engine.FOLDER.parent),
        }
        return {name: os.environ[name] for name in KEPT if name in os.environ} | own | self._settings

    async def _answers(self) -> None:
        """Wait until it answers."""
        try:
            async with asyncio.timeout(SECONDS):
                while self._process is not None and self._process.poll() is None:
                    with suppress(httpx.HTTPError):
                        await self.http.get(f"{self.url}/health")
                        return
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise Trouble(f"{self.what} does not answer within {SECONDS:.0f} seconds", "run the cell again") from None
        raise self._ended()

    def _ended(self) -> Trouble:
        """Return the error of a process that has ended at once: the end of what it wrote."""
        said = (self.scratch / "errors.txt").read_text(encoding="utf-8", errors="replace").strip()
        said = said.replace(f"{self.folder}{os.sep}", "")
        return Trouble(f"{self.what} does not start:\n{said[-800:]}", "repair what the last lines name")

    @property
    def database(self) -> Path:
        """The file of its SQLite database."""
        return self.scratch / "target.db"

    @property
    def scratch(self) -> Path:
        """The folder of this run.

        Raises:
            Trouble: it was not started.
        """
        if self._scratch is None:
            raise Trouble(f"{self.what} does not run", "start it first")
        return self._scratch

    def stop(self) -> None:
        """End the process, and forget its database."""
        process, self._process = self._process, None
        if process is not None:
            for stream in (process.stdin, process.stdout):
                with suppress(OSError):
                    stream.close()  # type: ignore[union-attr]
            with suppress(subprocess.TimeoutExpired):
                process.wait(8)
            if process.poll() is None:
                process.kill()
                process.wait()
        scratch, self._scratch = self._scratch, None
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)

    async def close(self) -> None:
        """End the process and the connections."""
        await self.http.aclose()
        self.stop()
        atexit.unregister(self.stop)

    async def examine(self, *, limits: bool, only: Collection[str] = (), signs: bool = False) -> run.Report:
        """Ask all criteria of the exam but the one that compares times.

        Args:
            limits: whether the app limits tries.
            only: the criteria of some exercises, where there are any.
            signs: whether the exam knows the key, and can sign tokens that are wrong in another way.
        """
        key = self._key if signs else ""
        exam = Exam(Client(self.url, SECONDS), "admin", PASSWORD, key, last_admin=True, limits=limits)
        chosen = [one for one in run.CRITERIA if one.name != CLOCKED and (not only or one.exercise in only)]
        return await run.run(exam, chosen, seconds=10 * SECONDS)
