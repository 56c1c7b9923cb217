"""Somebody with an account, who asks an app; and what they expect of its answers."""

from __future__ import annotations

import secrets
from typing import Any

import httpx

from workbook.practice.server import PASSWORD, Served


class NotYet(Exception):
    """What an app does not do yet: the request, and what came."""


class Somebody:
    """Somebody with an account, who asks an app."""

    def __init__(self, app: Served) -> None:
        self.http, self.name, self._headers = app.http, f"x{secrets.token_hex(6)}", dict[str, str]()

    @property
    def form(self) -> dict[str, str]:
        """The log-in form."""
        return {"username": self.name, "password": PASSWORD}

    async def sign_up(self) -> Somebody:
        """Make the account; return who it is."""
        body = {"email": f"{self.name}@example.com", **self.form}
        answer = expected(await self.http.post("/auth/register", json=body), 201)
        self._headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        return self

    async def ask(self, method: str, path: str, headers: dict[str, str] | None = None, **sent: Any) -> httpx.Response:
        """Send a request, signed in."""
        return await self.http.request(method, path, headers=self._headers | (headers or {}), **sent)

    async def pen(self, title: str = "Pen") -> int:
        """Make an item; return its id."""
        answer = expected(await self.ask("POST", "/items", json={"title": title, "price": "1.50"}), 201)
        return int(answer.json()["id"])


def expected(answer: httpx.Response, *statuses: int) -> httpx.Response:
    """Return an answer that has one of these statuses.

    Raises:
        NotYet: it has another one.
    """
    if answer.status_code not in statuses:
        wanted = " or ".join(map(str, statuses))
        raise NotYet(f"{asked(answer)} gives {answer.status_code}, not {wanted}")
    return answer


def asked(answer: httpx.Response) -> str:
    """Return the request of an answer in words."""
    path = answer.request.url.raw_path.decode().removeprefix("/api/v1")
    return f"{answer.request.method} {path}"


def that(condition: bool, what: str) -> None:
    """Expect something.

    Raises:
        NotYet: it is not so.
    """
    if not condition:
        raise NotYet(what)
