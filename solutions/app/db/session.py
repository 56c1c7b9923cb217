"""Engine and sessions: how the app reaches its database."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
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

from app.core.config import Settings
from app.core.exceptions import DomainError
from app.db.away import tell_when_away
from app.db.schema import prepare_schema
from app.db.slow_queries import log_slow_queries

SessionFactory = async_sessionmaker[AsyncSession]

logger = logging.getLogger(__name__)

Action = Callable[[], Awaitable[None]]


def enable_foreign_keys(connection: Any, _record: object) -> None:
    """Make SQLite check foreign keys, which it does only when a connection asks for it."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def check_foreign_keys(engine: AsyncEngine) -> None:
    """Let each new connection of an SQLite engine check foreign keys."""
    event.listen(engine.sync_engine, "connect", enable_foreign_keys)


def make_engine(database_url: str, *, echo: bool = False, **pool: Any) -> AsyncEngine:
    """Make an engine; the parameters of queries (hashes, names) never appear in errors or logs.

    `pool` holds pool_size, max_overflow and pool_timeout; SQLite has its own rules.
    """
    url = make_url(database_url)
    options: dict[str, Any] = {"echo": echo, "hide_parameters": True, "pool_pre_ping": True}
    if url.get_backend_name() != "sqlite":
        return create_async_engine(url, **options, **pool)
    if url.database in {None, "", ":memory:"}:
        # An in-memory database lives in its connection: keep exactly one and take turns.
        options |= {"poolclass": AsyncAdaptedQueuePool, "pool_size": 1, "max_overflow": 0}
    engine = create_async_engine(url, connect_args={"timeout": 30}, **options)
    check_foreign_keys(engine)
    return engine


def make_session_factory(engine: AsyncEngine) -> SessionFactory:
    """Make the factory of sessions; objects stay readable after a commit."""
    return async_sessionmaker(engine, expire_on_commit=False)


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[SessionFactory]:
    """Open the database for as long as the app runs, with its tables."""
    engine = make_engine(
        settings.database_url,
        echo=settings.debug,
        pool_size=settings.database_pool_size,
        max_overflow=settings.database_max_overflow,
        pool_timeout=settings.database_pool_timeout,
    )
    log_slow_queries(engine, settings.slow_query_seconds)
    tell_when_away(engine)
    try:
        await prepare_schema(engine, settings)
        yield make_session_factory(engine)
    finally:
        await engine.dispose()


async def commit(session: AsyncSession) -> None:
    """Commit, then do what was noted; an action that fails cannot undo what is saved."""
    await session.commit()
    for action in session.info.pop("after_commit", []):
        try:
            await action()
        except Exception:
            logger.exception("an action after the commit failed")


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
                await commit(session)
            raise
        await commit(session)


# scope="function": commit before the answer is sent, so that no 201 is ever a lie.
SessionDep = Annotated[AsyncSession, Depends(get_session, scope="function")]


def after_commit(session: AsyncSession, action: Action) -> None:
    """Note what `get_session` shall do when the commit has worked, before the answer is sent."""
    session.info.setdefault("after_commit", []).append(action)
