"""Signing up, in and out."""

import asyncio
import threading
from typing import Any

import bcrypt
import httpx
import pytest
from app.core.security import pwd_context
from app.users.crud import user_crud

from tests.backend.support import PASSWORD, Person, new_user


async def login(client: httpx.AsyncClient, name: str, password: str = PASSWORD) -> httpx.Response:
    """Sign in with the form."""
    return await client.post("auth/login", data={"username": name, "password": password})


async def refresh(client: httpx.AsyncClient, token: str) -> httpx.Response:
    """Exchange a refresh token."""
    return await client.post("auth/refresh", json={"refresh_token": token})


def bearer(pair: dict[str, Any]) -> dict[str, str]:
    """Return the header of the pair's access token."""
    return {"Authorization": f"Bearer {pair['access_token']}"}


async def test_signing_up_signs_in(client: httpx.AsyncClient) -> None:
    """Register answers 201 with both tokens and the user; the tokens work at once."""
    response = await client.post("auth/register", json=new_user(full_name="Eve"))
    body = response.json()
    assert response.status_code == 201
    assert set(body) == {"access_token", "refresh_token", "token_type", "user"}
    assert body["token_type"] == "bearer"
    assert "password" not in body["user"]
    assert response.headers["cache-control"] == "no-store"
    me = await client.get("users/me", headers=bearer(body))
    assert me.json() == body["user"]


async def test_signing_up_keeps_the_password_rules(client: httpx.AsyncClient) -> None:
    """A weak password is refused here too."""
    response = await client.post("auth/register", json=new_user(password="weak"))
    assert response.status_code == 422


async def test_signing_up_cannot_choose_a_role(client: httpx.AsyncClient) -> None:
    """Role and state in the request are ignored."""
    extra = {"role": "admin", "is_active": False, "is_superuser": True}
    user = (await client.post("auth/register", json=new_user(**extra))).json()["user"]
    assert (user["role"], user["is_active"]) == ("user", True)


