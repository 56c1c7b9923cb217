"""The target of chapter 15: a sabotaged copy of the finished app, in a process of its own, with a fresh database."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from workbook.base.errors import WorkbookError
from workbook.base.trouble import Trouble
from workbook.checking.finder import PACKAGE
from workbook.course.index import read_course
from workbook.course.snapshot import Snapshot, placed, solved_before
from workbook.exam import run
from workbook.learner.workspace import Workspace
from workbook.merge.header import Header
from workbook.practice.faults import POOL
from workbook.practice.sabotage import Fault, choose, edited, seed
from workbook.practice.server import CLOCKED, Served
from workbook.practice.tally import told

CHAPTER = 15
FOLDER = "target"  # in the workspace's state folder
AT_FIRST, REPAIRED = "at_first.txt", "repaired"  # notes in its folder


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
