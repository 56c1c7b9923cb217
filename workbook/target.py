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
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx

from workbook.course import read_course
from workbook.errors import WorkbookError
from workbook.exam import run
from workbook.exam.cast import Exam
from workbook.exam.client import PREFIX, Client
from workbook.faults import POOL
from workbook.header import Header
from workbook.imported import PACKAGE
from workbook.sabotage import Fault, choose, edited, seed
from workbook.snapshot import Snapshot, placed, solved_before
from workbook.tally import told
from workbook.trouble import Trouble
from workbook.workspace import Workspace

CHAPTER = 15
FOLDER = "target"  # in the workspace's state folder
AT_FIRST, REPAIRED = "at_first.txt", "repaired"  # notes in its folder
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
                [sys.executable, "-m", "workbook.serving", str(self.folder)],
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
            "PYTHONPATH": str(Path(__file__).parent.parent),
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


class Target(Served):
    """The sabotaged copy of a learner."""

    what = "the target"

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
        passed = {one.criterion.name for one in report.of(run.PASSED)} | {CLOCKED} - failed.keys()
        return told([fault.name for fault in self.faults], failed, passed, self._at_first(failed))

    def _at_first(self, failed: Collection[str]) -> Collection[str] | None:
        """Return what failed before the first repair, and note it as long as there is none; None if nobody looked."""
        note = self.folder / AT_FIRST
        if not (self.folder / REPAIRED).exists():
            note.write_text("\n".join(sorted(failed)), encoding="utf-8")
        return note.read_text(encoding="utf-8").splitlines() if note.exists() else None

    async def _counts_alike(self) -> bool:
        """Say whether a known and an unknown name cost the same number of hashes."""
        costs = []
        for name in ("admin", f"x{secrets.token_hex(6)}"):
            before = (await self.http.get(f"{self.url}/hashes")).text
            await self.http.post("/auth/login", data={"username": name, "password": "Wrong horse"})
            costs.append(int((await self.http.get(f"{self.url}/hashes")).text) - int(before))
        return costs[0] == costs[1]

    def source(self, path: str = "") -> str:
        """Return the text of one of the target's modules, or the list of them.

        Raises:
            Trouble: there is no such module.
        """
        package = Snapshot.read(self.folder / PACKAGE).files
        if not path:
            return "\n".join(sorted(package))
        if path.removeprefix("app/") not in package:
            raise Trouble(f"the target has no {path}", "`print(target.source())` lists its modules")
        return package[path.removeprefix("app/")]

    def repair(self, path: str, code: str, *, merge: bool) -> None:
        """Write a module of the target, as `%%app` writes one of the learner's.

        Raises:
            WorkbookError: the code is no Python, or there is no such module.
        """
        target = self.folder / PACKAGE / path
        if not target.is_file() or not target.resolve().is_relative_to(self.folder.resolve()):
            raise Trouble(f"the target has no {path}", "name one of its modules, such as items/service.py")
        try:
            text = placed(target.read_text("utf-8"), Header(path, merge), code)
        except WorkbookError as error:  # it speaks of the learner's own app
            raise WorkbookError(str(error).replace(f"{PACKAGE}/{path}", f"the target's {path}")) from None
        (self.folder / REPAIRED).touch()
        target.write_text(text, encoding="utf-8", newline="\n")


_current: list[Target] = []  # the one that runs


async def sabotaged(*, anew: bool = False) -> Target:
    """Start this workspace's target with an empty database; whoever has repaired it gets it repaired.

    Args:
        anew: write the target's code again, with all its faults; repairs are lost.
    """
    workspace = Workspace.at()
    faults = list(choose(POOL, _seed(workspace)).values())
    folder = workspace.state_dir / FOLDER
    if anew or not (folder / PACKAGE / "main.py").is_file():
        _write(workspace, faults, folder)
    target = _current.pop() if _current else Target(folder, faults)
    _current.append(target)
    await target.start()
    return target


def _write(workspace: Workspace, faults: Sequence[Fault], folder: Path) -> None:
    """Write the finished app with its faults, whole or not at all."""
    course = read_course(workspace.root, workspace.state_dir / "cache")
    files = solved_before(course, CHAPTER).files
    files = {path: text for path, text in files.items() if not path.startswith("tests/")}
    fresh = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    Snapshot(edited(files, [edit for fault in faults for edit in fault.edits])).write(fresh)
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def _seed(workspace: Workspace) -> str:
    """Return the workspace's own seed; the solved notebooks all have the same one."""
    return "course" if workspace.app_dir == workspace.solutions / PACKAGE else seed(workspace.state_dir)


def current() -> Target:
    """Return the target that runs.

    Raises:
        Trouble: none does.
    """
    if not _current:
        raise Trouble("no target runs", "run `target = await sabotaged()` first")
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
