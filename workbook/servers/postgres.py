"""A PostgreSQL for the course: the one that DATABASE_URL names, or one from a wheel; and databases on it."""

from __future__ import annotations

import asyncio
import os
import secrets
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from workbook.servers.cluster import Server, default_folder
from workbook.servers.programs import NoPostgres

SCHEMES = ("postgres", "postgresql")
PREFIX = "workbook_"  # of the databases that this module makes, and may drop
TRIES = 50  # to drop a database in which the server itself is at work


def server() -> str:
    """Return the URL of a server on which databases can be made; start one where DATABASE_URL names none.

    Raises:
        NoPostgres: there is none, and none can be started; the hint says what helps.
    """
    named = os.environ.get("DATABASE_URL", "")
    if urlsplit(named).scheme.partition("+")[0] in SCHEMES:
        return urlsplit(named)._replace(scheme="postgresql+asyncpg").geturl()
    return Server(default_folder()).start()


def database(name: str) -> str:
    """Make an empty database, in place of one with this name that is there; return its URL.

    It blocks, and may be called where an event loop runs, as in a notebook.

    Raises:
        NoPostgres: there is no server, or it lets nobody make databases.
    """
    url = server()
    _wait_for(_make(url, PREFIX + name))
    return with_database(url, PREFIX + name)


@asynccontextmanager
async def temporary_database(url: str) -> AsyncIterator[str]:
    """Make an empty database on a server; give its URL, and drop it at the end."""
    name = f"{PREFIX}{secrets.token_hex(8)}"
    await _make(url, name)
    try:
        yield with_database(url, name)
    finally:
        await _drop(url, name)


def with_database(url: str, name: str) -> str:
    """Return the address of another database on the same server."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/{name}" + (f"?{parts.query}" if parts.query else "")


async def _make(url: str, name: str) -> None:
    import asyncpg

    try:
        await _drop(url, name)
        await _execute(url, f'CREATE DATABASE "{name}"')
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        shown = urlsplit(url)._replace(query="").geturl().rpartition("@")[2]
        hint = "is it the right address, and may this role make databases (CREATEDB)? see DATABASE_URL"
        raise NoPostgres(f"PostgreSQL at {shown} makes no database: {error}", hint) from None


async def _drop(url: str, name: str) -> None:
    """Drop a database, whoever is connected; wait for the server's own processes, which nobody else may end."""
    import asyncpg

    for attempt in range(TRIES):
        try:
            await _execute(url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            return
        except asyncpg.InsufficientPrivilegeError:  # autovacuum works there, for some milliseconds
            if attempt == TRIES - 1:
                raise
            await asyncio.sleep(0.1)


async def _execute(url: str, *statements: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(urlsplit(url)._replace(scheme="postgresql").geturl())
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def _wait_for(work: Any) -> None:
    """Run a coroutine in a thread with a loop of its own: this thread's may be running."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(work)
        except BaseException as error:  # raised again, in the thread that waits
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
