"""The revisions make what the models say, there and back, in one process at a time; the app waits for them."""

import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from app.core.config import Settings
from app.db import migrate
from app.db.schema import SchemaNotReady
from app.db.session import make_engine, open_database
from sqlalchemy import inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.backend.support import SECRET_KEY
from workbook.servers import postgres

APP_DIR = Path(migrate.__file__).parents[2]
PROCESS = """
import asyncio, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from app.db import migrate
from app.db.session import make_engine
ready, go = Path(sys.argv[3]), Path(sys.argv[4])

async def main():
    engine = make_engine(sys.argv[2])
    migrate.head()
    ready.touch()
    while not go.exists():
        time.sleep(0.005)
    await migrate.upgrade(engine)
    print(await migrate.current(engine))

asyncio.run(main())
"""


@pytest.fixture
def empty(database_url: str, tmp_path: Path) -> str:
    """An empty database of the kind of this run."""
    if database_url.startswith("postgresql"):
        return postgres.database(f"migrations_{os.getpid()}")
    return f"sqlite+aiosqlite:///{tmp_path}/empty.db"


@pytest.fixture
async def engine(empty: str) -> AsyncIterator[AsyncEngine]:
    """An engine on it."""
    engine = make_engine(empty)
    yield engine
    await engine.dispose()


async def tables(engine: AsyncEngine) -> set[str]:
    """Return the names of the tables, but Alembic's own."""
    async with engine.connect() as connection:
        names = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
    return set(names) - {"alembic_version"}


async def test_models_and_revisions_agree(engine: AsyncEngine) -> None:
    """After all revisions, autogenerate finds no difference from the models."""
    await migrate.upgrade(engine)
    code = [line.strip() for line in (await migrate.draft(engine)).splitlines()]
    assert [line for line in code if line and not line.startswith("#")] == ["pass"]


async def test_every_revision_can_be_taken_back(engine: AsyncEngine) -> None:
    """Step by step up, step by step down, and up again."""
    await migrate.upgrade(engine)
    while await migrate.current(engine) is not None:
        await migrate.downgrade(engine, "-1")
    assert await tables(engine) == set()
    await migrate.upgrade(engine)
    assert await migrate.is_at_head(engine)


async def test_rows_survive_the_way_there_and_back(engine: AsyncEngine) -> None:
    """A user with an item and a session is still there after an upgrade, a downgrade and an upgrade."""
    await migrate.upgrade(engine, "0001")
    moment = "'2026-03-01 12:00:00+00'" if engine.dialect.name == "postgresql" else "'2026-03-01 12:00:00.000000'"
    async with engine.begin() as connection:
        for statement in (
            "INSERT INTO users (id, email, username, hashed_password, is_active, is_superuser, role, created_at,"
            f" updated_at) VALUES (1, 'a@x.com', 'ada', '!', true, false, 'user', {moment}, {moment})",
            "INSERT INTO items (id, title, price, owner_id, created_at, updated_at)"
            f" VALUES (1, 'Pen', 1, 1, {moment}, {moment})",
            "INSERT INTO login_sessions (id, user_id, current_jti, expires_at, created_at, updated_at)"
            f" VALUES ('s', 1, 'j', {moment}, {moment}, {moment})",
        ):
            await connection.execute(text(statement))
    for step in (migrate.upgrade(engine), migrate.downgrade(engine, "0001"), migrate.upgrade(engine)):
        await step
        async with engine.connect() as connection:
            for name in ("users", "items", "login_sessions"):
                assert await connection.scalar(text(f"SELECT count(*) FROM {name}")) == 1


async def test_processes_at_once_migrate_once(empty: str, engine: AsyncEngine, tmp_path: Path) -> None:
    """Of four processes that upgrade at the same moment one does it, the others wait, and none fails."""
    waiting, go = [tmp_path / f"ready{number}" for number in range(4)], tmp_path / "go"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(APP_DIR), empty, str(path), str(go)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for path in waiting
    ]
    while not all(path.exists() for path in waiting) and all(one.poll() is None for one in running):
        time.sleep(0.01)
    go.touch()
    said = [one.communicate(timeout=120) for one in running]
    assert [out.strip() for out, _err in said] == [migrate.head()] * 4, [err for _out, err in said]
    assert await migrate.is_at_head(engine)


async def test_development_upgrades_itself(empty: str, engine: AsyncEngine) -> None:
    """The app brings an empty database to the head when it starts."""
    async with open_database(Settings(database_url=empty, secret_key=SECRET_KEY)):
        assert await migrate.is_at_head(engine)


@pytest.mark.parametrize("stage", ["staging", "production"])
async def test_elsewhere_the_app_refuses_and_changes_nothing(stage: str, empty: str, engine: AsyncEngine) -> None:
    """On a database that is not at the head the app does not start, and says which command helps."""
    settings = Settings(stage=stage, secret_key=SECRET_KEY, database_url=empty)
    with pytest.raises(SchemaNotReady, match=r"python -m app\.db\.migrate upgrade"):
        async with open_database(settings):
            pass
    assert await tables(engine) == set()
    await migrate.upgrade(engine)
    async with open_database(settings):
        assert await migrate.is_at_head(engine)


def test_the_command_of_the_message_works(empty: str, tmp_path: Path) -> None:
    """`python -m app.db.migrate upgrade`, `current` and `downgrade` do what they say, on the settings' database."""
    env = {**os.environ, "DATABASE_URL": empty, "PYTHONPATH": str(APP_DIR)}

    def run(*words: str) -> str:
        command = [sys.executable, "-m", "app.db.migrate", *words]
        return subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    head: Any = migrate.head()
    assert f"the database has {head}, the code {head}" in run("upgrade")
    assert f"the database has {head}" in run("current")
    assert "the database has None" in run("downgrade", "base")
