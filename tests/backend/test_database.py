"""Tables and sessions, on SQLite and PostgreSQL alike."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from app.db.base import UtcDateTime, utc_now
from app.db.migrate import upgrade
from app.db.models import Base, Item, User
from app.db.session import get_session, make_engine, make_session_factory
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError, InvalidRequestError, StatementError


def user(name: str = "ada", **columns: Any) -> User:
    """Return a user that is not stored yet."""
    return User(email=f"{name}@example.com", username=name, hashed_password="!", **columns)


async def test_times_are_aware(sessions: Any) -> None:
    """A stored time comes back with its time zone, also from SQLite."""
    async with sessions.begin() as session:
        session.add(user())
    async with sessions() as session:
        stored = await session.scalar(select(User))
    assert stored.created_at.utcoffset() == timedelta(0)
    assert abs(stored.created_at - datetime.now(UTC)) < timedelta(minutes=1)


async def test_other_time_zones_are_stored_as_utc(sessions: Any) -> None:
    """The instant is kept, whatever the offset."""
    noon = datetime(2030, 1, 1, 12, tzinfo=timezone(timedelta(hours=5)))
    async with sessions.begin() as session:
        session.add(user(deleted_at=noon))
    async with sessions() as session:
        assert await session.scalar(select(User.deleted_at)) == noon


async def test_a_naive_time_is_refused(sessions: Any) -> None:
    """Nobody knows which time zone it means."""
    async with sessions() as session:
        session.add(user(deleted_at=datetime(2030, 1, 1)))
        with pytest.raises(StatementError, match="no time zone"):
            await session.flush()


def test_an_aware_result_is_brought_to_utc() -> None:
    """A driver that returns another offset changes nothing for the app."""
    value = datetime(2030, 1, 1, 12, tzinfo=timezone(timedelta(hours=5)))
    result = UtcDateTime().process_result_value(value, None)  # type: ignore[arg-type]
    assert result is not None
    assert result.utcoffset() == timedelta(0)


async def test_updated_at_is_readable_after_commit(sessions: Any) -> None:
    """Reading a changed row after the commit needs no query, so no MissingGreenlet."""
    async with sessions() as session:
        stored = user()
        session.add(stored)
        await session.commit()
        before = stored.updated_at
        stored.full_name = "Ada"
        await session.commit()
        assert stored.updated_at > before


@pytest.mark.parametrize("other", ["ada@example.com", "ADA@EXAMPLE.com"])
async def test_an_email_is_unique_in_any_case(sessions: Any, other: str) -> None:
    """`Ada@x.com` and `ada@x.com` are one address."""
    async with sessions() as session:
        session.add_all([user(), User(email=other, username="eve", hashed_password="!")])
        with pytest.raises(IntegrityError):
            await session.flush()


async def test_an_item_needs_an_owner_that_exists(sessions: Any) -> None:
    """Foreign keys are checked, also on SQLite."""
    async with sessions() as session:
        session.add(Item(title="Pen", price=1, owner_id=2**30))
        with pytest.raises(IntegrityError):
            await session.flush()


async def test_items_go_with_their_owner(sessions: Any) -> None:
    """Deleting a user's row deletes the items."""
    async with sessions.begin() as session:
        owner = user()
        session.add(owner)
        await session.flush()
        session.add(Item(title="Pen", price=1, owner_id=owner.id))
        await session.flush()
        await session.delete(owner)
        await session.flush()
        assert await session.scalar(select(func.count()).select_from(Item)) == 0


async def test_nothing_is_loaded_behind_your_back(sessions: Any) -> None:
    """Reading a relationship that was not asked for raises a clear error."""
    async with sessions() as session:
        owner = user()
        session.add(owner)
        await session.flush()
        session.expire(owner, ["items"])
        with pytest.raises(InvalidRequestError, match="raise"):
            _ = owner.items


def test_every_constraint_has_a_name() -> None:
    """A migration can only change what has a name."""
    for table in Base.metadata.sorted_tables:
        assert all(constraint.name for constraint in table.constraints)
        assert all(index.name for index in table.indexes)


async def test_a_file_database_takes_many_writers(tmp_path: Path) -> None:
    """Writers of a SQLite file wait for each other instead of failing."""
    engine = make_engine(f"sqlite+aiosqlite:///{tmp_path}/test.db")
    await upgrade(engine)
    sessions = make_session_factory(engine)

    async def write(name: str) -> None:
        async with sessions.begin() as session:
            session.add(user(name))

    await asyncio.gather(*(write(f"user{number}") for number in range(20)))
    async with sessions() as session:
        assert await session.scalar(select(func.count()).select_from(User)) == 20
    await engine.dispose()


async def test_an_error_does_not_show_the_values(sessions: Any) -> None:
    """A database error in the log has no hash and no e-mail in its parameters."""
    async with sessions() as session:
        session.add(user(full_name="Secret name"))
        session.add(user(full_name="Secret name"))
        with pytest.raises(IntegrityError) as caught:
            await session.flush()
    assert "Secret name" not in str(caught.value)


def test_the_session_dependency_is_a_generator() -> None:
    """Tests can replace it through dependency_overrides."""
    assert callable(get_session)
    assert utc_now().tzinfo is UTC


async def test_who_gives_up_a_query_is_not_told_that_the_database_is_away(sessions: Any) -> None:
    """A query that is cancelled raises what cancelled it, and the next one works."""
    async with sessions() as session:
        if session.bind.dialect.name == "sqlite":
            pytest.skip("a database in memory ends with the one connection that it has")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await session.execute(text("SELECT pg_sleep(30)"))

    async def ask(statement: str) -> Any:
        async with sessions() as session:
            return await session.scalar(text(statement))

    task = asyncio.create_task(ask("SELECT pg_sleep(30)"))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await ask("SELECT 7") == 7
