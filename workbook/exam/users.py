"""Criteria about users: what one may see and change of oneself, and what admins do."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from workbook.exam import expected
from workbook.exam.auth import login, me, refresh
from workbook.exam.cast import Exam, Person
from workbook.exam.client import Answer
from workbook.exam.criteria import Topic

topic = Topic()


async def change(exam: Exam, person: Person, **fields: Any) -> Answer:
    """Change yourself."""
    return await exam.client.ask("PATCH", "/users/me", token=person.access, data=fields)


async def manage(exam: Exam, admin: Person, method: str, path: str, data: Any = None) -> Answer:
    """Ask a route as the admin."""
    return await exam.client.ask(method, path, token=admin.access, data=data)


@topic("2.5")
async def one_spelling(exam: Exam) -> None:
    """E-mail and user name are kept in small letters, without spaces around."""
    person = exam.stranger()
    sent = person.sign_up() | {"email": person.email.upper(), "username": f" {person.username.upper()} "}
    answer = expected.status(await exam.client.ask("POST", "/auth/register", data=sent), 201)
    found = answer.data().get("user")
    got = (found.get("email"), found.get("username")) if isinstance(found, dict) else ()
    expected.that(got == (person.email, person.username), answer, f"{got}", "the small letters of both")


@topic("5.7")
async def what_is_sent_is_changed(exam: Exam) -> None:
    """PATCH /users/me changes what was sent and nothing else; null empties the full name."""
    grace = await exam.newcomer(full_name="Grace")
    before = (await me(exam, grace.access)).data()
    changes: tuple[dict[str, Any], ...] = ({"full_name": "Hopper"}, {}, {"full_name": None})
    for fields in changes:
        answer = expected.status(await change(exam, grace, **fields), 200)
        wanted = before | fields
        got = expected.user(answer, answer.json())
        wrong = [name for name in expected.USER - {"updated_at"} if got[name] != wanted[name]]
        expected.that(not wrong, answer, f"{wrong}: {[got[name] for name in wrong]}", "only what was sent is changed")
        before = wanted
    stored = await me(exam, grace.access)
    expected.value(stored, "full_name", None, "what was answered must have been saved")


@topic("2.3")
async def null_is_a_value(exam: Exam) -> None:
    """Null for the e-mail or the user name is 422, and so is an e-mail that is none."""
    ada = await exam.ada()
    for fields in ({"email": None}, {"username": None}, {"email": "nobody"}, {"username": "a b"}):
        expected.error(await change(exam, ada, **fields), 422)


@topic("5.7")
async def taken_names_cannot_be_chosen(exam: Exam) -> None:
    """PATCH /users/me to an e-mail or a user name of somebody else is 409, in any capitals."""
    ada, bob = await exam.ada(), await exam.bob()
    for fields in ({"email": bob.email.upper()}, {"username": bob.username.upper()}):
        expected.error(await change(exam, ada, **fields), 409, why="two people would have one name")
    expected.value(await me(exam, ada.access), "email", ada.email, "a refused change must change nothing")


@topic("6.2")
async def sign_ups_at_once(exam: Exam) -> None:
    """Of six sign-ups at once with one name, one is 201 and the others are 409."""
    person = exam.stranger()
    asked = (exam.client.ask("POST", "/auth/register", data=person.sign_up()) for _ in range(6))
    answers = await asyncio.gather(*asked)
    codes = Counter(answer.status for answer in answers)
    why = "asking first whether a name is free is no help: all ask at the same moment"
    expected.that(codes == {201: 1, 409: 5}, answers[0], f"codes: {dict(codes)}", "one 201, five 409", why)


@topic("6.1")
async def what_is_answered_is_saved(exam: Exam) -> None:
    """Right after the 201 the new user can sign in."""
    grace = await exam.newcomer()
    expected.status(await login(exam, grace.username, grace.password), 200, why="a 201 for what was not saved is a lie")


@topic("5.2")
async def admins_create_users(exam: Exam) -> None:
    """An admin creates a user with 201; a taken name is 409, a weak password 422."""
    admin = await exam.admin()
    person = exam.stranger()
    answer = await manage(exam, admin, "POST", "/users", person.sign_up(full_name="Grace"))
    expected.user(expected.status(answer, 201), answer.json())
    expected.error(await manage(exam, admin, "POST", "/users", person.sign_up()), 409)
    weak = exam.stranger().sign_up() | {"password": "weak"}
    expected.error(await manage(exam, admin, "POST", "/users", weak), 422)
    expected.status(await login(exam, person.username, person.password), 200)


@topic("5.3")
async def users_by_id(exam: Exam) -> None:
    """An admin reads a user by id; one who is not there is 404, an impossible id no crash."""
    admin, ada = await exam.admin(), await exam.ada()
    answer = expected.status(await manage(exam, admin, "GET", f"/users/{ada.id}"), 200)
    expected.value(answer, "email", ada.email)
    expected.error(await manage(exam, admin, "GET", "/users/2147483647"), 404)
    for id in ("0", "-1", "2147483648", "9" * 20, "x%00"):
        expected.error(await manage(exam, admin, "GET", f"/users/{id}"), 404, 422)


@topic("5.6")
async def admins_list_users(exam: Exam) -> None:
    """An admin searches the users; X-Total-Count says how many match."""
    admin, ada = await exam.admin(), await exam.ada()
    for q in (ada.username, ada.email.upper()):
        answer = expected.status(await manage(exam, admin, "GET", f"/users?q={q}&limit=5&sort=-created_at"), 200)
        found = [expected.user(answer, one)["id"] for one in answer.rows()]
        expected.that(found == [ada.id], answer, f"the ids {found}", f"{[ada.id]}, whose name was searched")
        expected.header(answer, "X-Total-Count", "1")


@topic("5.4")
async def bounds_of_user_pages(exam: Exam) -> None:
    """A skip below 0, and a limit outside of 1 to 100, are 422 for the list of users, too."""
    admin = await exam.admin()
    for query in ("skip=-1", "limit=0", "limit=101", "limit=ten", f"skip={10**20}", "q=a%00b"):
        answer = await manage(exam, admin, "GET", f"/users?{query}")
        expected.error(answer, 422, why="one request could ask for the whole table")


@topic("5.5")
async def sort_what_may_be_seen(exam: Exam) -> None:
    """Users are sorted by listed fields only: hashed_password is 422."""
    admin = await exam.admin()
    for sort in ("hashed_password", "-hashed_password", "password", "nothing", "id,email", "--id"):
        answer = await manage(exam, admin, "GET", f"/users?sort={sort}")
        expected.error(answer, 422, why="the order of the hashes tells what is in them")


@topic("5.7")
async def admins_change_users(exam: Exam) -> None:
    """An admin changes another user's name and password, by the rules for all; the sessions end with the password."""
    admin, grace = await exam.admin(), await exam.newcomer()
    new = exam.stranger().password
    path = f"/users/{grace.id}"
    answer = expected.status(await manage(exam, admin, "PATCH", path, {"full_name": "Grace", "password": new}), 200)
    expected.value(answer, "full_name", "Grace")
    expected.status(await refresh(exam, grace.refresh), 401, why="a new password ends every session")
    expected.status(await login(exam, grace.username, new), 200)
    wrong: tuple[dict[str, Any], ...] = ({"role": "king"}, {"role": None}, {"is_active": None}, {"password": "weak"})
    for fields in wrong:
        expected.error(await manage(exam, admin, "PATCH", path, fields), 422)
    expected.error(await manage(exam, admin, "PATCH", "/users/2147483647", {"full_name": "New"}), 404)
    taken = {"email": (await exam.ada()).email}
    expected.error(await manage(exam, admin, "PATCH", path, taken), 409, why="two people would have one name")


