"""How the app leaves: a signal under load loses no request, and a kill loses no write that was answered.

`pytest -s` shows the figures that were measured, and `--junit-xml` keeps them.
"""

import asyncio
import json
import os
import signal
import sqlite3
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from time import monotonic
from typing import Any

import asyncpg
import httpx
import pytest

from tests.backend.conftest import APP_DIR
from tests.backend.support import PASSWORD, SECRET_KEY
from workbook.servers import postgres
from workbook.servers.redis import free_port

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

DRAIN, STOP = 6, 120  # seconds: the limit for what follows a signal is both together
DRAINING = ("-m", "app.serve")
WORKERS = ("-m", "uvicorn", "app.main:app", "--workers", "2", "--timeout-graceful-shutdown", str(STOP))
GUNICORN = ("-m", "gunicorn", "app.main:app", "-k", "asgi", "-w", "2", "--graceful-timeout", str(STOP))


def address(command: tuple[str, ...], port: int) -> tuple[str, ...]:
    """Return the options that let a server listen on 127.0.0.1."""
    return ("--bind", f"127.0.0.1:{port}") if command is GUNICORN else ("--port", str(port))


async def said_by(client: httpx.AsyncClient, path: str) -> int | None:
    """Return the status of an answer on a new connection; None when nobody takes it."""
    try:
        return (await client.get(path, headers={"Connection": "close"})).status_code
    except httpx.HTTPError:
        return None


@asynccontextmanager
async def served(tmp_path: Path, command: tuple[str, ...], database_url: str) -> AsyncIterator[tuple[Process, int]]:
    """Migrate the database, and run a server on a port of its own; give the process and the port."""
    port = free_port()
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(APP_DIR),
        "STAGE": "staging",  # there each server writes the app's own lines too
        "DATABASE_URL": database_url,
        "SECRET_KEY": SECRET_KEY,
        "DRAIN_SECONDS": str(DRAIN),
        "STOP_SECONDS": str(STOP),
        "RATE_LIMIT_ENABLED": "false",
    }
    with (tmp_path / "server.log").open("wb") as log:
        how: dict[str, Any] = {"env": env, "cwd": tmp_path, "stdout": log, "stderr": log}
        migrated = await asyncio.create_subprocess_exec(sys.executable, "-m", "app.db.migrate", "upgrade", **how)
        assert await migrated.wait() == 0, (tmp_path / "server.log").read_text()
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, *address(command, port), **how, start_new_session=True
        )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            async with asyncio.timeout(120):
                while await said_by(client, "/health/ready") != 200:
                    assert process.returncode is None, (tmp_path / "server.log").read_text()
                    await asyncio.sleep(0.2)
        yield process, port
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # the workers, too
        await process.wait()


Tell = Callable[..., None]


