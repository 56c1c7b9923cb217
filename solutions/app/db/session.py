"""Engine and sessions: how the app reaches its database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, Request
from sqlalchemy import event, make_url
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.pool import AsyncAdaptedQueuePool

from app.core.config import Settings, Stage
from app.core.exceptions import DomainError
from app.db.models import Base

SessionFactory = async_sessionmaker[AsyncSession]


def enable_foreign_keys(connection: Any, _record: object) -> None:
    """Make SQLite check foreign keys, which it does only when a connection asks for it."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def check_foreign_keys(engine: AsyncEngine) -> None:
    """Let each new connection of an SQLite engine check foreign keys."""
    event.listen(engine.sync_engine, "connect", enable_foreign_keys)


def make_engine(database_url: str, *, echo: bool = False) -> AsyncEngine:
    """Make an engine; the parameters of queries (hashes, names) never appear in errors or logs."""
    url = make_url(database_url)
    options: dict[str, Any] = {"echo": echo, "hide_parameters": True, "pool_pre_ping": True}
    if url.get_backend_name() != "sqlite":
        return create_async_engine(url, **options)
    if url.database in {None, "", ":memory:"}:
        # An in-memory database lives in its connection: keep exactly one and take turns.
        options |= {"poolclass": AsyncAdaptedQueuePool, "pool_size": 1, "max_overflow": 0}
    engine = create_async_engine(url, connect_args={"timeout": 30}, **options)
    check_foreign_keys(engine)
    return engine


def make_session_factory(engine: AsyncEngine) -> SessionFactory:
    """Make the factory of sessions; objects stay readable after a commit."""
    return async_sessionmaker(engine, expire_on_commit=False)


async def create_tables(engine: AsyncEngine) -> None:
    """Create the tables that do not exist yet."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[SessionFactory]:
    """Open the database for as long as the app runs; in development also make its tables."""
    engine = make_engine(settings.database_url, echo=settings.debug)
    try:
        if settings.stage is Stage.DEVELOPMENT:
            await create_tables(engine)
        yield make_session_factory(engine)
    finally:
        await engine.dispose()


async def get_session(request: Request) -> AsyncIterator[AsyncSession]:
    """Give a request its own session, and commit when the route has returned.

    An exception skips the commit; closing the session then rolls everything back. A few errors
    ask to keep the changes: a stolen token must be revoked although the answer is a 401.
    """
    session_factory: SessionFactory = request.app.state.session_factory
    async with session_factory() as session:
        try:
            yield session
        except DomainError as error:
            if error.keep_changes:
                await session.commit()
            raise
        await session.commit()


# scope="function": commit before the answer is sent, so that no 201 is ever a lie.
SessionDep = Annotated[AsyncSession, Depends(get_session, scope="function")]