@topic("9.5")
async def switched_off_at_once(exam: Exam) -> None:
    """Who is switched off is refused at once: 400 for the token and for the log-in, 401 for the refresh token."""
    admin, grace = await exam.admin(), await exam.newcomer()
    expected.status(await manage(exam, admin, "PATCH", f"/users/{grace.id}", {"is_active": False}), 200)
    why = "an account is switched off for a reason, and that cannot wait for half an hour"
    expected.error(await me(exam, grace.access), 400, why=why)
    expected.oauth(await login(exam, grace.username, grace.password), 400)
    expected.status(await refresh(exam, grace.refresh), 401, why=why)


@topic("9.5")
async def switched_off_is_not_told(exam: Exam) -> None:
    """A wrong password for an account that is switched off is 401, as for any other."""
    admin, grace = await exam.admin(), await exam.newcomer()
    expected.status(await manage(exam, admin, "PATCH", f"/users/{grace.id}", {"is_active": False}), 200)
    why = "whoever guesses names would learn which of them have an account"
    expected.status(await login(exam, grace.username, exam.stranger().password), 401, why=why)


@topic("9.5")
async def switched_on_again(exam: Exam) -> None:
    """Who is switched off and on again has lost every session."""
    admin, grace = await exam.admin(), await exam.newcomer()
    for state in (False, True):
        expected.status(await manage(exam, admin, "PATCH", f"/users/{grace.id}", {"is_active": state}), 200)
    expected.status(await refresh(exam, grace.refresh), 401, why="the session that was the reason would live again")


@topic("5.8")
async def admins_delete_users(exam: Exam) -> None:
    """Deleting a user is 204 without a body; then the user is gone: 404, and no log-in, token or session."""
    admin, grace = await exam.admin(), await exam.newcomer()
    path = f"/users/{grace.id}"
    await exam.newcomer()  # some databases give the newest row's id anew, to another criterion's newcomer meanwhile
    answer = expected.status(await manage(exam, admin, "DELETE", path), 204)
    expected.that(answer.body == b"", answer, answer.told(), "no body")
    for method in ("GET", "DELETE"):
        expected.error(await manage(exam, admin, method, path), 404)
    expected.status(await login(exam, grace.username, grace.password), 401)
    expected.status(await me(exam, grace.access), 401, why="the token of somebody who is gone opens nothing")
    expected.status(await refresh(exam, grace.refresh), 401)


@topic("4.5")
async def names_of_deleted_users(exam: Exam) -> None:
    """The e-mail and the user name of a deleted user stay taken."""
    admin, grace = await exam.admin(), await exam.newcomer()
    expected.status(await manage(exam, admin, "DELETE", f"/users/{grace.id}"), 204)
    for field, value in (("email", grace.email), ("username", grace.username)):
        answer = await exam.client.ask("POST", "/auth/register", data=exam.stranger().sign_up() | {field: value})
        expected.error(answer, 409, why="somebody else would get the mail, and the name, of the one who is gone")
