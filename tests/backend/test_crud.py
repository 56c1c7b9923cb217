"""The queries behind the services."""

from decimal import Decimal
from typing import Any

import pytest
from app.db.crud import MAX_LIMIT
from app.items.crud import item_crud
from app.items.schemas import ItemCreate, ItemUpdate
from app.users.crud import user_crud
from app.users.schemas import UserCreate, UserUpdate
from sqlalchemy import event

from tests.backend.support import new_user


async def add_user(session: Any, name: str = "ada", **fields: Any) -> Any:
    """Store a user."""
    data = UserCreate(**new_user(email=f"{name}@example.com", username=name, **fields))
    return await user_crud.create(session, data, hashed_password="!")


async def test_create_flushes_but_does_not_commit(sessions: Any) -> None:
    """The new row has an id at once, and is gone when nobody commits."""
    async with sessions() as session:
        user = await add_user(session)
        assert user.id
    async with sessions() as session:
        assert await user_crud.get(session, user.id) is None


async def test_update_changes_only_what_was_sent(sessions: Any) -> None:
    """A field that is not sent keeps its value; null empties an optional one."""
    async with sessions() as session:
        user = await add_user(session, full_name="Ada")
        await user_crud.update(session, user, UserUpdate(username="countess"))
        assert (user.username, user.full_name) == ("countess", "Ada")
        await user_crud.update(session, user, UserUpdate(full_name=None))
        assert (user.username, user.full_name) == ("countess", None)


async def test_pages_are_stable_and_bounded(sessions: Any) -> None:
    """Pages never overlap, have at most MAX_LIMIT rows, and absurd bounds do no harm."""
    async with sessions() as session:
        owner = await add_user(session)
        for _ in range(MAX_LIMIT + 5):
            await item_crud.create(session, ItemCreate(title="Pen", price=1), owner_id=owner.id)
        first = await item_crud.get_multi(session, limit=10**6, sort="title")
        rest = await item_crud.get_multi(session, skip=MAX_LIMIT, sort="title")
        assert (len(first), len(rest)) == (MAX_LIMIT, 5)
        assert [row.id for row in first + rest] == sorted(row.id for row in first + rest)
        assert len(await item_crud.get_multi(session, skip=-1, limit=1)) == 1
        assert await item_crud.get_multi(session, limit=-1) == []


async def test_sorting_downwards_breaks_ties_by_id(sessions: Any) -> None:
    """`-price` puts the dearest first, equal prices in the order of their ids."""
    async with sessions() as session:
        owner = await add_user(session)
        for title, price in (("a", 1), ("b", 2), ("c", 2)):
            await item_crud.create(session, ItemCreate(title=title, price=price), owner_id=owner.id)
        rows = await item_crud.get_multi(session, sort="-price")
        assert [row.title for row in rows] == ["b", "c", "a"]


async def test_get_by_email_ignores_case(sessions: Any) -> None:
    """An address is found however it is written."""
    async with sessions() as session:
        user = await add_user(session)
        assert await user_crud.get_by_email(session, " ADA@example.com ") is user
        assert await user_crud.get_by_email(session, "eve@example.com") is None


async def test_deleted_users_are_hidden(sessions: Any) -> None:
    """No query returns a deleted user, and the count leaves them out."""
    async with sessions() as session:
        user = await add_user(session)
        await user_crud.soft_delete(session, user)
        assert user.deleted_at is not None
        assert await user_crud.get(session, user.id) is None
        assert await user_crud.get_by_email(session, user.email) is None
        assert await user_crud.get_multi(session) == []
        assert await user_crud.count(session) == 0


@pytest.mark.parametrize(("text", "found"), [("%", 1), ("_", 1), ("PER", 2), ("zzz", 0)])
async def test_search_takes_wildcards_as_text(sessions: Any, text: str, found: int) -> None:
    """% and _ are characters like any others; the case does not matter."""
    async with sessions() as session:
        owner = await add_user(session)
        for title in ("100 % paper_x", "Pepper"):
            data = ItemCreate(title=title, price="1.20")
            await item_crud.create(session, data, owner_id=owner.id)
        assert await item_crud.count(session, where=[item_crud.matches(text)]) == found


async def test_items_with_owners_take_two_queries(sessions: Any) -> None:
    """However many items there are, their owners come in one more query."""
    async with sessions.begin() as session:
        for name in ("ada", "bob", "eve"):
            owner = await add_user(session, name)
            await item_crud.create(session, ItemCreate(title=name, price=1), owner_id=owner.id)
    queries: list[str] = []
    async with sessions() as session:
        engine = session.bind.sync_engine

        def count(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            queries.append(statement)

        event.listen(engine, "before_cursor_execute", count)
        items = await item_crud.get_multi_with_owner(session)
        assert [item.owner.username for item in items] == ["ada", "bob", "eve"]
        event.remove(engine, "before_cursor_execute", count)
    assert len(queries) == 2


async def test_items_can_be_changed_and_deleted(sessions: Any) -> None:
    """A price is exact, and a deleted row is gone."""
    async with sessions() as session:
        owner = await add_user(session)
        item = await item_crud.create(session, ItemCreate(title="Pen", price="0.10"), owner_id=owner.id)
        await item_crud.update(session, item, ItemUpdate(price="99999999.99"))
        await session.commit()
        session.expunge_all()
        stored = await item_crud.get(session, item.id)
        assert stored is not None
        assert stored.price == Decimal("99999999.99")
        await item_crud.delete(session, stored)
        assert await item_crud.get(session, item.id) is None
