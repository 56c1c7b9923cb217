"""Who may do what: owners, admins, and the last admin."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.backend.support import Person

ITEM = {"title": "Pen", "price": "1.50"}


async def add_item(client: httpx.AsyncClient, owner: Person, **fields: Any) -> dict[str, Any]:
    """Create an item for its owner."""
    response = await client.post("items", json={**ITEM, **fields}, headers=owner.headers)
    assert response.status_code == 201, response.text
    body: dict[str, Any] = response.json()
    return body


async def test_an_item_belongs_to_its_maker(client: httpx.AsyncClient, ada: Person, bob: Person) -> None:
    """The owner is the signed-in user, whatever the request says."""
    item = await add_item(client, ada, owner_id=bob.id, url="https://a.com", id=99)
    assert item["owner_id"] == ada.id
    assert (item["title"], item["price"], item["url"]) == ("Pen", "1.50", "https://a.com/")
    assert set(item) == {*("id", "title", "description", "url", "price", "owner_id", "created_at", "updated_at")}


async def test_an_owner_reads_changes_and_deletes(client: httpx.AsyncClient, ada: Person) -> None:
    """200, 200 and 204 for one's own item; then it is gone."""
    item = await add_item(client, ada, description="blue")
    address = f"items/{item['id']}"
    assert (await client.get(address, headers=ada.headers)).json() == item
    changed = await client.patch(address, json={"price": 2}, headers=ada.headers)
    assert (changed.status_code, changed.json()["price"]) == (200, "2.00")
    assert changed.json()["description"] == "blue"
    deleted = await client.delete(address, headers=ada.headers)
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert (await client.get(address, headers=ada.headers)).status_code == 404


async def test_somebody_elses_item_does_not_exist(client: httpx.AsyncClient, ada: Person, bob: Person) -> None:
    """404, with the very body that an unknown id gets."""
    item = await add_item(client, ada)
    for method in ("GET", "PATCH", "DELETE"):
        bodies = []
        for item_id in (item["id"], 2**31 - 1):
            body = {"json": {"title": "Mine"}} if method == "PATCH" else {}
            response = await client.request(
                method,
                f"items/{item_id}",
                headers=bob.headers,
                **body,  # type: ignore[arg-type]
            )
            assert response.status_code == 404
            bodies.append({**response.json(), "request_id": ""})
        assert bodies[0] == bodies[1]
    unchanged = await client.get(f"items/{item['id']}", headers=ada.headers)
    assert unchanged.json() == item


async def test_an_admin_manages_every_item(client: httpx.AsyncClient, ada: Person, admin: Person) -> None:
    """An admin changes anybody's item; its owner stays."""
    item = await add_item(client, ada)
    address = f"items/{item['id']}"
    change = {"title": "Checked", "owner_id": admin.id}
    response = await client.patch(address, json=change, headers=admin.headers)
    assert (response.status_code, response.json()["owner_id"]) == (200, ada.id)
    assert (await client.delete(address, headers=admin.headers)).status_code == 204


async def test_a_list_has_only_what_one_may_see(
    client: httpx.AsyncClient, ada: Person, bob: Person, admin: Person
) -> None:
    """Users see and count their own items, admins all."""
    for owner, title in ((ada, "a1"), (bob, "b1"), (ada, "a2")):
        await add_item(client, owner, title=title)
    for person, titles in ((ada, ["a1", "a2"]), (bob, ["b1"]), (admin, ["a1", "b1", "a2"])):
        response = await client.get("items", headers=person.headers)
        assert [item["title"] for item in response.json()] == titles
        assert response.headers["x-total-count"] == str(len(titles))


async def test_items_can_be_sorted_and_searched(client: httpx.AsyncClient, ada: Person) -> None:
    """Sorting by price is by number; the search looks at title and description."""
    for title, price in (("Pen", "9"), ("Pencil", "10"), ("Ink", "1.5")):
        await add_item(client, ada, title=title, price=price, description="blue_ink")
    response = await client.get("items?sort=-price&q=PEN", headers=ada.headers)
    assert [item["title"] for item in response.json()] == ["Pencil", "Pen"]
    response = await client.get("items?q=e_i&limit=2", headers=ada.headers)
    assert (len(response.json()), response.headers["x-total-count"]) == (2, "3")


