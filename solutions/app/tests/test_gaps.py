"""What no other test tried: found on the map of coverage."""

import httpx
from fastapi import FastAPI

from app.core.security import pwd_context
from app.tests.support import PASSWORD, MakeUser, sign_up
from app.users.models import User
from app.users.schemas import Role


class TestGaps:
    """Rules that show only later: each test acts first, and looks afterwards."""

    async def test_a_copied_token(self, client: httpx.AsyncClient) -> None:
        """A refresh token that comes twice ends the session, with the newest token."""
        answers = [await client.post("/auth/register", json=sign_up())]
        for number in (0, 0, 1):
            body = {"refresh_token": answers[number].json()["refresh_token"]}
            answers.append(await client.post("/auth/refresh", json=body))
        assert [answer.status_code for answer in answers] == [201, 200, 401, 401]

    async def test_an_old_hash(
        self, app: FastAPI, client: httpx.AsyncClient, make_user: MakeUser
    ) -> None:
        """Signing in renews a hash that was made with another cost."""
        old = pwd_context.copy(bcrypt__rounds=5).hash(PASSWORD)
        ada = await make_user(hashed_password=old)
        form = {"username": ada.username, "password": PASSWORD}
        await client.post("/auth/login", data=form)
        async with app.state.session_factory() as session:
            stored = await session.get(User, ada.id)
        assert stored.hashed_password != old

    async def test_a_new_password(self, client: httpx.AsyncClient, make_user: MakeUser) -> None:
        """A password that an admin sets ends every session of the user."""
        root = await make_user(role=Role.ADMIN)
        pair = (await client.post("/auth/register", json=sign_up())).json()
        path = f"/users/{pair['user']['id']}"
        await client.patch(path, json={"password": "Another horse"}, headers=root.headers)
        answer = await client.post("/auth/refresh", json={"refresh_token": pair["refresh_token"]})
        assert answer.status_code == 401
