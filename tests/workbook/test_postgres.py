"""A real PostgreSQL: started once, shared by processes, stopped with the last of them, and safe to hand to checks."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from IPython.core.interactiveshell import InteractiveShell

from workbook.servers import postgres, services
from workbook.servers.cluster import ROLE, SUPERUSER, Server
from workbook.servers.postgres import with_database
from workbook.servers.programs import NoPostgres

USER = """
import sys
from pathlib import Path
from workbook.servers.cluster import Server
print(Server(Path(sys.argv[1])).start(), flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for a server of the test's own; its name is short, because it holds a socket."""
    folder = Path(tempfile.mkdtemp(prefix="wpg-"))
    yield folder
    server = Server(folder)
    if server.is_running():
        server._control("stop", "-m", "immediate")
    shutil.rmtree(folder, ignore_errors=True)


def user_of(folder: Path) -> subprocess.Popen[str]:
    """Start another process that uses the folder's server, and wait until it does."""
    process = subprocess.Popen(
        [sys.executable, "-c", USER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("postgresql+asyncpg://")
    return process


def end(process: subprocess.Popen[str]) -> None:
    """Let a process that uses the server come to its end."""
    process.communicate("\n", timeout=60)
    assert process.returncode == 0


async def ask(url: str, query: str) -> object:
    """Run one query."""
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_processes_share_a_server_and_the_last_one_stops_it(folder: Path) -> None:
    """A second process finds the server of the first one; it runs until both have ended."""
    first, second = user_of(folder), user_of(folder)
    server = Server(folder)
    assert await ask(server.url(), "SELECT 1") == 1
    end(first)
    assert await ask(server.url(), "SELECT 2") == 2
    end(second)
    assert not server.is_running()


async def test_a_server_that_a_killed_process_left_is_used_and_then_ended(folder: Path) -> None:
    """A process that is killed stops nothing; the next one uses what it left, and stops it."""
    killed = user_of(folder)
    began = (folder / "data" / "postmaster.pid").read_text().splitlines()[0]
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert Server(folder).is_running()
    following = user_of(folder)
    assert (folder / "data" / "postmaster.pid").read_text().splitlines()[0] == began
    end(following)
    assert not Server(folder).is_running()


async def test_broken_files_are_made_anew(folder: Path) -> None:
    """A folder whose files are damaged gives a working server all the same."""
    end(user_of(folder))
    (folder / "data" / "global" / "pg_control").write_bytes(b"")
    process = user_of(folder)
    assert await ask(Server(folder).url(), "SELECT 3") == 3
    end(process)


async def test_a_file_of_a_server_that_is_gone_is_no_obstacle(folder: Path) -> None:
    """A server that was killed leaves its pid file; another process may have the number by now."""
    end(user_of(folder))
    stale = [str(os.getpid()), str(folder / "data"), "1", "5432", str(folder), "", "0 0", "ready   "]
    (folder / "data" / "postmaster.pid").write_text("\n".join(stale))
    assert not Server(folder).is_running()
    process = user_of(folder)
    assert await ask(Server(folder).url(), "SELECT 4") == 4
    end(process)


async def test_what_is_checked_cannot_leave_the_server(folder: Path) -> None:
    """The role makes databases, but runs no program, reads no file, and nobody is a superuser."""
    process = user_of(folder)
    url = Server(folder).url()
    for query in ("COPY (SELECT 1) TO PROGRAM 'true'", "SELECT pg_read_file('/etc/hosts')", "CREATE ROLE boss"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await ask(url, query)
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
        await ask(url.replace(f"{ROLE}@", f"{SUPERUSER}@"), "SELECT 1")
    end(process)


def test_another_users_folder_is_refused(folder: Path) -> None:
    """A link, or a folder that somebody else has put there, is not used."""
    real = folder / "real"
    real.mkdir()
    (folder / "link").symlink_to(real)
    with pytest.raises(NoPostgres, match="not a folder of yours"):
        Server(folder / "link").start()


async def test_a_database_is_empty_each_time(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """`database` gives an empty one, also while this thread's event loop runs, and also a second time."""
    process = user_of(folder)
    monkeypatch.setenv("DATABASE_URL", Server(folder).url())
    url = postgres.database("notes")
    await ask(url, "CREATE TABLE t AS SELECT 1 AS n")
    again = postgres.database("notes")
    assert again == url
    assert await ask(url, "SELECT to_regclass('t')") is None
    end(process)


async def test_a_temporary_database_goes_again(folder: Path) -> None:
    """Each check has a database of its own, which is dropped also when a connection was forgotten."""
    process = user_of(folder)
    server = Server(folder).url()
    async with postgres.temporary_database(server) as one, postgres.temporary_database(server) as two:
        assert one != two
        forgotten = await asyncpg.connect(one.replace("+asyncpg", ""))
    assert await ask(server, f"SELECT count(*) FROM pg_database WHERE datname LIKE '{postgres.PREFIX}%'") == 0
    forgotten.terminate()
    end(process)


async def test_a_database_in_which_the_server_works_is_dropped_a_moment_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Autovacuum may be in a database, and nobody but a superuser may end it: then the drop is tried again."""
    tried = []

    async def execute(_url: str, statement: str) -> None:
        tried.append(statement)
        if len(tried) < 3:
            raise asyncpg.InsufficientPrivilegeError("permission denied to terminate process")

    monkeypatch.setattr(postgres, "_execute", execute)
    await postgres._drop("postgresql+asyncpg://x@/a", "b")
    assert len(tried) == 3
    monkeypatch.setattr(postgres, "TRIES", 2)
    tried.clear()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await postgres._drop("postgresql+asyncpg://x@/a", "b")


def test_the_servers_address_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """DATABASE_URL goes before the wheel where it names PostgreSQL, in any of its spellings."""
    for scheme in ("postgres", "postgresql", "postgresql+asyncpg", "postgresql+psycopg"):
        monkeypatch.setenv("DATABASE_URL", f"{scheme}://ada:secret@db.example.com/app?ssl=require")
        assert postgres.server() == "postgresql+asyncpg://ada:secret@db.example.com/app?ssl=require"


def test_sqlite_in_the_environment_is_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A DATABASE_URL of SQLite, as the chapters set it, does not stand in the way."""
    monkeypatch.setenv("DATABASE_URL", "sqlite://")
    monkeypatch.setattr(Server, "start", lambda server: "started")
    assert postgres.server() == "started"


def test_a_machine_without_the_wheel_gets_one_repair(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a wheel the error says what to install and which variable to set; nothing is made."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NoPostgres) as caught:
        postgres.server()
    assert "no wheel" in caught.value.message
    assert "conda" in caught.value.hint
    assert "DATABASE_URL=postgresql://" in caught.value.hint


def test_a_notebook_shows_the_repair_and_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    """A cell that needs a server, where there is none, prints the sentence and its hint."""
    shell = InteractiveShell()  # type: ignore[no-untyped-call]
    shell.user_ns["error"] = NoPostgres("there is no PostgreSQL here", "install one")
    ran = shell.run_cell("def deep():\n    raise error\n\ndeep()")  # type: ignore[no-untyped-call]
    assert isinstance(ran.error_in_exec, NoPostgres)
    shown = "".join(capsys.readouterr())
    assert shown.strip() == "there is no PostgreSQL here\n\nhint: install one"


def test_an_address_where_nobody_listens_is_told_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong DATABASE_URL is one sentence, and shows no secret."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://ada:s3cret@127.0.0.1:1/app")
    with pytest.raises(NoPostgres) as caught:
        postgres.database("notes")
    assert "127.0.0.1:1/app" in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert "DATABASE_URL" in caught.value.hint


def test_the_name_of_a_database_is_put_into_an_address() -> None:
    """Only the name changes: user, host and options stay."""
    assert with_database("postgresql+asyncpg://me@/a?host=/tmp/x", "b") == "postgresql+asyncpg://me@/b?host=/tmp/x"
    assert with_database("postgresql+asyncpg://me:p@h:1/a", "b") == "postgresql+asyncpg://me:p@h:1/b"


def test_a_check_file_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what a file names is started, and its address goes into the environment of the checks."""
    monkeypatch.setattr(services, "STARTERS", {"postgres": lambda: "an address"})
    plain, needy = tmp_path / "test_a.py", tmp_path / "test_b.py"
    plain.write_text("NOTHING = ()\n")
    needy.write_text('"""Checks."""\nNEEDS = ("postgres", "unheard_of")\n')
    assert services.provide([plain]) == {}
    assert services.provide([plain, needy]) == {"WORKBOOK_POSTGRES": "an address"}


def test_a_server_that_is_missing_is_told_to_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check hears why there is none, and starts nothing itself."""

    def fail() -> str:
        raise NoPostgres("there is none", "install one")

    monkeypatch.setattr(services, "STARTERS", {"postgres": fail})
    path = tmp_path / "test_a.py"
    path.write_text('NEEDS = ("postgres",)\n')
    told = services.provide([path])
    assert told == {"WORKBOOK_POSTGRES_LACKS": "there is none\n\nhint: install one"}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(services.Unavailable, match="install one"):
        services.address("postgres")


def test_a_coroutine_runs_beside_a_running_loop() -> None:
    """What `database` does works in a notebook, where the thread's loop runs; its error comes out."""

    async def fail() -> None:
        raise KeyError("x")

    async def outer() -> None:
        postgres._wait_for(fail())

    with pytest.raises(KeyError):
        asyncio.run(outer())
