"""Who takes part in an exam: accounts with random names, an admin where one is given, and the client for all."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import Any

from workbook.exam.client import Answer, Client
from workbook.exam.finding import Failure, Unasked


@dataclass
class Person:
    """An account, and its newest tokens."""

    email: str
    username: str
    password: str
    id: Any = None
    access: str = field(default="", repr=False)
    refresh: str = field(default="", repr=False)

    def form(self) -> dict[str, str]:
        """Return the log-in form."""
        return {"username": self.username, "password": self.password}

    def sign_up(self, **more: Any) -> dict[str, Any]:
        """Return the body of a sign-up."""
        return {"email": self.email, "username": self.username, "password": self.password, **more}


@dataclass
class Exam:
    """What every criterion gets.

    Args:
        client: asks the backend.
        admin_name: an admin's user name or e-mail, empty where none is given.
        admin_password: its password.
        secret_key: the key that signs tokens, empty where it is not given.
        last_admin: whether the admin's own rights may be put at risk.
        limits: whether the backend is expected to limit tries.
    """

    client: Client
    admin_name: str = ""
    admin_password: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)
    last_admin: bool = False
    limits: bool = True
    passwords: list[str] = field(default_factory=list, repr=False)
    admins: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)  # who changes or counts them
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)
    _known: dict[str, Person | Exception] = field(default_factory=dict, repr=False)

    def stranger(self) -> Person:
        """Invent somebody who has no account."""
        name = f"x{secrets.token_hex(6)}"
        password = f"Exam {secrets.token_hex(8)}"
        self.passwords.append(password)
        return Person(f"{name}@example.com", name, password)

    async def newcomer(self, **more: Any) -> Person:
        """Sign somebody up.

        Raises:
            Unasked: signing up does not work; exercise 9.1 says how.
        """
        person = self.stranger()
        answer = await self.client.ask("POST", "/auth/register", data=person.sign_up(**more))
        return self._signed_in(person, answer)

    async def sign_in(self, person: Person) -> Person:
        """Start one more session of somebody: the same person with other tokens."""
        answer = await self.client.ask("POST", "/auth/login", form=person.form())
        again = Person(person.email, person.username, person.password)
        return self._signed_in(again, answer)

    def _signed_in(self, person: Person, answer: Answer) -> Person:
        body = answer.data()
        user = body.get("user")
        try:
            person.id = user["id"] if isinstance(user, dict) else None
            person.access, person.refresh = str(body["access_token"]), str(body["refresh_token"])
        except (KeyError, TypeError, ValueError):
            raise Unasked(f"nobody could sign in: {answer.did} gave {answer.told()}") from None
        return person

    async def ada(self) -> Person:
        """Return somebody with an account; the same one in every criterion."""
        return await self._cast("ada")

    async def bob(self) -> Person:
        """Return somebody else with an account."""
        return await self._cast("bob")

    async def admin(self) -> Person:
        """Return the admin, signed in.

        Raises:
            Unasked: none is given, or they cannot sign in.
        """
        if not self.admin_name:
            raise Unasked("it needs an admin: --admin and --admin-password", chosen=True)
        return await self._cast("admin")

    async def _cast(self, name: str) -> Person:
        """Sign somebody in once; what went wrong then goes wrong for every criterion."""
        async with self._turn:
            if name not in self._known:
                try:
                    self._known[name] = await (self._admin_signs_in() if name == "admin" else self.newcomer())
                except (Failure, Unasked) as error:
                    self._known[name] = error
        known = self._known[name]
        if isinstance(known, Failure):
            raise Unasked(f"nobody could sign in: {known.did}: {known.got}")
        if isinstance(known, Exception):
            raise known
        return known

    async def _admin_signs_in(self) -> Person:
        """Sign the admin in.

        Raises:
            Unasked: the backend refuses it, or says that this account is no admin's.
        """
        given = Person(self.admin_name, self.admin_name, self.admin_password)
        answer = await self.client.ask("POST", "/auth/login", form=given.form())
        if answer.status == 401:
            raise Unasked("the admin cannot sign in: 401; are --admin and --admin-password right?")
        person, user = self._signed_in(given, answer), answer.data()["user"]
        if isinstance(user, dict) and user.get("role") not in (None, "admin"):
            raise Unasked(f"the account of --admin has the role {user['role']!r}: it must be an admin's")
        return person

    async def item(self, owner: Person, **more: Any) -> dict[str, Any]:
        """Let somebody own an item; return it.

        Raises:
            Unasked: it cannot be made; exercise 10.2 says how.
        """
        data = {"title": "Pen", "price": "1.50"} | more
        answer = await self.client.ask("POST", "/items", token=owner.access, data=data)
        body = answer.data()
        if answer.status != 201 or not body.get("id"):
            raise Unasked(f"no item could be made: {answer.did} gave {answer.told()}")
        return body
