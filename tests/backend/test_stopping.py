"""How the app leaves: a signal under load loses no request, and a kill loses no write that was answered."""

import asyncio
import json
import os
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from tests.backend.conftest import APP_DIR
from tests.backend.support import PASSWORD, SECRET_KEY
from workbook import postgres
from workbook.redis import free_port

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

DRAINING = ("-m", "app.serve")
WORKERS = ("-m", "uvicorn", "app.main:app", "--workers", "2", "--timeout-graceful-shutdown", "120")
GUNICORN = ("-m", "gunicorn", "app.main:app", "-k", "asgi", "-w", "2", "--graceful-timeout", "120", "--timeout", "120")


def address(command: tuple[str, ...], port: int) -> tuple[str, ...]:
    """Return the options that let a server listen on 127.0.0.1."""
    return ("--bind", f"127.0.0.1:{port}") if command is GUNICORN else ("--port", str(port))


@asynccontextmanager
async def served(tmp_path: Path, command: tuple[str, ...], database_url: str) -> AsyncIterator[tuple[Any, str]]:
    """Run a server on a port of its own; give the process and its address."""
    port = free_port()
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(APP_DIR),
        "DATABASE_URL": database_url,
        "SECRET_KEY": SECRET_KEY,
        "DRAIN_SECONDS": "2",
        "STOP_SECONDS": "120",
        "RATE_LIMIT_ENABLED": "false",
    }
    with (tmp_path / "server.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, *address(command, port), env=env, cwd=tmp_path, stdout=log, stderr=log
        )
    base = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(90):
            while True:
                try:
                    if (await client.get(f"{base}/health/ready")).status_code == 200:
                        break
                except httpx.HTTPError:
                    assert process.returncode is None, (tmp_path / "server.log").read_text()
                    await asyncio.sleep(0.2)
        yield process, base
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


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


@pytest.mark.parametrize("command", [DRAINING, WORKERS, GUNICORN], ids=["serve", "uvicorn with workers", "gunicorn"])
async def test_a_signal_under_load_loses_no_request(tmp_path: Path, command: tuple[str, ...]) -> None:
    """SIGTERM while 50 sign-ups run: each is answered, what was answered is stored, and the exit is clean."""
    url = f"sqlite:///{tmp_path}/shop.db"
    async with served(tmp_path, command, url) as (process, base):
        limits = httpx.Limits(max_connections=60)
        async with httpx.AsyncClient(base_url=base, timeout=120, limits=limits, trust_env=False) as client:
            waiting = 50

            async def body(number: int) -> AsyncIterator[bytes]:
                nonlocal waiting
                user = {"email": f"u{number}@example.com", "username": f"user{number}", "password": PASSWORD}
                yield json.dumps(user).encode()
                waiting -= 1

            async def sign_up(number: int) -> int:
                headers = {"Content-Type": "application/json"}
                return (await client.post("/api/v1/auth/register", content=body(number), headers=headers)).status_code

            asked = [asyncio.create_task(sign_up(number)) for number in range(50)]
            while waiting:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)  # the bytes are on their way
            process.terminate()
            answers = await asyncio.gather(*asked)
        assert answers == [201] * 50
        async with asyncio.timeout(60):
            await process.wait()
        assert process.returncode == 0
    assert len(await names_in(url)) == 50
    log = (tmp_path / "server.log").read_text()
    assert PASSWORD not in log
    assert "has stopped" in log


async def test_killed_under_load_no_answered_write_is_lost(tmp_path: Path, stored_in: str) -> None:
    """Kill -9 while sign-ups run: everybody who got a 201 is in the database."""
    async with served(tmp_path, DRAINING, stored_in) as (process, base):
        stored: list[str] = []
        async with httpx.AsyncClient(base_url=base, timeout=60, trust_env=False) as client:

            async def sign_up(number: int) -> None:
                user = {"email": f"u{number}@example.com", "username": f"user{number}", "password": PASSWORD}
                with suppress(httpx.HTTPError):
                    if (await client.post("/api/v1/auth/register", json=user)).status_code == 201:
                        stored.append(user["username"])

            asked = [asyncio.create_task(sign_up(number)) for number in range(40)]
            while len(stored) < 5:
                await asyncio.sleep(0.01)
            process.kill()
            await asyncio.gather(*asked)
    assert 5 <= len(stored) < 40
    assert set(stored) <= await names_in(stored_in)
