"""The target of chapter 15: a sabotaged copy of the finished app, in a process of its own, with a fresh database."""

from __future__ import annotations

import asyncio
import atexit
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx

from workbook.course import read_course
from workbook.errors import WorkbookError
from workbook.exam import run
from workbook.exam.cast import Exam
from workbook.exam.client import PREFIX, Client
from workbook.faults import FOUND_BY, POOL
from workbook.imported import PACKAGE
from workbook.sabotage import Fault, choose, edited, seed
from workbook.snapshot import Snapshot, placed, solved_before
from workbook.workspace import Workspace

CHAPTER = 15
FOLDER = "target"  # in the workspace's state folder
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

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder, self.url = folder, ""
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._scratch: Path | None = None
        self.http = httpx.AsyncClient(timeout=SECONDS, trust_env=False)
        atexit.register(self.stop)

    async def start(self) -> None:
        """Start it anew, with an empty database and a first admin.

        Raises:
            WorkbookError: it does not start; the reason is what it wrote.
        """
        self.stop()
        self._scratch = Path(tempfile.mkdtemp(prefix="workbook-target-"))
        with (self._scratch / "errors.txt").open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "workbook.serving", str(self.folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=self._scratch,
                env=self._environment(self._scratch),
            )
        port = await asyncio.to_thread(self._process.stdout.readline)  # type: ignore[union-attr]
        if not port.strip():
            said = (self._scratch / "errors.txt").read_text(encoding="utf-8", errors="replace").strip()
            raise WorkbookError(f"the app of {self.folder} does not start:\n{said[-800:]}", "repair what it names")
        self.url = f"http://127.0.0.1:{int(port)}"
        self.http.base_url = httpx.URL(f"{self.url}{PREFIX}")
        await self._answers()

    def _environment(self, scratch: Path) -> dict[str, str]:
        own = {
            "DATABASE_URL": f"sqlite:///{(scratch / 'target.db').as_posix()}",
            "SECRET_KEY": secrets.token_urlsafe(48),
            "FIRST_ADMIN_EMAIL": "root@example.com",
            "FIRST_ADMIN_PASSWORD": PASSWORD,
            "RATE_LIMIT_ENABLED": "false",
            "LOG_LEVEL": "CRITICAL",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": str(Path(__file__).parent.parent),
        }
        return {name: os.environ[name] for name in KEPT if name in os.environ} | own | self._settings

    async def _answers(self) -> None:
        """Wait until it answers."""
        async with asyncio.timeout(SECONDS):
            while True:
                with suppress(httpx.HTTPError):
                    await self.http.get(f"{self.url}/health")
                    return
                await asyncio.sleep(0.05)

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
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)

    async def close(self) -> None:
        """End the process and the connections."""
        await self.http.aclose()
        self.stop()
        atexit.unregister(self.stop)

    async def examine(self, *, limits: bool) -> run.Report:
        """Ask all criteria of the exam but the one that compares times."""
        exam = Exam(Client(self.url, SECONDS), "admin", PASSWORD, last_admin=True, limits=limits)
        return await run.run(exam, [one for one in run.CRITERIA if one.name != CLOCKED], seconds=10 * SECONDS)


class Target(Served):
    """The sabotaged copy of a learner."""

    def __init__(self, folder: Path, faults: Sequence[Fault]) -> None:
        super().__init__(folder)
        self.faults = faults

    async def verdict(self) -> str:
        """Examine the target on a fresh database; say how many faults are left, and what a repair broke."""
        await self.start()
        report = await self.examine(limits=False)
        failed = {one.criterion.name: one.criterion.text for one in report.of(run.FAILED)}
        if not await self._counts_alike():
            failed[CLOCKED] = "An unknown name costs as much work as a wrong password"
        left = [fault for fault in self.faults if failed.keys() & set(FOUND_BY[fault.name])]
        explained = {name for fault in left for name in FOUND_BY[fault.name]}
        broken = [text for name, text in failed.items() if name not in explained]
        lines = [f"{len(left)} of {len(self.faults)} faults are left"]
        why = "perhaps because of them" if left else "a repair broke it"
        lines += [f"  fails too, {why}: {text}" for text in broken]
        return "\n".join(lines)

    async def _counts_alike(self) -> bool:
        """Say whether a known and an unknown name cost the same number of hashes."""
        costs = []
        for name in ("admin", f"x{secrets.token_hex(6)}"):
            before = (await self.http.get(f"{self.url}/hashes")).text
            await self.http.post("/auth/login", data={"username": name, "password": "Wrong horse"})
            costs.append(int((await self.http.get(f"{self.url}/hashes")).text) - int(before))
        return costs[0] == costs[1]

    def repair(self, path: str, code: str, *, merge: bool) -> None:
        """Write a module of the target, as `%%app` writes one of the learner's.

        Raises:
            WorkbookError: the code is no Python, or there is no such module.
        """
        from workbook.header import Header

        target = self.folder / PACKAGE / path
        if not target.is_file() or not target.resolve().is_relative_to(self.folder.resolve()):
            raise WorkbookError(f"the target has no {path}", "name one of its modules, such as items/service.py")
        target.write_text(placed(target.read_text("utf-8"), Header(path, merge), code), encoding="utf-8", newline="\n")


_current: list[Target] = []  # the one that runs


async def sabotaged() -> Target:
    """Start this workspace's target with an empty database; whoever has repaired it gets it repaired."""
    workspace = Workspace.at()
    faults = list(choose(POOL, _seed(workspace)).values())
    folder = workspace.state_dir / FOLDER
    if not (folder / PACKAGE / "main.py").is_file():
        course = read_course(workspace.root, workspace.state_dir / "cache")
        files = solved_before(course, CHAPTER).files
        files = {path: text for path, text in files.items() if not path.startswith("tests/")}
        Snapshot(edited(files, [edit for fault in faults for edit in fault.edits])).write(folder)
    target = _current.pop() if _current else Target(folder, faults)
    _current.append(target)
    await target.start()
    return target


def _seed(workspace: Workspace) -> str:
    """Return the workspace's own seed; the solved notebooks all have the same one."""
    return "course" if workspace.app_dir == workspace.solutions / PACKAGE else seed(workspace.state_dir)


def current() -> Target:
    """Return the target that runs.

    Raises:
        WorkbookError: none does.
    """
    if not _current:
        raise WorkbookError("no target runs", "run `target = await sabotaged()` first")
    return _current[0]


@asynccontextmanager
async def served(**settings: str) -> AsyncIterator[Served]:
    """Serve a copy of the learner's own app with an empty database, for as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix="workbook-own-", ignore_cleanup_errors=True) as name:
        Snapshot.read(Workspace.at().app_dir).write(Path(name))
        own = Served(Path(name), **settings)
        try:
            await own.start()
            yield own
        finally:
            await own.close()


async def examined() -> str:
    """Send the learner's own app through the black-box exam; say in one line, or in several, how it went."""
    async with served(RATE_LIMIT_ENABLED="true") as own:
        report = await own.examine(limits=True)
    failed = [one for one in report.results if one.outcome != run.PASSED and not one.chosen]
    lines = [f"exam: {'passed' if report.passed else 'not passed'}, {len(report.of(run.PASSED))} criteria pass"]
    lines += [f"  {one.criterion.exercise} {one.criterion.text}: {one.got}" for one in failed]
    return "\n".join(lines)
