"""Users: what one sees of oneself."""

import httpx

from app.auth.dependencies import get_token_issuer
from app.auth.tokens import TokenIssuer
from app.core.config import Settings
from app.tests.support import MakeUser, Override, sign_up


async def test_sign_up_shows_who_you_are(client: httpx.AsyncClient) -> None:
    """Signing up answers 201, with the user that was made."""
    answer = await client.post("/auth/register", json=sign_up())
    assert answer.status_code == 201
    assert answer.json()["user"]["username"] == "ada"


async def test_a_full_name_may_be_missing(client: httpx.AsyncClient) -> None:
    """Who gives no full name has none."""
    answer = await client.post("/auth/register", json=sign_up())
    assert answer.status_code == 201
    assert answer.json()["user"]["full_name"] is None


async def test_a_token_expires(
    client: httpx.AsyncClient, override: Override, settings: Settings
) -> None:
    """A token that has expired signs nobody in."""
    late = settings.model_copy(update={"access_token_expire_minutes": -1})
    override(get_token_issuer, TokenIssuer(late))
    pair = (await client.post("/auth/register", json=sign_up())).json()
    headers = {"Authorization": f"Bearer {pair['access_token']}"}
    assert (await client.get("/users/me", headers=headers)).status_code == 401


async def test_a_token_signs_in(client: httpx.AsyncClient, make_user: MakeUser) -> None:
    """A token shows who is asking."""
    ada = await make_user("ada")
    answer = await client.get("/users/me", headers=ada.headers)
    assert answer.json()["username"] == "ada"
