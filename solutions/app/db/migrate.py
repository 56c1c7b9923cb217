"""The revisions of the database, from the terminal too: `python -m app.db.migrate upgrade`."""

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from alembic import command
from alembic.autogenerate import produce_migrations, render_python_code
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.core.config import get_settings

MIGRATIONS = Path(__file__).parent / "migrations"


def make_config(connection: Connection | None = None) -> Config:
    """Tell Alembic where the revisions are, and on which connection to run them."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def head() -> str | None:
    """Return the newest revision that this code has."""
    return ScriptDirectory.from_config(make_config()).get_current_head()


def read_revision(connection: Connection) -> str | None:
    """Return the revision that a database says it has."""
    return MigrationContext.configure(connection).get_current_revision()


async def switch_foreign_keys(connection: AsyncConnection, *, on: bool) -> None:
    """Let SQLite check foreign keys or not; PostgreSQL always does."""
    if connection.dialect.name == "sqlite":
        await connection.exec_driver_sql(f"PRAGMA foreign_keys={'ON' if on else 'OFF'}")


async def lock_schema(connection: AsyncConnection) -> None:
    """Wait until nobody else changes the schema; others wait until the transaction ends."""
    if connection.dialect.name == "sqlite":
        await connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        await connection.exec_driver_sql("SELECT pg_advisory_xact_lock(712)")


@asynccontextmanager
async def changing(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Give a connection for a change of the schema: all of it is committed, or nothing."""
    async with engine.connect() as connection:
        await switch_foreign_keys(connection, on=False)
        await lock_schema(connection)
        try:
            yield connection
            await connection.commit()
        finally:
            await connection.rollback()
            await switch_foreign_keys(connection, on=True)


def write_draft(connection: Connection) -> str:
    """Compare the models with a database; return the code of a revision that would change it."""
    config = make_config(connection)
    scripts = ScriptDirectory.from_config(config)
    drafts: list[str] = []

    def compare(_revision: object, migration: MigrationContext) -> list[object]:
        found = produce_migrations(migration, migration.opts["target_metadata"])
        assert found.upgrade_ops is not None
        code = render_python_code(found.upgrade_ops, render_as_batch=True)
        drafts.append("\n".join(line for line in code.splitlines() if "###" not in line))
        return []

    with EnvironmentContext(config, scripts, fn=compare):
        scripts.run_env()
    return drafts[0]


async def draft(engine: AsyncEngine) -> str:
    """Draft a revision: a proposal to read, not to trust."""
    async with engine.connect() as connection:
        return await connection.run_sync(write_draft)


async def current(engine: AsyncEngine) -> str | None:
    """Return the revision of a database, or None."""
    async with engine.connect() as connection:
        return await connection.run_sync(read_revision)


async def upgrade(engine: AsyncEngine, revision: str = "head") -> None:
    """Run the revisions up to this one."""
    async with changing(engine) as connection:
        await connection.run_sync(lambda sync: command.upgrade(make_config(sync), revision))


async def downgrade(engine: AsyncEngine, revision: str) -> None:
    """Take revisions back, down to this one."""
    async with changing(engine) as connection:
        await connection.run_sync(lambda sync: command.downgrade(make_config(sync), revision))


async def is_at_head(engine: AsyncEngine) -> bool:
    """Say whether a database has the newest revision."""
    return await current(engine) == head()


async def run(words: argparse.Namespace) -> None:
    """Do what the terminal asks for, on the database of the settings."""
    from app.db.session import make_engine  # this module is a part of what a session needs

    engine = make_engine(get_settings().database_url)
    try:
        if words.command == "upgrade":
            await upgrade(engine, words.revision or "head")
        elif words.command == "downgrade":
            await downgrade(engine, words.revision or "-1")
        print(f"{words.command}: the database has {await current(engine)}, the code {head()}")
    finally:
        await engine.dispose()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m app.db.migrate")
    parser.add_argument("command", choices=["upgrade", "downgrade", "current"])
    parser.add_argument("revision", nargs="?", help="upgrade: head, downgrade: -1")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
