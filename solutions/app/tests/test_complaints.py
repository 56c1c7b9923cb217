"""What people complained about: each test is a promise that it does not happen again."""

import httpx

from app.tests.support import MakeUser, sign_up
from app.users.schemas import Role


class TestComplaints:
    """Each test does what somebody did, and asks what they saw."""

    async def test_one_person_one_account(self, client: httpx.AsyncClient) -> None:
        """Capital letters do not make another e-mail address; no answer tells of the hash."""
        first = await client.post("/auth/register", json=sign_up())
        twin = sign_up("twin", email="ADA@example.com")
        second = await client.post("/auth/register", json=twin)
        assert (first.status_code, second.status_code) == (201, 409)
        assert "password" not in first.text

    async def test_the_wrong_token(self, client: httpx.AsyncClient, make_user: MakeUser) -> None:
        """A refresh token opens nothing, nor does a token of somebody who was switched off."""
        pair = (await client.post("/auth/register", json=sign_up())).json()
        refresh = {"Authorization": f"Bearer {pair['refresh_token']}"}
        dismissed = (await make_user(is_active=False)).headers
        answers = [await client.get("/users/me", headers=one) for one in (refresh, dismissed)]
        assert [answer.status_code for answer in answers] == [401, 400]

    async def test_my_list(self, client: httpx.AsyncClient, make_user: MakeUser) -> None:
        """A list shows one's own items, and nobody else's."""
        for maker in (await make_user(), await make_user()):
            item = {"title": maker.username, "price": 1}
            await client.post("/items", json=item, headers=maker.headers)
            items = (await client.get("/items", headers=maker.headers)).json()
            assert [item["owner_id"] for item in items] == [maker.id]

    async def test_the_last_admin(self, client: httpx.AsyncClient, make_user: MakeUser) -> None:
        """The last admin cannot go."""
        root = await make_user(role=Role.ADMIN)
        answer = await client.delete(f"/users/{root.id}", headers=root.headers)
        assert answer.status_code == 409

    async def test_who_is_known(self, client: httpx.AsyncClient, make_user: MakeUser) -> None:
        """A failed sign-in does not tell who has an account."""
        said = []
        for name in ((await make_user()).username, "nobody"):
            form = {"username": name, "password": "Wrong horse"}
            body = (await client.post("/auth/login", data=form)).json()
            said.append((body["code"], body["detail"]))
        assert said[0] == said[1]

    async def test_a_change_stays(self, client: httpx.AsyncClient, make_user: MakeUser) -> None:
        """What was changed is there at the next request."""
        ada = await make_user()
        await client.patch("/users/me", json={"full_name": "Ada L."}, headers=ada.headers)
        answer = await client.get("/users/me", headers=ada.headers)
        assert answer.json()["full_name"] == "Ada L."
