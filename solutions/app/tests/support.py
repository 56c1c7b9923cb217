"""What the tests share besides fixtures: a password, a body to sign up with, a stored person."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

PASSWORD = "Correct horse"


@dataclass
class Person:
    """A stored user, and the headers that sign them in."""

    id: int
    username: str
    headers: dict[str, str]


MakeUser = Callable[..., Awaitable[Person]]
Override = Callable[[Callable[..., Any], object], None]


def sign_up(username: str = "ada", **fields: object) -> dict[str, object]:
    """Return the body that registers somebody."""
    email = f"{username}@example.com"
    return {"email": email, "username": username, "password": PASSWORD} | fields
