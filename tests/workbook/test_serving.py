"""A package served in a process of its own: started anew, asked, stopped; and what is said when it does not start."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from workbook.base.trouble import Trouble
from workbook.practice.fuzzing import fuzz
from workbook.practice.server import Served

UVICORNS = 5  # seconds that it keeps a connection by default

MAIN = """
import os
import sys

from fastapi import FastAPI

{top}
app = FastAPI({options})


@app.get("/health")
async def health() -> str:
    {body}
    return os.environ["SECRET_KEY"]


@app.get("/crash")
async def crash() -> int:
    return 1 // 0
"""
SECURITY = "from passlib.context import CryptContext\n\npwd_context = CryptContext(schemes=['bcrypt'])\n"
LIFESPAN = """
from contextlib import asynccontextmanager

@asynccontextmanager
async def lifespan(app):
    raise RuntimeError("the cellar is dark")
    yield
"""


@pytest.fixture
def made(tmp_path: Path) -> Iterator[list[Served]]:
    """Give a list; whatever is put into it is stopped at the end."""
    apps: list[Served] = []
    yield apps
    for one in apps:
        one.stop()


def package(folder: Path, *, top: str = "", options: str = "", body: str = "pass", security: str = SECURITY) -> Path:
    """Write a package `app` into a folder."""
    files = {
        "__init__.py": "",
        "main.py": MAIN.format(top=top, options=options, body=body),
        "core/__init__.py": "",
        "core/security.py": security,
    }
    for path, text in files.items():
        (folder / "app" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "app" / path).write_text(text, encoding="utf-8")
    return folder


async def gone(url: str) -> bool:
    """Say whether nothing answers any more."""
    async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
        try:
            await client.get(f"{url}/health")
        except httpx.TransportError:
            return True
    return False


def test_it_starts_and_stops(tmp_path: Path, made: list[Served]) -> None:
    """Started anew it has another key and an empty folder; stopped, nothing answers, and nothing is left behind."""

    async def use() -> None:
        app = Served(package(tmp_path))
        made.append(app)
        await app.start()
        first, url, scratch = (await app.http.get(f"{app.url}/health")).json(), app.url, app.scratch
        assert str(app.http.base_url).rstrip("/") == f"{url}/api/v1"
        (scratch / "target.db").touch()
        assert app.database == scratch / "target.db"
        await app.start()
        assert (await app.http.get(f"{app.url}/health")).json() != first
        assert not app.database.exists()
        assert not scratch.exists()
        assert (await app.http.get(f"{app.url}/hashes")).text == "0"
        last, scratch = app.url, app.scratch
        await app.close()
        assert await gone(last)
        assert not scratch.exists()
        app.stop()  # twice is no error
        with pytest.raises(Trouble, match="your app does not run"):
            _ = app.database

    asyncio.run(use())


def test_settings_and_no_more_reach_it(tmp_path: Path, made: list[Served], monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of whoever starts it stays outside; settings that are named go in."""
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere")

    async def use() -> str:
        top = "assert 'REDIS_URL' not in os.environ and os.environ['STAGE'] == 'test'"
        app = Served(package(tmp_path, top=top), STAGE="test")
        made.append(app)
        await app.start()
        return str((await app.http.get(f"{app.url}/health")).status_code)

    assert asyncio.run(use()) == "200"


def test_what_it_prints_does_no_harm(tmp_path: Path, made: list[Served]) -> None:
    """Prints while it is imported, and more of them than a pipe holds, neither confuse nor stop it."""

    async def use() -> int:
        app = Served(package(tmp_path, top='print("hello")', body='print("x" * 200_000)'))
        made.append(app)
        await app.start()
        return (await app.http.get(f"{app.url}/health")).status_code

    assert asyncio.run(use()) == 200


