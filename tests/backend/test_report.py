"""The operators' numbers and imports, the same on SQLite and PostgreSQL."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from app.db.models import Item, User
from app.users import report


@pytest.fixture
async def session(sessions: Any) -> Any:
    """A session on two users: ada with three items, one of them of yesterday, and bob with none."""
    async with sessions() as session:
        ada = User(email="ada@example.com", username="ada", hashed_password="!")
        bob = User(email="bob@example.com", username="bob_50%", hashed_password="!")
        session.add_all([ada, bob])
        await session.flush()
        today = datetime.now(UTC).replace(hour=12)
        for number, made in enumerate((today, today, today - timedelta(days=1))):
            session.add(Item(title=f"Pen {number}", price=1, owner_id=ada.id, created_at=made))
        await session.commit()
        session.info["ada"] = ada.id
        yield session


@pytest.mark.parametrize("owner", ["", "x", "-1", "1.5", "9" * 30, "1 OR 1=1"])
async def test_what_is_no_id_owns_nothing(session: Any, owner: str) -> None:
    """A text that is no id of a row is no error, on either database."""
    assert await report.items_of(session, owner) == 0


async def test_numbers(session: Any) -> None:
    """Counted by owner, by day and in all; who has none is listed too."""
    assert await report.items_of(session, str(session.info["ada"])) == 3
    assert await report.items_since(session, datetime.now(UTC).date()) == 2
    assert await report.numbers(session) == (2, 3)
    assert await report.items_by_user(session) == [("ada", 3), ("bob_50%", 0)]


async def test_an_import_goes_on_after_a_name_that_is_taken(session: Any) -> None:
    """The transaction survives each refusal, and what is new is stored."""
    assert await report.import_users(session, ["cleo", "ada", "cleo", "dan"]) == 2
    await session.commit()
    assert await report.import_users(session, ["cleo", "dan", "eve"]) == 1
    assert (await report.numbers(session))[0] == 5


@pytest.mark.parametrize(
    ("text", "names"),
    [("A", ["ada"]), ("a", ["ada"]), ("BOB_", ["bob_50%"]), ("%", []), ("_", []), ("a\x00", []), ("da", [])],
)
async def test_names_are_found_by_their_beginning(session: Any, text: str, names: list[str]) -> None:
    """In any case; signs of LIKE are plain signs, and NUL finds nothing."""
    assert await report.find_names(session, text) == names
