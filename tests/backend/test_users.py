"""The routes about users, for one who may manage them."""

from datetime import datetime
from typing import Any

import httpx
import pytest

from tests.backend.support import Person, new_user

PUBLIC = {"id", "email", "username", "full_name", "role", "is_active", "created_at", "updated_at"}


async def test_a_new_user_is_created(manager: httpx.AsyncClient) -> None:
    """POST answers 201 with the public fields, and nothing else."""
    response = await manager.post("users", json=new_user(email="Eve@Example.com", username="EVE"))
    body = response.json()
    assert response.status_code == 201
    assert set(body) == PUBLIC
    assert (body["email"], body["username"]) == ("eve@example.com", "eve")
    assert (body["role"], body["is_active"], body["full_name"]) == ("user", True, None)
    assert datetime.fromisoformat(body["created_at"]).utcoffset() is not None


async def test_a_created_user_can_be_read(manager: httpx.AsyncClient) -> None:
    """A 201 is a promise: the row is there for the next request."""
    created = (await manager.post("users", json=new_user())).json()
    response = await manager.get(f"users/{created['id']}")
    assert (response.status_code, response.json()) == (200, created)


async def test_role_cannot_be_chosen_at_creation(manager: httpx.AsyncClient) -> None:
    """Fields that are no part of the request are ignored."""
    extra = {"role": "admin", "is_active": False, "is_superuser": True, "id": 77}
    body = (await manager.post("users", json=new_user(**extra))).json()
    assert (body["role"], body["is_active"]) == ("user", True)
    assert body["id"] != 77


@pytest.mark.parametrize(
    "taken",
    [{"email": "ADA@example.com"}, {"username": "Ada"}],
    ids=["e-mail", "user name"],
)
async def test_a_taken_name_is_a_conflict(manager: httpx.AsyncClient, ada: Person, taken: dict[str, str]) -> None:
    """A duplicate is 409, in any spelling."""
    response = await manager.post("users", json=new_user(**taken))
    assert (response.status_code, response.json()["code"]) == (409, "user_exists")


@pytest.mark.parametrize("user_id", [2**31 - 1, 1_000_000_000])
async def test_an_unknown_user_is_404(manager: httpx.AsyncClient, user_id: int) -> None:
    """Reading, changing and deleting nobody is 404."""
    for method in ("GET", "PATCH", "DELETE"):
        body: dict[str, Any] = {"json": {}} if method == "PATCH" else {}
        response = await manager.request(method, f"users/{user_id}", **body)
        assert (response.status_code, response.json()["code"]) == (404, "user_not_found")


@pytest.mark.parametrize("user_id", ["0", "-1", "abc", "1.5", 2**31, 10**20])
async def test_an_impossible_id_is_422(manager: httpx.AsyncClient, user_id: Any) -> None:
    """An id that no row can have never reaches the database."""
    assert (await manager.get(f"users/{user_id}")).status_code == 422


async def test_a_change_touches_only_what_was_sent(manager: httpx.AsyncClient, ada: Person) -> None:
    """PATCH keeps the other fields, and moves updated_at."""
    before = (await manager.get(f"users/{ada.id}")).json()
    response = await manager.patch(f"users/{ada.id}", json={"full_name": "Ada Lovelace"})
    after = response.json()
    assert response.status_code == 200
    assert {name for name in after if after[name] != before[name]} == {"full_name", "updated_at"}
    assert (await manager.get(f"users/{ada.id}")).json() == after


async def test_an_empty_change_changes_nothing(manager: httpx.AsyncClient, ada: Person) -> None:
    """PATCH with {} is fine."""
    before = (await manager.get(f"users/{ada.id}")).json()
    assert (await manager.patch(f"users/{ada.id}", json={})).json() == before


async def test_role_and_state_can_be_changed(manager: httpx.AsyncClient, ada: Person) -> None:
    """Who manages users can promote them and switch them off."""
    change = {"role": "admin", "is_active": False}
    body = (await manager.patch(f"users/{ada.id}", json=change)).json()
    assert (body["role"], body["is_active"]) == ("admin", False)


async def test_a_change_to_a_taken_name_is_a_conflict(manager: httpx.AsyncClient, ada: Person, bob: Person) -> None:
    """409, and the row stays as it was."""
    change = {"username": "ADA", "full_name": "Bob"}
    assert (await manager.patch(f"users/{bob.id}", json=change)).status_code == 409
    assert (await manager.get(f"users/{bob.id}")).json()["full_name"] is None


