"""Every route, asked by everybody: what each may do is written down here, cell by cell."""

from typing import Any

import httpx
import pytest

from tests.backend.support import PASSWORD, Person, new_user

ROLES = ("anonymous", "user", "other", "inactive", "admin")

# What each role gets, in the order of ROLES. `user` owns what the path names, `other` does not.
MATRIX: dict[str, tuple[int, int, int, int, int]] = {
    "GET /health": (200, 200, 200, 200, 200),
    "POST /api/v1/auth/register": (201, 201, 201, 201, 201),
    "POST /api/v1/auth/login": (200, 200, 200, 200, 200),
    "POST /api/v1/auth/refresh": (200, 200, 200, 200, 200),
    "POST /api/v1/auth/logout": (204, 204, 204, 204, 204),
    "POST /api/v1/auth/password": (401, 204, 204, 400, 204),
    "POST /api/v1/auth/password-reset": (202, 202, 202, 202, 202),
    "POST /api/v1/auth/password-reset/confirm": (204, 204, 204, 204, 204),  # the token says whose
    "GET /api/v1/auth/sessions": (401, 200, 200, 400, 200),
    "DELETE /api/v1/auth/sessions/{session_id}": (401, 204, 404, 400, 404),
    "GET /api/v1/users/me": (401, 200, 200, 400, 200),
    "PATCH /api/v1/users/me": (401, 200, 200, 400, 200),
    "GET /api/v1/users/me/summary": (401, 200, 200, 400, 200),
    "GET /api/v1/users/me/export": (401, 200, 200, 400, 200),
    "GET /api/v1/users": (401, 403, 403, 400, 200),
    "POST /api/v1/users": (401, 403, 403, 400, 201),
    "GET /api/v1/users/{user_id}": (401, 200, 404, 400, 200),
    "PATCH /api/v1/users/{user_id}": (401, 403, 403, 400, 200),
    "DELETE /api/v1/users/{user_id}": (401, 403, 403, 400, 204),
    "GET /api/v1/items": (401, 200, 200, 400, 200),
    "POST /api/v1/items": (401, 201, 201, 400, 201),
    "GET /api/v1/items/{item_id}": (401, 200, 404, 400, 200),
    "PATCH /api/v1/items/{item_id}": (401, 200, 404, 400, 200),
    "DELETE /api/v1/items/{item_id}": (401, 204, 404, 400, 204),
}
LATER = {"GET /health/ready", "GET /metrics"}  # chapter 14, tested there

BODIES: dict[str, Any] = {
    "POST /api/v1/auth/register": new_user(),
    "POST /api/v1/auth/password": {"current_password": PASSWORD, "new_password": "Battery staple"},
    "POST /api/v1/auth/password-reset": {"email": "ada@example.com"},
    "PATCH /api/v1/users/me": {"full_name": "New"},
    "POST /api/v1/users": new_user(),
    "PATCH /api/v1/users/{user_id}": {"full_name": "New"},
    "POST /api/v1/items": {"title": "Pen", "price": 1},
    "PATCH /api/v1/items/{item_id}": {"title": "New"},
}

CELLS = [
    pytest.param(operation, role, expected, id=f"{operation} as {role}")
    for operation, row in MATRIX.items()
    for role, expected in zip(ROLES, row, strict=True)
]


async def test_every_route_is_in_the_matrix(client: httpx.AsyncClient) -> None:
    """A new route must say who may use it."""
    document = (await client.get("openapi.json")).json()
    operations = {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}
    assert operations - LATER == set(MATRIX)


@pytest.fixture
async def people(ada: Person, bob: Person, admin: Person, make_user: Any) -> dict[str, Person]:
    """One person for each role."""
    inactive = await make_user("off", is_active=False)
    nobody = Person(0, "", "")
    return {"anonymous": nobody, "user": ada, "other": bob, "inactive": inactive, "admin": admin}


async def reset_token(app: Any, ada: Person) -> str:
    """Write the mail for who has forgotten the password; return the token in it."""
    from app.auth.password_reset import ResetMail

    async with app.state.session_factory.begin() as session:
        mail = await ResetMail(app.state.settings).compose(session, ada.email)
    assert mail is not None
    return mail.body.split("token=")[1].split()[0]


async def body_of(operation: str, app: Any, ada: Person) -> dict[str, Any]:
    """Return what the request sends."""
    if operation.endswith("confirm"):
        return {"json": {"token": await reset_token(app, ada), "new_password": "Battery staple"}}
    if operation.endswith(("refresh", "logout")):
        return {"json": {"refresh_token": ada.refresh_token}}
    if operation.endswith("login"):
        return {"data": {"username": ada.username, "password": ada.password}}
    return {"json": BODIES[operation]} if operation in BODIES else {}


@pytest.mark.parametrize(("operation", "role", "expected"), CELLS)
async def test_cell(
    app: Any, client: httpx.AsyncClient, people: dict[str, Person], operation: str, role: str, expected: int
) -> None:
    """The role gets exactly the status that the matrix says."""
    ada = people["user"]
    item = await client.post("items", json={"title": "Pen", "price": 1}, headers=ada.headers)
    session = (await client.get("auth/sessions", headers=ada.headers)).json()[0]
    method, path = operation.split()
    path = path.format(user_id=ada.id, item_id=item.json()["id"], session_id=session["id"])
    sent = await body_of(operation, app, ada)
    response = await client.request(method, f"http://test{path}", headers=people[role].headers, **sent)
    assert response.status_code == expected, response.text
    if expected == 401:
        assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("role", ["user", "other", "anonymous"])
async def test_a_refused_change_changes_nothing(
    client: httpx.AsyncClient, people: dict[str, Person], role: str
) -> None:
    """After all refused requests the admin's own row is as it was."""
    admin, headers = people["admin"], people[role].headers
    address = f"users/{admin.id}"
    before = (await client.get(address, headers=admin.headers)).json()
    await client.patch(address, json={"role": "user", "password": "Battery 1"}, headers=headers)
    await client.delete(address, headers=headers)
    assert (await client.get(address, headers=admin.headers)).json() == before


async def test_permission_comes_before_validation(client: httpx.AsyncClient, ada: Person) -> None:
    """Who may not use a route learns nothing about what it takes."""
    for headers, expected in (({}, 401), (ada.headers, 403)):
        response = await client.post("users", json={"email": 1}, headers=headers)
        assert response.status_code == expected
        response = await client.get("users?limit=0", headers=headers)
        assert response.status_code == expected
