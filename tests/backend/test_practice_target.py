"""The target of chapter 15: made once for each workspace, repaired, examined; and what a notebook does to it."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.backend.conftest import APP_DIR
from tests.notebook import Notebook
from workbook.base.errors import WorkbookError
from workbook.base.trouble import Trouble
from workbook.course.index import read_course
from workbook.course.snapshot import Snapshot, solved_before
from workbook.exam.run import CRITERIA
from workbook.learner.workspace import Workspace
from workbook.practice import server, target
from workbook.practice.faults import FOUND_BY, POOL
from workbook.practice.sabotage import SEED, choose, copy
from workbook.practice.target import current, examined, sabotaged, served

ROOT = Path(__file__).parents[2]
SEEDS = [str(number) for number in range(200)]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the state folder of a workspace of its own; what was started in it is stopped."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("WORKBOOK_APP", str(copy(APP_DIR / "app", tmp_path / "own") / "app"))
    monkeypatch.setenv("WORKBOOK_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(target, "_current", [])
    yield tmp_path / "state"
    for one in target._current:
        one.stop()


def finished() -> dict[str, str]:
    """Return the modules of the finished app, as they are before chapter 15."""
    return solved_before(read_course(ROOT, ROOT / ".workbook" / "cache"), target.CHAPTER).files


def with_fault(topic: str, name: str) -> str:
    """Return a seed that chooses a fault."""
    return next(seed for seed in SEEDS if choose(POOL, seed)[topic].name == name)


def planted(state: Path, seed: str) -> None:
    """Let a workspace have a seed that is known."""
    state.mkdir(parents=True)
    (state / SEED).write_text(seed, encoding="utf-8")


async def gone(url: str) -> bool:
    """Say whether nothing answers any more."""
    async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
        try:
            await client.get(f"{url}/health")
        except httpx.TransportError:
            return True
    return False


def test_one_target_for_all_cells(workspace: Path) -> None:
    """A second start gives the same target, with the same code, an empty database and no process left of the first."""

    async def use() -> None:
        first = await sabotaged()
        assert first is current()
        seed, code, url = (workspace / SEED).read_text("utf-8"), Snapshot.read(first.folder / "app").files, first.url
        body = {"email": "ada@example.com", "username": "ada", "password": "Correct horse"}
        assert (await first.http.post("/auth/register", json=body)).status_code == 201
        second = await sabotaged()
        assert second is first
        assert (workspace / SEED).read_text("utf-8") == seed
        assert Snapshot.read(second.folder / "app").files == code
        assert (await second.http.post("/auth/register", json=body)).status_code == 201, "the database is empty"
        form = {"username": "admin", "password": server.PASSWORD}
        assert (await second.http.post("/auth/login", data=form)).status_code == 200
        assert second.url == url or await gone(url)
        last = second.url
        await second.close()
        assert await gone(last)

    asyncio.run(use())


def test_the_seed_decides_which_faults(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The target is the finished app with the edits of the workspace's own faults; another workspace has others."""

    async def use() -> dict[str, str]:
        made = await sabotaged()
        chosen = choose(POOL, (Path(os.environ["WORKBOOK_STATE"]) / SEED).read_text("utf-8").strip())
        assert [fault.name for fault in made.faults] == [fault.name for fault in chosen.values()]
        found = Snapshot.read(made.folder / "app").files
        whole = finished()
        edited = {path for fault in chosen.values() for path, _old, _new in fault.edits}
        assert {path for path in edited if found[path] != whole[path]} == edited
        assert all(
            found[path] == text for path, text in whole.items() if path not in edited | {"tests"} and path in found
        )
        assert not [path for path in found if path.startswith("tests/")]
        await made.close()
        return found

    planted(workspace, SEEDS[0])
    one = asyncio.run(use())
    monkeypatch.setattr(target, "_current", [])
    monkeypatch.setenv("WORKBOOK_STATE", str(tmp_path / "other"))
    planted(tmp_path / "other", SEEDS[1])
    assert asyncio.run(use()) != one


