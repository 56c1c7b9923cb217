"""Who may do what: one table for every route with a guard."""

import httpx
import pytest

from app.tests.support import MakeUser, sign_up
from app.users.schemas import Role

BODY = sign_up("new", title="Pen", price="1.50")
# what a visitor, a user and an admin get
ACCESS = {
    "GET /users/me": (401, 200, 200),
    "GET /users": (401, 403, 200),
    "POST /users": (401, 403, 201),
    "GET /users/{bob}": (401, 404, 200),
    "PATCH /users/{bob}": (401, 403, 200),
    "DELETE /users/{bob}": (401, 403, 204),
    "GET /items/{item}": (401, 404, 200),
    "PATCH /items/{item}": (401, 404, 200),
    "DELETE /items/{item}": (401, 404, 204),
}


@pytest.mark.parametrize(("route", "expected"), ACCESS.items())
async def test_access(
    route: str, expected: tuple[int, ...], client: httpx.AsyncClient, make_user: MakeUser
) -> None:
    """Everybody gets what the table says."""
    bob, ada, root = await make_user(), await make_user(), await make_user(role=Role.ADMIN)
    item = (await client.post("/items", json=BODY, headers=bob.headers)).json()["id"]
    method, path = route.format(bob=bob.id, item=item).split()
    found = []
    for headers in ({}, ada.headers, root.headers):
        answer = await client.request(method, path, json=BODY, headers=headers)
        found.append(answer.status_code)
    assert tuple(found) == expected