async def test_users_see_only_themselves(client: httpx.AsyncClient, ada: Person, bob: Person, admin: Person) -> None:
    """200 for oneself and for admins, 404 for others: existing and unknown users look alike."""
    assert (await client.get(f"users/{ada.id}", headers=ada.headers)).status_code == 200
    assert (await client.get(f"users/{ada.id}", headers=admin.headers)).status_code == 200
    bodies = []
    for user_id in (ada.id, 2**31 - 1):
        response = await client.get(f"users/{user_id}", headers=bob.headers)
        assert response.status_code == 404
        bodies.append({**response.json(), "request_id": ""})
    assert bodies[0] == bodies[1]


async def test_users_change_themselves_but_not_their_role(client: httpx.AsyncClient, ada: Person) -> None:
    """Role, state and password in PATCH /users/me are ignored."""
    change = {"full_name": "Ada", "role": "admin", "is_active": False, "is_superuser": True}
    response = await client.patch("users/me", json=change, headers=ada.headers)
    body = response.json()
    assert (response.status_code, body["full_name"]) == (200, "Ada")
    assert (body["role"], body["is_active"]) == ("user", True)
    assert (await client.get("users", headers=ada.headers)).status_code == 403


async def test_one_cannot_take_anothers_name(client: httpx.AsyncClient, ada: Person, bob: Person) -> None:
    """409 for a taken e-mail."""
    response = await client.patch("users/me", json={"email": bob.email}, headers=ada.headers)
    assert (response.status_code, response.json()["code"]) == (409, "user_exists")


@pytest.mark.parametrize("change", [{"role": "user"}, {"is_active": False}, None])
async def test_the_last_admin_stays(client: httpx.AsyncClient, admin: Person, change: dict[str, Any] | None) -> None:
    """Demoting, switching off or deleting the last admin is 409, and changes nothing."""
    address = f"users/{admin.id}"
    if change is None:
        response = await client.delete(address, headers=admin.headers)
    else:
        response = await client.patch(address, json=change, headers=admin.headers)
    assert (response.status_code, response.json()["code"]) == (409, "last_admin")
    me = (await client.get("users/me", headers=admin.headers)).json()
    assert (me["role"], me["is_active"]) == ("admin", True)


async def test_an_admin_may_go_when_another_stays(client: httpx.AsyncClient, admin: Person, make_user: Any) -> None:
    """With two active admins one can be deleted; an inactive admin does not count."""
    from app.users.schemas import Role

    second = await make_user("second", role=Role.ADMIN)
    await make_user("asleep", role=Role.ADMIN, is_active=False)
    response = await client.delete(f"users/{second.id}", headers=admin.headers)
    assert response.status_code == 204
    response = await client.delete(f"users/{admin.id}", headers=admin.headers)
    assert response.status_code == 409


async def test_two_admins_cannot_remove_each_other(client: httpx.AsyncClient, admin: Person, make_user: Any) -> None:
    """At the same moment, at least one of them stays."""
    from app.users.schemas import Role

    second = await make_user("second", role=Role.ADMIN)
    answers = await asyncio.gather(
        client.delete(f"users/{second.id}", headers=admin.headers),
        client.delete(f"users/{admin.id}", headers=second.headers),
    )
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses[0] == 204
    assert statuses[1] in {401, 409}


async def test_a_superuser_may_do_everything(client: httpx.AsyncClient, make_user: Any, ada: Person) -> None:
    """The flag in the database passes every permission, whatever the role."""
    item = await add_item(client, ada)
    root = await make_user("super", is_superuser=True)
    assert (await client.get("users", headers=root.headers)).status_code == 200
    assert (await client.get(f"items/{item['id']}", headers=root.headers)).status_code == 200
    response = await client.delete(f"users/{root.id}", headers=root.headers)
    assert (response.status_code, response.json()["code"]) == (409, "last_admin")
