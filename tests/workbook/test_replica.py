"""Several versions of one app in one process, and the counter around one of them."""

from __future__ import annotations

import asyncio
import importlib
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from workbook.practice.replica import Instrument, Original, changed, replica

FILES = {
    "main.py": (
        "import apples\nfrom app.core import doors\nimport app.core.doors as again\n\n\n"
        "def late():\n    from app.core.doors import locked\n\n    return locked\n"
    ),
    "core/doors.py": "locked = {value}\n",
    "core/rooms/hall.py": "",
}


def versions(name: str, folder: Path, value: int) -> Any:
    """Import a version of the package."""
    files = {path: text.replace("{value}", str(value)) for path, text in FILES.items()}
    return replica(files, name, folder / name)


def test_two_versions_stand_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each imports its own modules, also within functions; neither is `app`, and another name that begins so stays."""
    (tmp_path / "apples.py").write_text("", encoding="utf-8")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    before = {name for name in sys.modules if name.split(".")[0] == "app"}
    one, two = versions("replica_one", tmp_path, 1), versions("replica_two", tmp_path, 2)
    assert (one.doors.locked, one.again.locked, one.late()) == (1, 1, 1)
    assert (two.doors.locked, two.again.locked, two.late()) == (2, 2, 2)
    one.doors.locked = 3
    assert (one.late(), two.late()) == (3, 2)
    assert {name for name in sys.modules if name.split(".")[0] == "app"} == before


def test_what_is_the_same_is_shared(tmp_path: Path) -> None:
    """With an original, what differs is new, and so is what imports it, also within functions; the rest is shared."""
    files = {
        "main.py": "from app import shelf\nfrom app.core import doors\nimport app.core.walls as walls\n",
        "shelf.py": "def late():\n    from app.core import doors\n\n    return doors.locked\n",
        "core/doors.py": "locked = 1\n",
        "core/walls.py": "high = 3\n",
        "core/cellar.py": "from app.core.walls import high\n",
    }
    one = replica(files, "replica_first", tmp_path / "one")
    other = files | {"core/doors.py": "locked = 2\n"}
    two = replica(other, "replica_second", tmp_path / "two", Original(files, "replica_first"))
    assert changed(other, files) == {"main.py", "shelf.py", "core/doors.py"}
    assert changed(files, files) == set()
    assert two.walls is one.walls
    assert (one.shelf.late(), two.shelf.late(), two.doors.locked) == (1, 2, 2)
    assert importlib.import_module("replica_second.core.cellar").high == 3  # the original has not needed it yet


class Context:
    """As much of passlib's context as is counted."""

    def hash(self, password: str) -> str:
        """Make no hash."""
        return f"hashed {password}"

    def verify(self, password: str, hashed: str) -> bool:
        """Compare."""
        return self.hash(password) == hashed


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the path."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


def test_work_is_counted() -> None:
    """Each hash and each comparison counts, and gives what it gave before; every other path is the app's."""
    context = Context()
    transport = httpx.ASGITransport(Instrument(echo, context))

    async def ask(path: str) -> str:
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            return (await client.get(path)).text

    assert asyncio.run(ask("/hashes")) == "0"
    assert context.hash("a") == "hashed a"
    assert asyncio.run(ask("/hashes")) == "1"
    assert context.verify("a", "hashed a")
    assert int(asyncio.run(ask("/hashes"))) > 1
    assert asyncio.run(ask("/hashes/other")) == "/hashes/other"
