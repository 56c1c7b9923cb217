"""Criteria about who may do what."""

from __future__ import annotations

from typing import Any

from workbook.exam import expected
from workbook.exam.auth import me
from workbook.exam.cast import Exam, Person
from workbook.exam.criteria import Topic
from workbook.exam.finding import Unasked
from workbook.exam.items import UNKNOWN, listed
from workbook.exam.users import change, manage

topic = Topic()
risky = Topic()  # asked last: a backend that is wrong loses its admin to these
MAX_ADMINS = 100  # that are read, to see who else is one


@topic("10.1")
async def users_are_for_admins(exam: Exam) -> None:
    """Listing, creating, changing and deleting users is 403 for who is no admin, whatever is sent."""
    ada, bob = await exam.ada(), await exam.bob()
    for method, path, data in (
        ("GET", "/users", None),
        ("GET", "/users?limit=0", None),
        ("POST", "/users", exam.stranger().sign_up()),
        ("POST", "/users", {}),
        ("PATCH", f"/users/{ada.id}", {"full_name": "New"}),
        ("PATCH", f"/users/{bob.id}", {"role": "admin"}),
        ("DELETE", f"/users/{ada.id}", None),
        ("DELETE", f"/users/{bob.id}", None),
    ):
        answer = await exam.client.ask(method, path, token=ada.access, data=data)
        expected.error(answer, 403, why="permission comes before everything else that a route looks at")
    for person in (ada, bob):
        expected.value(await me(exam, person.access), "role", "user", "a refused change must change nothing")


@topic("10.3")
async def other_peoples_items(exam: Exam) -> None:
    """Another one's item is 404 to read, change and delete, as one who is not there, and stays as it was."""
    ada, bob = await exam.ada(), await exam.bob()
    mine = await exam.item(ada)
    for method, data in (("GET", None), ("PATCH", {"title": "Mine"}), ("DELETE", None)):
        unknown = await exam.client.ask(method, f"/items/{UNKNOWN}", token=bob.access, data=data)
        expected.error(unknown, 404)
        found = await exam.client.ask(method, f"/items/{mine['id']}", token=bob.access, data=data)
        expected.error(found, 404, why="whoever counts through the ids would get everybody's items")
        expected.same(unknown, found, "who can tell them apart learns which ids there are")
    kept = await exam.client.ask("GET", f"/items/{mine['id']}", token=ada.access)
    expected.that(kept.json() == mine, kept, kept.told(), "the item as it was", "a refused change must change nothing")


@topic("10.3")
async def other_people(exam: Exam) -> None:
    """Another user is 404, as one who is not there; yourself by id is 200."""
    ada, bob = await exam.ada(), await exam.bob()
    expected.status(await exam.client.ask("GET", f"/users/{bob.id}", token=bob.access), 200)
    unknown = await exam.client.ask("GET", f"/users/{UNKNOWN}", token=bob.access)
    found = await exam.client.ask("GET", f"/users/{ada.id}", token=bob.access)
    expected.error(found, 404, why="whoever counts through the ids would get everybody's address")
    expected.same(unknown, found, "who can tell them apart learns which ids there are")


@topic("10.3")
async def admins_see_items(exam: Exam) -> None:
    """An admin reads, changes and deletes everybody's items."""
    admin, ada = await exam.admin(), await exam.ada()
    path = f"/items/{(await exam.item(ada))['id']}"
    expected.status(await manage(exam, admin, "GET", path), 200)
    answer = expected.status(await manage(exam, admin, "PATCH", path, {"title": "Seen"}), 200)
    expected.value(answer, "owner_id", ada.id, "who changes an item does not own it for that")
    expected.status(await manage(exam, admin, "DELETE", path), 204)


@topic("10.4")
async def nobody_promotes_themselves(exam: Exam) -> None:
    """Role, state, id and password that are sent to /users/me change nothing."""
    grace = await exam.newcomer()
    before = (await me(exam, grace.access)).data()
    extra: dict[str, Any] = {"role": "admin", "is_active": False, "is_superuser": True, "id": 1, "deleted_at": None}
    answer = await change(exam, grace, full_name="Grace", hashed_password="x", **extra)
    expected.status(answer, 200, 422)
    after = await me(exam, grace.access)
    why = "everybody could make an admin of themselves"
    for name in ("id", "role", "is_active", "email"):
        expected.value(after, name, before.get(name), why)
    expected.status(await exam.client.ask("GET", "/users", token=grace.access), 403, why=why)