def test_the_solved_notebooks_have_one_seed(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the solutions gets the same faults as everybody, and no seed is made."""
    monkeypatch.setenv("WORKBOOK_APP", str(ROOT / "solutions/app"))
    assert target._seed(Workspace.at()) == "course"
    assert not (workspace / SEED).exists()


def test_the_verdict_follows_the_repair(workspace: Path) -> None:
    """All eight are left; then seven; then none; a repair that closes a door is told; `anew` brings all eight back."""
    planted(workspace, with_fault("objects", "anybody's item by its id"))
    whole = finished()

    async def use() -> None:
        made = await sabotaged()
        assert (await made.verdict()).splitlines()[0] == "8 of 8 faults are left"
        right = (
            "class ItemService:\n"
            + re.findall(
                r"    async def get\(self, item_id.*?(?=\n    async def )", whole["items/service.py"], re.DOTALL
            )[0]
        )
        made.repair("items/service.py", right, merge=True)
        assert (await made.verdict()).splitlines()[0] == "7 of 8 faults are left"
        made.repair("items/service.py", right.replace("*self.visible()", "Item.owner_id == self.user.id"), merge=True)
        broken = [line for line in (await made.verdict()).splitlines() if "a repair broke it" in line]
        assert broken, "while faults are left, what a repair broke is told apart"
        made.repair("items/service.py", right, merge=True)
        again = await sabotaged()
        assert (await again.verdict()).splitlines()[0] == "7 of 8 faults are left", "a repair stays"
        for path in {path for fault in made.faults for path, _old, _new in fault.edits}:
            made.repair(path, whole[path], merge=False)
        assert (await made.verdict()).splitlines() == [
            "0 of 8 faults are left",
            "  all are repaired, and everything else works as before",
        ]
        closed = right.replace("*self.visible()", "Item.owner_id == self.user.id")
        made.repair("items/service.py", closed, merge=True)
        said = (await made.verdict()).splitlines()
        assert said[0] == "0 of 8 faults are left"
        assert said[1:]
        assert all(line.startswith("  fails too, a repair broke it: ") for line in said[1:])
        assert (await (await sabotaged(anew=True)).verdict()).splitlines()[0] == "8 of 8 faults are left"

    asyncio.run(use())


def test_a_repair_that_cannot_be_written_changes_nothing(workspace: Path) -> None:
    """Before there is a target, code that is no Python, a module that is not there, one outside: each is told."""
    planted(workspace, with_fault("objects", "anybody's item by its id"))
    with pytest.raises(Trouble, match="no target runs"):
        current()

    async def use() -> None:
        made = await sabotaged()
        before = Snapshot.read(made.folder / "app").files
        for path, code in (
            ("items/service.py", "def get(:\n"),
            ("items/servise.py", "x = 1\n"),
            ("../../../pyproject.toml", "x = 1\n"),
            ("items", "x = 1\n"),
        ):
            with pytest.raises(WorkbookError):
                made.repair(path, code, merge=False)
        assert Snapshot.read(made.folder / "app").files == before
        assert made.source().splitlines() == sorted(before)
        assert made.source("app/items/service.py") == made.source("items/service.py") == before["items/service.py"]
        with pytest.raises(Trouble, match="the target has no items/servise"):
            made.source("items/servise.py")
        made.repair("main.py", "raise RuntimeError('half a repair')\n", merge=False)
        with pytest.raises(Trouble, match="the target does not start") as error:
            await made.verdict()
        assert "RuntimeError: half a repair" in str(error.value)
        made.repair("main.py", before["main.py"], merge=False)
        assert (await made.verdict()).splitlines()[0] == "8 of 8 faults are left"

    asyncio.run(use())


def test_ones_own_app_is_served_and_stopped(workspace: Path) -> None:
    """A copy of the learner's app answers within the block; after it, also after an error, nothing is there."""
    urls: list[str] = []

    async def use() -> None:
        async with served() as own:
            urls.append(own.url)
            assert own.folder != APP_DIR
            assert (await own.http.get(f"{own.url}/health")).status_code == 200
            assert (await own.http.get("/users/me")).status_code == 401
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(use())
    assert asyncio.run(gone(urls[0]))


def test_the_finished_app_passes_its_exam(workspace: Path) -> None:
    """`examined` says in one line that the learner's own app passes."""
    assert re.fullmatch(r"exam: passed, \d\d criteria pass", asyncio.run(examined()))


def test_every_fault_has_its_criteria() -> None:
    """Each fault of the pool is found by some criterion of the exam, and no other is listed."""
    assert set(FOUND_BY) == {fault.name for faults in POOL.values() for fault in faults}
    assert set().union(*FOUND_BY.values()) <= {one.name for one in CRITERIA}


START = "from workbook.tools import sabotaged\ntarget = await sabotaged()\nprint(target.url)"
RIGHT = '''%%repair items/service.py --merge
class ItemService:
    async def get(self, item_id: int) -> Item:
        """Return an item that this user may see, or raise ItemNotFound."""
        where = [Item.id == item_id, *self.visible()]
        items = await item_crud.get_multi(self.session, limit=1, where=where)
        if not items:
            raise ItemNotFound
        return items[0]
'''


def test_repair_as_a_learner_types_it(workspace: Path, tmp_path: Path) -> None:
    """Before the target exists, wrong, twice, right; a killed kernel takes the process along and loses nothing."""
    planted(workspace, with_fault("objects", "anybody's item by its id"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "WORKBOOK_ROOT": str(ROOT)}
    module = workspace / "target/app/items/service.py"
    first = Notebook(tmp_path, 600)
    with first.client.setup_kernel(env=environment):
        first("%load_ext workbook")
        assert first(RIGHT) == "ERROR no target runs\n\nhint: run `target = await sabotaged()` first"
        url = first(START).strip()
        faulty = module.read_text("utf-8")
        said = first("%%repair items/service.py --merge\ndef get(:\n")
        assert said.startswith("ERROR ")
        assert "hint: " in said
        assert "the target's items/service.py" in said
        assert " app/items/service.py" not in said
        assert "Traceback" not in said
        assert first("%%repair items/services.py\nx = 1\n").startswith("ERROR the target has no items/services.py\n")
        assert "%%app" not in first("%%repair\nx = 1\n")
        assert module.read_text("utf-8") == faulty
        for _ in range(2):
            assert first(RIGHT).startswith("the target's items/service.py: written; `await target.verdict()`")
        repaired = module.read_text("utf-8")
        assert repaired.count("async def get(self") == 1
        assert "*self.visible()]" in repaired
        assert first("print(await target.verdict())").splitlines()[0] == "7 of 8 faults are left"
        url = first("print(target.url)").strip()
        pid = int(first("import os\nprint(os.getpid())"))
        os.kill(pid, 9)
        while not asyncio.run(gone(url)):
            pass
    second = Notebook(tmp_path, 600)
    with second.client.setup_kernel(env=environment):
        second("%load_ext workbook")
        url = second(START).strip()
        assert module.read_text("utf-8") == repaired
        assert second("print(await target.verdict())").splitlines()[0] == "7 of 8 faults are left"
        url = second("print(target.url)").strip()
    assert asyncio.run(gone(url)), "a kernel that ends stops it"