@pytest.fixture
def tell(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Tell:
    """Keep the figures of a test, and print them."""

    def told(**figures: float) -> None:
        for name, figure in figures.items():
            record_property(name, figure)
        print(f"\n{request.node.name}: {', '.join(f'{name} {figure}' for name, figure in figures.items())}")

    return told


@pytest.fixture(params=["sqlite", "postgresql"])
def stored_in(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database that outlives the app."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/shop.db"
    return postgres.database(f"stopping_{os.getpid()}")


async def names_in(url: str) -> set[str]:
    """Return the names of all users, as the database has them."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
            return {name for (name,) in database.execute("SELECT username FROM users")}
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        return {row["username"] for row in await connection.fetch("SELECT username FROM users")}
    finally:
        await connection.close()


class SignUp:
    """A request whose body is sent when the app has asked for it: until then nobody knows that it was accepted."""

    def __init__(self, number: int) -> None:
        self.name = f"user{number}"
        user = {"email": f"u{number}@example.com", "username": self.name, "password": PASSWORD}
        self.body = json.dumps(user).encode()

    async def begin(self, port: int) -> None:
        """Send the head, and wait for "100 Continue": a server sends it when the app reads the body."""
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port)
        lines = (
            "POST /api/v1/auth/register HTTP/1.1",
            f"Host: 127.0.0.1:{port}",
            "Content-Type: application/json",
            f"Content-Length: {len(self.body)}",
            "Expect: 100-continue",
            "Connection: close",
        )
        self.writer.write("\r\n".join((*lines, "\r\n")).encode())
        assert b" 100 " in await self.reader.readuntil(b"\r\n\r\n")

    async def finish(self) -> str:
        """Read to the end; return the name in the answer, which must be a whole 201."""
        try:
            head, _, body = (await self.reader.read()).partition(b"\r\n\r\n")
        finally:
            self.writer.close()
        assert b" 201 " in head, (head, body)
        name: str = json.loads(body)["user"]["username"]
        return name


@pytest.mark.parametrize("command", [DRAINING, WORKERS, GUNICORN], ids=["serve", "uvicorn with workers", "gunicorn"])
async def test_a_signal_under_load_loses_no_request(tmp_path: Path, command: tuple[str, ...], tell: Tell) -> None:
    """SIGTERM while 50 sign-ups run: each is answered and stored, the pool is closed, the exit is in time."""
    url = f"sqlite:///{tmp_path}/shop.db"
    late: list[int | None] = []
    async with served(tmp_path, command, url) as (process, port):
        sign_ups = [SignUp(number) for number in range(50)]
        await asyncio.gather(*(one.begin(port) for one in sign_ups))
        for one in sign_ups:
            one.writer.write(one.body)
        told_at = monotonic()
        process.send_signal(signal.SIGTERM)
        asked = [asyncio.create_task(one.finish()) for one in sign_ups]
        async with asyncio.timeout(DRAIN + STOP):
            if command is DRAINING:
                late = await leaving(port)
            closed_with = sum(not task.done() for task in asked)
            answers = await asyncio.gather(*asked)
            await process.wait()
    took = round(monotonic() - told_at, 1)
    tell(in_flight=len(asked), at_the_closed_door=closed_with, answered=len(answers), seconds_to_exit=took)
    assert answers == [one.name for one in sign_ups]
    assert await names_in(url) == {one.name for one in sign_ups}
    # uvicorn without workers ends by the signal that it was sent, after all is done
    assert process.returncode in (0, -signal.SIGTERM)
    log = (tmp_path / "server.log").read_text()
    assert log.count("has stopped") == (1 if command is DRAINING else 2)
    assert PASSWORD not in log
    assert set(late) <= {200, 503, None}
    assert command is not DRAINING or late[-2:] == [503, None]


async def leaving(port: int) -> list[int | None]:
    """Ask for readiness on new connections, until nobody takes them any more; return what was said."""
    said: list[int | None] = []
    served: list[int | None] = []  # while it is not ready
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as client:
        while None not in said:
            said.append(await said_by(client, "/health/ready"))
            if said[-1] == 503:
                served.append(await said_by(client, "/health"))
            await asyncio.sleep(0.2)
    # not ready, and still served; the door may close between the last two questions
    assert set(served[:-1]) <= {200}
    assert served[:1] == [200]
    assert set(served) <= {200, None}
    return said


async def test_killed_under_load_no_answered_write_is_lost(tmp_path: Path, stored_in: str, tell: Tell) -> None:
    """Kill -9 while sign-ups run: everybody who got a 201 is in the database."""
    acknowledged: set[str] = set()
    async with served(tmp_path, DRAINING, stored_in) as (process, port):
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=120, trust_env=False) as client:

            async def sign_up(number: int) -> None:
                user = {"email": f"u{number}@example.com", "username": f"user{number}", "password": PASSWORD}
                with suppress(httpx.HTTPError):
                    if (await client.post("/api/v1/auth/register", json=user)).status_code == 201:
                        acknowledged.add(f"user{number}")

            asked = [asyncio.create_task(sign_up(number)) for number in range(40)]
            while len(acknowledged) < 10 and not all(task.done() for task in asked):
                await asyncio.sleep(0.01)
            in_flight = sum(not task.done() for task in asked)
            process.kill()
            await asyncio.gather(*asked)
        assert await process.wait() == -signal.SIGKILL
    stored = await names_in(stored_in)
    found = len(acknowledged & stored)
    tell(in_flight=in_flight, acknowledged=len(acknowledged), found=found, stored=len(stored))
    assert in_flight > 0
    assert len(acknowledged) >= 10
    assert acknowledged <= stored
