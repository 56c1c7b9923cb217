"""Transactions: what is answered is stored, what fails leaves nothing behind."""

import asyncio
from collections import Counter
from typing import Any

import httpx
import pytest
from app.users import router as users_router
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from tests.backend.support import Person, new_user


async def count_users(sessions: Any, username: str) -> int:
    """Count the stored users of this name."""
    from app.users.models import User

    async with sessions() as session:
        query = select(func.count()).select_from(User).where(User.username == username)
        return int(await session.scalar(query))


async def test_twenty_at_once_make_one_user(manager: httpx.AsyncClient, sessions: Any) -> None:
    """Of 20 requests for one e-mail at the same moment one wins, nineteen are told 409."""
    answers = await asyncio.gather(*(manager.post("users", json=new_user()) for _ in range(20)))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 19}
    assert await count_users(sessions, "eve") == 1


async def test_a_failed_commit_is_not_a_201(
    manager: httpx.AsyncClient, sessions: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit comes before the answer, so a lost one is a 500 and no welcome is sent."""
    welcomed: list[int] = []

    async def remember(user_id: int) -> None:
        welcomed.append(user_id)

    async def fail(_session: AsyncSession) -> None:
        raise OperationalError("COMMIT", {}, Exception("disk full"))

    monkeypatch.setattr(users_router, "send_welcome", remember)
    with monkeypatch.context() as broken:
        broken.setattr(AsyncSession, "commit", fail)
        response = await manager.post("users", json=new_user())
    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    assert await count_users(sessions, "eve") == 0
    assert welcomed == []


async def test_background_work_starts_after_the_commit(
    manager: httpx.AsyncClient, sessions: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the welcome is sent, another session can already see the user."""
    seen: list[int] = []

    async def look(_user_id: int) -> None:
        seen.append(await count_users(sessions, "eve"))

    monkeypatch.setattr(users_router, "send_welcome", look)
    assert (await manager.post("users", json=new_user())).status_code == 201
    assert seen == [1]


async def test_an_error_undoes_the_whole_request(manager: httpx.AsyncClient, ada: Person, bob: Person) -> None:
    """A 409 leaves none of the changes of its request."""
    change = {"full_name": "Changed", "email": bob.email}
    assert (await manager.patch(f"users/{ada.id}", json=change)).status_code == 409
    assert (await manager.get(f"users/{ada.id}")).json()["full_name"] is None


async def test_two_changes_to_one_name_end_with_one_owner(manager: httpx.AsyncClient, ada: Person, bob: Person) -> None:
    """Two users who take the same new name at the same moment: one gets it."""
    answers = await asyncio.gather(
        *(manager.patch(f"users/{person.id}", json={"username": "new"}) for person in (ada, bob))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]