async def test_signing_up_twice_is_a_conflict(client: httpx.AsyncClient, ada: Person) -> None:
    """A taken e-mail is 409; of many at once one wins."""
    assert (await client.post("auth/register", json=new_user(email=ada.email))).status_code == 409
    answers = await asyncio.gather(*(client.post("auth/register", json=new_user()) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 19


@pytest.mark.parametrize("name", ["ada", "ADA", " ada ", "ada@example.com", "Ada@Example.COM"])
async def test_sign_in_by_either_name(client: httpx.AsyncClient, ada: Person, name: str) -> None:
    """The e-mail and the user name both work, in any case."""
    response = await login(client, name)
    assert response.status_code == 200
    assert response.json()["user"]["id"] == ada.id
    assert response.headers["cache-control"] == "no-store"


async def test_wrong_credentials_look_alike(client: httpx.AsyncClient, ada: Person) -> None:
    """An unknown user and a wrong password get the same answer, with the challenge and no-store."""
    answers = [await login(client, "ada", "Wrong horse"), await login(client, "nobody")]
    for answer in answers:
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.json()["error"] == "invalid_grant"
    first, second = ({**answer.json(), "request_id": ""} for answer in answers)
    assert first == second


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("ada\x00", PASSWORD),
        ("ada", "Abcdefgh\x00"),
        ("ada", "A" * 73),
        ("ada", "É" * 5000),
        ("a" * 100_000, PASSWORD),
        ("\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), PASSWORD),
    ],
    ids=["NUL name", "NUL password", "73 bytes", "long password", "long name", "surrogate"],
)
async def test_hostile_credentials_are_only_wrong(
    client: httpx.AsyncClient, ada: Person, name: str, password: str
) -> None:
    """What bcrypt or the database cannot take is 401, not 500."""
    assert (await login(client, name, password)).status_code == 401


async def test_json_is_no_login_form(client: httpx.AsyncClient, ada: Person) -> None:
    """Login takes a form; JSON is told what is missing."""
    response = await client.post("auth/login", json={"username": "ada", "password": PASSWORD})
    assert response.status_code == 422


async def test_an_inactive_user_is_told_so_only_with_the_right_password(
    client: httpx.AsyncClient, make_user: Any
) -> None:
    """400 with invalid_grant for the owner; 401 for everybody else."""
    await make_user("off", is_active=False)
    response = await login(client, "off")
    assert (response.status_code, response.json()["code"]) == (400, "inactive_user")
    assert response.json()["error"] == "invalid_grant"
    assert response.headers["cache-control"] == "no-store"
    assert (await login(client, "off", "Wrong horse")).status_code == 401


async def test_deactivation_works_at_once(client: httpx.AsyncClient, admin: Person, ada: Person) -> None:
    """An access token that is still fresh is refused with 400; the refresh token with 401."""
    change = {"is_active": False}
    await client.patch(f"users/{ada.id}", json=change, headers=admin.headers)
    response = await client.get("users/me", headers=ada.headers)
    assert (response.status_code, response.json()["code"]) == (400, "inactive_user")
    assert (await refresh(client, ada.refresh_token)).status_code == 401
    await client.patch(f"users/{ada.id}", json={"is_active": True}, headers=admin.headers)
    assert (await refresh(client, ada.refresh_token)).status_code == 401


async def test_an_inactive_user_cannot_refresh(client: httpx.AsyncClient, make_user: Any) -> None:
    """Also when the account was switched off behind the app's back."""
    person = await make_user("off", is_active=False)
    assert (await refresh(client, person.refresh_token)).status_code == 401


async def test_a_deleted_user_is_nobody(client: httpx.AsyncClient, admin: Person, ada: Person) -> None:
    """After deletion neither token nor password is worth anything."""
    await client.delete(f"users/{ada.id}", headers=admin.headers)
    assert (await client.get("users/me", headers=ada.headers)).status_code == 401
    assert (await refresh(client, ada.refresh_token)).status_code == 401
    assert (await login(client, "ada")).status_code == 401


async def test_refresh_gives_a_new_pair(client: httpx.AsyncClient, ada: Person) -> None:
    """Both tokens are new and work; the old refresh token is spent."""
    response = await refresh(client, ada.refresh_token)
    pair = response.json()
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert pair["access_token"] != ada.token
    assert pair["refresh_token"] != ada.refresh_token
    assert (await client.get("users/me", headers=bearer(pair))).status_code == 200
    assert (await refresh(client, pair["refresh_token"])).status_code == 200


async def test_a_reused_token_ends_its_session(client: httpx.AsyncClient, ada: Person) -> None:
    """A spent token that comes again revokes the newest one too, but no other sign-in."""
    elsewhere = (await login(client, "ada")).json()
    newest = (await refresh(client, ada.refresh_token)).json()
    reused = await refresh(client, ada.refresh_token)
    assert (reused.status_code, reused.json()["error"]) == (401, "invalid_grant")
    assert reused.headers["cache-control"] == "no-store"
    assert (await refresh(client, newest["refresh_token"])).status_code == 401
    assert (await refresh(client, elsewhere["refresh_token"])).status_code == 200


async def test_one_token_is_exchanged_once(client: httpx.AsyncClient, ada: Person) -> None:
    """Of 10 requests with one refresh token at the same moment at most one gets a pair."""
    answers = await asyncio.gather(*(refresh(client, ada.refresh_token) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 9


async def test_logout_ends_the_session(client: httpx.AsyncClient, ada: Person) -> None:
    """204, and the refresh token is worth nothing; again, 204."""
    body = {"refresh_token": ada.refresh_token}
    for _ in range(2):
        response = await client.post("auth/logout", json=body)
        assert (response.status_code, response.content) == (204, b"")
    assert (await refresh(client, ada.refresh_token)).status_code == 401


async def test_logout_with_a_spent_token_ends_the_session(client: httpx.AsyncClient, ada: Person) -> None:
    """204 for a token already spent; its session ends all the same."""
    newest = (await refresh(client, ada.refresh_token)).json()
    response = await client.post("auth/logout", json={"refresh_token": ada.refresh_token})
    assert response.status_code == 204
    assert (await refresh(client, newest["refresh_token"])).status_code == 401


async def test_logout_with_rubbish_tells_nothing(client: httpx.AsyncClient, ada: Person) -> None:
    """A token that is none, or an access token, changes nothing and is 204."""
    for token in ("rubbish", ada.token, ""):
        response = await client.post("auth/logout", json={"refresh_token": token})
        assert response.status_code == 204
    assert (await refresh(client, ada.refresh_token)).status_code == 200


async def test_a_new_password_ends_every_session(client: httpx.AsyncClient, ada: Person) -> None:
    """With the current password it changes; then only the new one works."""
    body = {"current_password": PASSWORD, "new_password": "Battery staple"}
    response = await client.post("auth/password", json=body, headers=ada.headers)
    assert (response.status_code, response.content) == (204, b"")
    assert (await refresh(client, ada.refresh_token)).status_code == 401
    assert (await login(client, "ada")).status_code == 401
    assert (await login(client, "ada", "Battery staple")).status_code == 200


async def test_a_new_password_needs_the_current_one(client: httpx.AsyncClient, ada: Person) -> None:
    """A stolen access token is not enough to take an account over."""
    body = {"current_password": "Wrong horse", "new_password": "Battery staple"}
    response = await client.post("auth/password", json=body, headers=ada.headers)
    assert (response.status_code, response.json()["code"]) == (400, "wrong_password")
    assert (await login(client, "ada")).status_code == 200


async def test_a_reset_password_ends_every_session(client: httpx.AsyncClient, admin: Person, ada: Person) -> None:
    """An admin's reset signs the user out everywhere."""
    change = {"password": "Battery staple"}
    response = await client.patch(f"users/{ada.id}", json=change, headers=admin.headers)
    assert response.status_code == 200
    assert (await refresh(client, ada.refresh_token)).status_code == 401
    assert (await login(client, "ada", "Battery staple")).status_code == 200


async def test_other_changes_keep_the_sessions(client: httpx.AsyncClient, admin: Person, ada: Person) -> None:
    """A new name signs nobody out."""
    await client.patch(f"users/{ada.id}", json={"full_name": "Ada"}, headers=admin.headers)
    assert (await refresh(client, ada.refresh_token)).status_code == 200


async def test_sessions_can_be_listed_and_ended(client: httpx.AsyncClient, ada: Person, bob: Person) -> None:
    """You see your own sessions without their tokens, and end one; others' are 404."""
    await login(client, "ada")
    response = await client.get("auth/sessions", headers=ada.headers)
    listed = response.json()
    assert len(listed) == 2
    assert set(listed[0]) == {"id", "created_at", "updated_at", "expires_at"}
    address = f"auth/sessions/{listed[1]['id']}"
    assert (await client.delete(address, headers=bob.headers)).status_code == 404
    assert (await client.delete(address, headers=ada.headers)).status_code == 204
    assert (await client.delete(address, headers=ada.headers)).status_code == 404
    assert (await refresh(client, ada.refresh_token)).status_code == 401


async def test_expired_sessions_are_forgotten(client: httpx.AsyncClient, sessions: Any, ada: Person) -> None:
    """The next sign-in removes them, so the table does not grow for ever."""
    from datetime import timedelta

    from app.auth.models import LoginSession
    from app.db.base import utc_now
    from sqlalchemy import func, select, update

    async with sessions.begin() as session:
        await session.execute(update(LoginSession).values(expires_at=utc_now() - timedelta(days=1)))
    assert (await client.get("auth/sessions", headers=ada.headers)).json() == []
    await login(client, "ada")
    async with sessions() as session:
        assert await session.scalar(select(func.count()).select_from(LoginSession)) == 1


async def test_a_cheap_hash_is_replaced_at_sign_in(client: httpx.AsyncClient, sessions: Any, ada: Person) -> None:
    """When the cost rises, the next sign-in stores a dearer hash that still fits the password."""
    pwd_context.update(bcrypt__rounds=5)
    assert (await login(client, "ada")).status_code == 200
    async with sessions() as session:
        user = await user_crud.get(session, ada.id)
        assert user is not None
        assert user.hashed_password.startswith("$2b$05$")
    assert (await login(client, "ada")).status_code == 200


async def test_a_hash_that_is_none_never_fits(client: httpx.AsyncClient, make_user: Any) -> None:
    """Users stored before chapter 07 have "!" for a hash: they cannot sign in, and nothing breaks."""
    await make_user("old", hashed_password="!")
    for password in ("!", "", PASSWORD):
        assert (await login(client, "old", password or " ")).status_code == 401


async def test_unknown_users_take_as_much_work_as_known_ones(
    client: httpx.AsyncClient, make_user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The work behind an answer does not tell who has an account: one run of bcrypt, at one cost, for each."""
    await make_user("known")
    pwd_context.dummy_verify()
    costs: list[bytes] = []
    hashpw = bcrypt.hashpw

    def count(password: bytes, salt: bytes) -> bytes:
        costs.append(salt[4:6])
        return hashpw(password, salt)

    monkeypatch.setattr(bcrypt, "hashpw", count)
    cost = b"%02d" % pwd_context.handler("bcrypt").default_rounds
    for name, password in (
        ("known", "Wrong horse"),
        ("nobody", "Wrong horse"),
        ("known", "A" * 73),
        ("nobody", "A" * 73),
    ):
        costs.clear()
        assert (await login(client, name, password)).status_code == 401
        assert costs == [cost], (name, password)


async def test_hashing_does_not_stop_other_requests(
    client: httpx.AsyncClient, make_user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a password is checked, the event loop goes on: the check waits for a turn of the loop, and gets it."""
    await make_user("ada")
    checking, turned = threading.Event(), threading.Event()
    verify = pwd_context.verify

    def wait(*arguments: str) -> Any:
        checking.set()
        assert turned.wait(timeout=60), "the event loop stood still"
        return verify(*arguments)

    monkeypatch.setattr(pwd_context, "verify", wait)
    task = asyncio.create_task(login(client, "ada"))
    while not checking.is_set() and not task.done():
        await asyncio.sleep(0.005)
    turned.set()
    assert (await task).status_code == 200


@pytest.mark.parametrize("scheme", ["", "Bearer", "Bearer ", "Basic YTpi", "Token x", "Bearer x"])
async def test_without_a_token_there_is_a_challenge(client: httpx.AsyncClient, scheme: str) -> None:
    """401 with `WWW-Authenticate: Bearer`, whatever is wrong with the header."""
    response = await client.get("users/me", headers={"Authorization": scheme} if scheme else {})
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"


async def test_the_document_knows_how_to_sign_in(client: httpx.AsyncClient) -> None:
    """The Authorize button of /docs asks for a password and sends it to the login route."""
    document = (await client.get("openapi.json")).json()
    (scheme,) = document["components"]["securitySchemes"].values()
    assert scheme["type"] == "oauth2"
    assert scheme["flows"]["password"]["tokenUrl"] == "/api/v1/auth/login"
    assert document["paths"]["/api/v1/users/me"]["get"]["security"]
    assert "security" not in document["paths"]["/api/v1/auth/login"]["post"]


async def test_who_waits_for_a_turn_holds_no_connection(
    app: Any, client: httpx.AsyncClient, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While `login` compares a password, which may take seconds, its connection is in the pool."""
    from app.core.security import verify_password

    pool = app.state.session_factory.kw["bind"].sync_engine.pool
    held: list[int] = []

    async def compare_and_look(*args: Any) -> tuple[bool, str | None]:
        held.append(pool.checkedout())
        return await verify_password(*args)

    monkeypatch.setattr("app.auth.service.verify_password", compare_and_look)
    for password, status in ((PASSWORD, 200), ("Wrong horse", 401)):
        form = {"username": ada.username, "password": password}
        assert (await client.post("auth/login", data=form)).status_code == status
    assert held == [0, 0]