async def test_null_is_refused_but_for_the_full_name(manager: httpx.AsyncClient, ada: Person) -> None:
    """Null empties what may be empty, and is 422 elsewhere."""
    assert (await manager.patch(f"users/{ada.id}", json={"full_name": None})).status_code == 200
    for name in ("email", "username", "password", "role", "is_active"):
        response = await manager.patch(f"users/{ada.id}", json={name: None})
        assert response.status_code == 422
        assert response.json()["errors"][0]["loc"] == ["body", name]


async def test_a_deleted_user_is_gone_but_the_name_stays_taken(manager: httpx.AsyncClient, ada: Person) -> None:
    """204 without a body; then 404 everywhere, and 409 for a newcomer with the same e-mail."""
    response = await manager.delete(f"users/{ada.id}")
    assert (response.status_code, response.content) == (204, b"")
    assert (await manager.get(f"users/{ada.id}")).status_code == 404
    assert (await manager.delete(f"users/{ada.id}")).status_code == 404
    assert "ada" not in [user["username"] for user in (await manager.get("users")).json()]
    assert (await manager.post("users", json=new_user(email=ada.email))).status_code == 409


@pytest.fixture
async def crowd(manager: httpx.AsyncClient, make_user: Any) -> list[str]:
    """Five users, and nobody else who matches `crowd`."""
    return [(await make_user(f"crowd{letter}")).username for letter in "cabed"]


async def names(manager: httpx.AsyncClient, query: str) -> list[str]:
    """Return the user names of a list."""
    response = await manager.get(f"users?{query}")
    assert response.status_code == 200, response.text
    return [user["username"] for user in response.json()]


async def test_pages_fit_together(manager: httpx.AsyncClient, crowd: list[str]) -> None:
    """Pages have no overlap and no gap, in the order of the ids."""
    pages = [await names(manager, f"q=crowd&limit=2&skip={skip}") for skip in (0, 2, 4, 6)]
    assert pages == [crowd[:2], crowd[2:4], crowd[4:], []]


async def test_the_total_is_in_a_header(manager: httpx.AsyncClient, crowd: list[str]) -> None:
    """X-Total-Count counts all pages, not this one."""
    response = await manager.get("users?q=crowd&limit=2&skip=1")
    assert response.headers["x-total-count"] == "5"


@pytest.mark.parametrize(("sort", "order"), [("username", "abcde"), ("-username", "edcba"), ("-id", "debac")])
async def test_lists_can_be_sorted(manager: httpx.AsyncClient, crowd: list[str], sort: str, order: str) -> None:
    """`field` sorts upwards, `-field` downwards."""
    assert await names(manager, f"q=crowd&sort={sort}") == [f"crowd{letter}" for letter in order]


@pytest.mark.parametrize(("q", "found"), [("CROWDA", 1), ("crowdb@", 1), ("%25", 0), ("_", 0)])
async def test_lists_can_be_searched(manager: httpx.AsyncClient, crowd: list[str], q: str, found: int) -> None:
    """The text is looked for in names and e-mail, in any case; % and _ are plain characters."""
    assert len(await names(manager, f"q={q}")) == found


@pytest.mark.parametrize(
    "query",
    [
        *("skip=-1", "limit=0", "limit=101", "limit=1000000", f"skip={10**20}", "skip=1000001"),
        *("sort=hashed_password", "sort=", "sort=--id", "q=%00", f"q={'x' * 101}", "limit=ten"),
    ],
)
async def test_bounds_are_kept(manager: httpx.AsyncClient, query: str) -> None:
    """A page that is out of bounds is 422, never a slow query or a 500."""
    assert (await manager.get(f"users?{query}")).status_code == 422


async def test_default_page_has_twenty(manager: httpx.AsyncClient, sessions: Any) -> None:
    """Without parameters a list has at most 20 rows."""
    from app.users.models import User

    async with sessions.begin() as session:
        for number in range(25):
            name = f"many{number}"
            session.add(User(email=f"{name}@x.com", username=name, hashed_password="!"))
    assert len(await names(manager, "")) == 20
    assert len(await names(manager, "q=many&limit=100")) == 25