async def test_a_connection_waits_for_its_reader(tmp_path: Path, made: list[Served]) -> None:
    """Between two cells nobody asks for a while; the notebook's client then goes on with the connection it has."""
    made.append(served := Served(package(tmp_path)))
    await served.start()
    host, _, port = served.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    with closing(writer):
        for pause in (0, UVICORNS + 0.5):
            await asyncio.sleep(pause)
            writer.write(f"GET /health HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200"), f"closed after {pause} s"
            assert await reader.readuntil(b'"') == b'"'  # the body is a text in JSON: up to its other end
            await reader.readuntil(b'"')
    await served.close()


def test_an_app_without_passlib_has_no_counter(tmp_path: Path, made: list[Served]) -> None:
    """Whoever has taken another library is served all the same."""

    async def use() -> tuple[int, int]:
        app = Served(package(tmp_path, security=""))
        made.append(app)
        await app.start()
        paths = ("/health", "/hashes")
        health, hashes = [(await app.http.get(f"{app.url}{path}")).status_code for path in paths]
        return health, hashes

    assert asyncio.run(use()) == (200, 404)


@pytest.mark.parametrize(
    ("top", "options", "said"),
    [
        ("1 // 0", "", "ZeroDivisionError"),
        ("import nowhere", "", "No module named 'nowhere'"),
        (LIFESPAN, "lifespan=lifespan", "the cellar is dark"),
        ("sys.exit('no key')", "", "no key"),
    ],
    ids=["raises", "import", "lifespan", "exit"],
)
def test_an_app_that_does_not_start_says_why(
    top: str, options: str, said: str, tmp_path: Path, made: list[Served]
) -> None:
    """The end of what it wrote is the message, with paths that begin with app/; a notebook shows no traceback."""
    app = Served(package(tmp_path, top=top, options=options))
    made.append(app)
    with pytest.raises(Trouble) as error:
        asyncio.run(app.start())
    text = str(error.value)
    assert text.startswith("your app does not start:\n")
    assert said in text
    assert f"{tmp_path}/app" not in text
    assert error.value._render_traceback_() == text.split("\n")


def test_a_killed_owner_takes_it_along(tmp_path: Path) -> None:
    """Whoever started it is killed, as a kernel may be: it ends by itself."""
    code = (
        "import asyncio, os, pathlib, sys\nfrom workbook.practice.server import Served\n"
        "app = Served(pathlib.Path(sys.argv[1]))\nasyncio.run(app.start())\n"
        "print(app.url, app.scratch, flush=True)\nos.kill(os.getpid(), 9)\n"
    )

    async def use() -> str:
        root = Path(__file__).parents[2]
        owner = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, str(package(tmp_path)), cwd=root, stdout=asyncio.subprocess.PIPE
        )
        said, _ = await owner.communicate()
        url, scratch = said.decode().split()
        while not await gone(url):
            await asyncio.sleep(0.05)
        for name in ("errors.txt", "target.db"):
            (Path(scratch) / name).unlink(missing_ok=True)
        Path(scratch).rmdir()
        return url

    assert asyncio.run(use()).startswith("http://127.0.0.1:")


def test_a_fuzzer_finds_a_crash(tmp_path: Path, made: list[Served]) -> None:
    """A route that crashes is found, with a command that does not show the token; a good one gives nothing."""

    async def use() -> None:
        app = Served(package(tmp_path))
        made.append(app)
        await app.start()
        found = await fuzz(app.url, "s3cret-token", ["/crash", "/health"], prefix="")
        assert ("ServerError", "GET /crash", 500) in {one[:3] for one in found}
        assert {one[1] for one in found} == {"GET /crash"}
        assert not [one for one in found if "s3cret-token" in one[3]]
        assert await fuzz(app.url, "s3cret-token", ["/health"], prefix="") == []
        with pytest.raises(Trouble, match="has no route /nowhere"):
            await fuzz(app.url, "s3cret-token", ["/health", "/nowhere"], prefix="")

    asyncio.run(use())
