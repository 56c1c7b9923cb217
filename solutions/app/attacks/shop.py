"""A backend as it is seen from outside: people sign up, sign in and ask. No more is known."""

import secrets
from dataclasses import dataclass, field
from typing import Any

import httpx

PASSWORD = "Correct horse"


@dataclass
class Person:
    """Somebody with an account, and the newest tokens."""

    name: str
    password: str = PASSWORD
    id: int = 0
    access: str = field(default="", repr=False)
    refresh: str = field(default="", repr=False)

    @property
    def email(self) -> str:
        """Return the address that goes with the name."""
        return f"{self.name}@example.com"


def new_name() -> str:
    """Invent a name that nobody has."""
    return f"x{secrets.token_hex(6)}"


class Shop:
    """A backend that is attacked, over HTTP alone."""

    def __init__(self, http: httpx.AsyncClient, admin_password: str = PASSWORD) -> None:
        """Take a client whose paths begin behind /api/v1; the admin is called admin."""
        self.http = http
        self.root = Person("admin", admin_password)

    async def ask(
        self, method: str, path: str, by: Person | str | None = None, **sent: Any
    ) -> httpx.Response:
        """Send a request, with somebody's access token, with a token, or without one."""
        token = by.access if isinstance(by, Person) else by
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return await self.http.request(method, path, headers=headers, **sent)

    async def sign_in(self, person: Person) -> httpx.Response:
        """Start a session of somebody; the new tokens replace the old ones."""
        form = {"username": person.name, "password": person.password}
        return self._keep(person, await self.ask("POST", "/auth/login", data=form))

    async def newcomer(self, **more: Any) -> Person:
        """Sign somebody up; `more` goes into the body too."""
        person = Person(new_name())
        body = {"email": person.email, "username": person.name, "password": person.password}
        self._keep(person, await self.ask("POST", "/auth/register", json=body | more))
        return person

    def _keep(self, person: Person, answer: httpx.Response) -> httpx.Response:
        if answer.is_success:
            body = answer.json()
            person.id = body["user"]["id"]
            person.access, person.refresh = body["access_token"], body["refresh_token"]
        return answer

    async def admin(self) -> Person:
        """Return the admin, signed in."""
        if not self.root.access:
            await self.sign_in(self.root)
        return self.root

    async def pen(self, owner: Person, **more: Any) -> int:
        """Let somebody own a pen; return its id, or 0 where it was refused."""
        body = {"title": "Pen", "price": "1.50"} | more
        answer = await self.ask("POST", "/items", by=owner, json=body)
        return int(answer.json()["id"]) if answer.is_success else 0

    async def hashes(self) -> int:
        """Return how many times the backend has worked on a password, where it has a counter."""
        answer = await self.http.get(self.http.base_url.join("/hashes"))
        return int(answer.text) if answer.is_success else 0
