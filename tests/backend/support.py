"""What the tests of the backend share: people, and clients that act for them."""

from dataclasses import dataclass, field
from typing import Any

import httpx

PASSWORD = "Correct horse"
SECRET_KEY = "k8Jd72hLq09ZxC4vBn6MwE3rTy5UiOpA"


@dataclass
class Person:
    """A stored user, with what is needed to act as them."""

    id: int
    email: str
    username: str
    password: str = PASSWORD
    token: str = ""
    refresh_token: str = ""
    headers: dict[str, str] = field(default_factory=dict)


def connect(app: Any, **headers: str) -> httpx.AsyncClient:
    """Make a client of the app; addresses are relative to /api/v1."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://test/api/v1/", headers=headers, timeout=60)


def new_user(**fields: Any) -> dict[str, Any]:
    """The body that creates a user."""
    return {"email": "eve@example.com", "username": "eve", "password": PASSWORD} | fields
