"""Signing up, in, and out."""

import httpx
import pytest

from app.tests.support import PASSWORD, sign_up

PASSWORDS = [("Aa345678", 201), ("Aa34567", 422), ("aa345678", 422), ("É" * 37, 422)]


@pytest.mark.parametrize(("password", "status"), PASSWORDS)
async def test_passwords(client: httpx.AsyncClient, password: str, status: int) -> None:
    """A password is accepted or refused by its length, its letters and its bytes."""
    answer = await client.post("/auth/register", json=sign_up(password=password))
    assert answer.status_code == status


async def test_a_session_from_start_to_end(client: httpx.AsyncClient) -> None:
    """Sign up, sign in, refresh, sign out: after that the refresh token is worth nothing."""
    await client.post("/auth/register", json=sign_up())
    answer = await client.post("/auth/login", data={"username": "ada", "password": PASSWORD})
    assert answer.status_code == 200
    for path, status in (("/auth/refresh", 200), ("/auth/logout", 204), ("/auth/refresh", 401)):
        token = answer.json()["refresh_token"]
        last = await client.post(path, json={"refresh_token": token})
        assert last.status_code == status, path
        answer = last if path == "/auth/refresh" else answer