@topic("10.4")
async def nobody_signs_up_as_an_admin(exam: Exam) -> None:
    """Role and state that are sent with a sign-up change nothing."""
    person = exam.stranger()
    sent = person.sign_up(role="admin", is_superuser=True, is_active=True, id=1)
    answer = await exam.client.ask("POST", "/auth/register", data=sent)
    if expected.status(answer, 201, 422).status == 422:
        return
    token = str(answer.data().get("access_token"))
    why = "everybody could make an admin of themselves"
    expected.value(await me(exam, token), "role", "user", why)
    expected.status(await exam.client.ask("GET", "/users", token=token), 403, why=why)


@topic("10.1")
async def roles_count_at_once(exam: Exam) -> None:
    """A role counts at once, with the token of before: a new admin lists the users, a new user does not."""
    admin, grace = await exam.admin(), await exam.newcomer()
    path, why = f"/users/{grace.id}", "a right that is taken away cannot wait for the token's end"
    async with exam.admins:
        try:
            for role, code in (("admin", 200), ("user", 403)):
                answer = expected.status(await manage(exam, admin, "PATCH", path, {"role": role}), 200)
                expected.value(answer, "role", role)
                expected.status(await exam.client.ask("GET", "/users", token=grace.access), code, why=why)
        finally:
            await manage(exam, admin, "DELETE", path)


@risky("10.5")
async def the_last_admin(exam: Exam) -> None:
    """The last active admin can neither be made a user, nor switched off, nor deleted: 409."""
    admin = await exam.admin()
    if not exam.last_admin:
        raise Unasked("a backend that is wrong would lose its admin: --last-admin", chosen=True)
    async with exam.admins:
        await _keeps_an_admin(exam, admin)


async def _keeps_an_admin(exam: Exam, admin: Person) -> None:
    if others := await _other_admins(exam, admin):
        raise Unasked(f"there are {others} other admins", chosen=True)
    path = f"/users/{admin.id}"
    for method, data in (("PATCH", {"role": "user"}), ("PATCH", {"is_active": False}), ("DELETE", None)):
        answer = await manage(exam, admin, method, path, data)
        expected.error(answer, 409, why="without an admin nobody could make one")
        expected.value(await me(exam, admin.access), "role", "admin", "a refused change must change nothing")


async def _other_admins(exam: Exam, admin: Person) -> int:
    """Count the other active admins among the users that were made first and last."""
    found: dict[Any, Any] = {}
    for sort in ("id", "-id"):
        answer = expected.status(await manage(exam, admin, "GET", f"/users?limit={MAX_ADMINS}&sort={sort}"), 200)
        found |= {one["id"]: one for one in answer.rows() if isinstance(one, dict) and "id" in one}
    active = [one for one in found.values() if one.get("role") == "admin" and one.get("is_active")]
    return len([one for one in active if one["id"] != admin.id])


@topic("10.6")
async def lists_are_ones_own(exam: Exam) -> None:
    """A list has one's own items only, with a search too, and counts only them; an admin's has all."""
    ada, grace = await exam.ada(), await exam.newcomer()
    mark = exam.stranger().username
    for owner in (ada, grace):
        await exam.item(owner, title=mark)
    for query in ("", f"?q={mark}", "?sort=-id&limit=100", f"?owner_id={ada.id}"):
        answer = expected.status(await listed(exam, grace, query), 200)
        owners = [one.get("owner_id") for one in answer.rows() if isinstance(one, dict)]
        expected.that(owners == [grace.id], answer, f"items of {owners}", f"one item, of {grace.id}")
        total = answer.headers.get("X-Total-Count")
        expected.that(total == "1", answer, f"X-Total-Count: {total}", "1", "the number tells what others have")


@topic("10.6")
async def admins_list_all_items(exam: Exam) -> None:
    """An admin's list has everybody's items."""
    admin, ada, bob = await exam.admin(), await exam.ada(), await exam.bob()
    mark = exam.stranger().username
    for owner in (ada, bob):
        await exam.item(owner, title=mark)
    answer = expected.status(await listed(exam, admin, f"?q={mark}"), 200)
    owners = [one.get("owner_id") for one in answer.rows() if isinstance(one, dict)]
    expected.that(owners == [ada.id, bob.id], answer, f"items of {owners}", f"of {[ada.id, bob.id]}")
