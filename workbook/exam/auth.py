"""Criteria about signing up, signing in, staying signed in and signing out."""

from __future__ import annotations

import asyncio
import secrets

from workbook.exam import expected
from workbook.exam.cast import Exam, Person
from workbook.exam.client import Answer
from workbook.exam.criteria import Topic

topic = Topic()


async def login(exam: Exam, name: str, password: str) -> Answer:
    """Send the log-in form."""
    return await exam.client.ask("POST", "/auth/login", form={"username": name, "password": password})


async def refresh(exam: Exam, token: str) -> Answer:
    """Exchange a refresh token."""
    return await exam.client.ask("POST", "/auth/refresh", data={"refresh_token": token})


async def me(exam: Exam, token: str | None) -> Answer:
    """Ask who I am."""
    return await exam.client.ask("GET", "/users/me", token=token)


@topic("9.1")
async def register(exam: Exam) -> None:
    """Signing up gives 201 with both tokens and the user, who is an active user without rights."""
    person = exam.stranger()
    answer = await exam.client.ask("POST", "/auth/register", data=person.sign_up(full_name="Ada"))
    body = expected.pair(answer, 201)
    for name, wanted in {"email": person.email, "username": person.username, "full_name": "Ada"}.items():
        got = body["user"][name]
        expected.that(got == wanted, answer, f"{name}: {got!r}", f"{name}: {wanted!r}")
    state = (body["user"]["role"], body["user"]["is_active"])
    expected.that(state == ("user", True), answer, f"role, is_active: {state}", "('user', True)")


@topic("9.1")
async def names_are_taken_once(exam: Exam) -> None:
    """A taken e-mail or user name is 409, in any capitals."""
    ada = await exam.ada()
    for field, value in (("email", ada.email.upper()), ("username", ada.username.upper())):
        other = exam.stranger().sign_up() | {field: value}
        answer = await exam.client.ask("POST", "/auth/register", data=other)
        expected.error(answer, 409, why="one person, one spelling: others could take a name that looks the same")


@topic("9.1")
async def missing_fields(exam: Exam) -> None:
    """On the routes that are open, a request without its fields is 422."""
    for path in ("/register", "/refresh", "/logout", "/password-reset", "/password-reset/confirm"):
        expected.error(await exam.client.ask("POST", f"/auth{path}", data={}), 422)
    expected.error(await exam.client.ask("POST", "/auth/login", form={}), 422)


@topic("2.2")
async def passwords(exam: Exam) -> None:
    """A password that is short, has no capital, or has more than 72 bytes is refused with 422."""
    for password in ("Short 1", "no capital letter", "É" * 37, "A" * 73, "Correct\x00horse"):
        sent = exam.stranger().sign_up() | {"password": password}
        answer = await exam.client.ask("POST", "/auth/register", data=sent)
        expected.error(answer, 422, why=f"the password has {len(password)} characters, {len(password.encode())} bytes")


@topic("7.3")
async def the_whole_password_counts(exam: Exam) -> None:
    """A password of 72 bytes signs in; with one byte more or less it does not."""
    person = exam.stranger()
    person.password = "É" * 18 + secrets.token_hex(18)
    signed_up = await exam.client.ask("POST", "/auth/register", data=person.sign_up())
    expected.status(signed_up, 201, why="72 bytes are what bcrypt can read")
    expected.status(await login(exam, person.username, person.password), 200)
    for wrong in (person.password + "x", person.password[:-1]):
        expected.status(await login(exam, person.username, wrong), 401, why="what is cut off is not compared")


@topic("9.2")
async def login_by_form(exam: Exam) -> None:
    """The form signs in by user name and by e-mail, in any capitals; the same as JSON is 422."""
    ada = await exam.ada()
    for name in (ada.username, ada.email, ada.email.upper()):
        answer = await login(exam, name, ada.password)
        body = expected.pair(answer, 200)
        expected.that(body["user"]["id"] == ada.id, answer, "another user", "the one who signs in")
    expected.status(await exam.client.ask("POST", "/auth/login", data=ada.form()), 422)


@topic("9.3")
async def who_has_an_account(exam: Exam) -> None:
    """An unknown name and a wrong password get the same 401: challenge, invalid_grant, no-store."""
    ada = await exam.ada()
    wrong = await login(exam, ada.username, exam.stranger().password)
    unknown = await login(exam, exam.stranger().username, exam.stranger().password)
    for answer in (wrong, unknown):
        expected.challenge(answer)
        expected.error(answer, 401)
        expected.oauth(answer, 401)
        expected.unstored(answer)
    expected.same(wrong, unknown, "who can tell them apart learns who has an account")


@topic("7.6")
async def hostile_logins(exam: Exam) -> None:
    """A NUL, half a character, and a very long password or name are refused, and crash nothing."""
    ada = await exam.newcomer()
    for name, password in (
        (ada.username, b"Correct%00horse"),
        (ada.username, b"%ED%A0%80Correct"),
        (ada.username, b"A" * 5000),
        (f"{ada.username}%00", ada.password.replace(" ", "+").encode()),
        ("a" * 5000, b"Correct+horse"),
    ):
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        body = b"username=" + name.encode() + b"&password=" + password
        answer = await exam.client.ask("POST", "/auth/login", content=body, headers=kind)
        expected.status(answer, 401, 422, why="strange input is a wrong password, not a crash")


@topic("9.4")
async def the_current_user(exam: Exam) -> None:
    """The access token opens /users/me, and it is you."""
    ada = await exam.ada()
    answer = expected.status(await me(exam, ada.access), 200)
    expected.user(answer, answer.json())
    expected.value(answer, "id", ada.id)


@topic("9.4")
async def nobody_gets_401(exam: Exam) -> None:
    """Without a token, with another scheme, and with rubbish, every route gives 401 with the challenge."""
    for method, path in (
        ("GET", "/users/me"),
        ("PATCH", "/users/me"),
        ("GET", "/users"),
        ("POST", "/users"),
        ("GET", "/users/1"),
        ("PATCH", "/users/1"),
        ("DELETE", "/users/1"),
        ("GET", "/items"),
        ("POST", "/items"),
        ("GET", "/items/1"),
        ("PATCH", "/items/1"),
        ("DELETE", "/items/1"),
        ("POST", "/auth/password"),
    ):
        data: dict[str, str] | None = {} if method in ("POST", "PATCH") else None
        expected.challenge(await exam.client.ask(method, path, data=data), "who is nobody may do nothing")
    for sent in ("Bearer", "Bearer rubbish", "Bearer a.b.c", "Basic YTpi"):
        expected.challenge(await exam.client.ask("GET", "/users/me", headers={"Authorization": sent}))


@topic("8.3")
async def tokens_have_one_use(exam: Exam) -> None:
    """A refresh token opens no route, and an access token is no refresh token."""
    ada = await exam.newcomer()
    why = "a token that lives for days would do what one of minutes should"
    expected.challenge(await me(exam, ada.refresh), why)
    expected.status(await refresh(exam, ada.access), 401, why="who has a short-lived token could stay for ever")


@topic("9.6")
async def refresh_works_once(exam: Exam) -> None:
    """A refresh token gives a new pair, which works, and is spent then: 401, invalid_grant."""
    ada = await exam.newcomer()
    answer = await refresh(exam, ada.refresh)
    body = expected.pair(answer, 200)
    expected.that(body["refresh_token"] != ada.refresh, answer, "the same refresh token", "another one")
    expected.status(await me(exam, body["access_token"]), 200)
    spent = await refresh(exam, ada.refresh)
    expected.oauth(spent, 401, why="a stolen token would work until it expires")
    expected.challenge(spent)
    expected.unstored(spent)


@topic("9.6")
async def refresh_races(exam: Exam) -> None:
    """Of five requests at once with one refresh token, one gets a pair."""
    ada = await exam.newcomer()
    answers = await asyncio.gather(*(refresh(exam, ada.refresh) for _ in range(5)))
    codes = sorted(answer.status for answer in answers)
    why = "who sends a stolen token at the same moment would have a session of their own"
    expected.that(codes == [200, 401, 401, 401, 401], answers[0], f"the codes {codes}", "one 200, four 401", why)


@topic("9.7")
async def reuse_ends_the_family(exam: Exam) -> None:
    """A spent token that comes again ends its session, and no other one."""
    first = await exam.newcomer()
    other = await exam.sign_in(first)
    newest = expected.pair(await refresh(exam, first.refresh), 200)["refresh_token"]
    expected.status(await refresh(exam, first.refresh), 401)
    why = "somebody has a copy, and nobody knows which of the two is the thief"
    expected.status(await refresh(exam, newest), 401, why=why)
    expected.status(await refresh(exam, other.refresh), 200, why="other sessions have nothing to do with it")


@topic("9.8")
async def logout(exam: Exam) -> None:
    """Signing out gives 204 and ends the session; again, and with rubbish, it is 204 too."""
    ada = await exam.newcomer()
    for token in (ada.refresh, ada.refresh, "rubbish"):
        answer = await exam.client.ask("POST", "/auth/logout", data={"refresh_token": token})
        expected.status(answer, 204)
        expected.that(answer.body == b"", answer, answer.told(), "no body")
    expected.status(await refresh(exam, ada.refresh), 401, why="who has signed out is out")


@topic("9.9")
async def change_password(exam: Exam) -> None:
    """A new password needs the old one; then every session ends, and only the new one signs in."""
    grace = await exam.newcomer()
    sessions = [grace, await exam.sign_in(grace)]
    new = exam.stranger().password
    expected.error(await _change(exam, grace, exam.stranger().password, new), 400)
    expected.error(await _change(exam, grace, grace.password, "weak"), 422)
    expected.status(await _change(exam, grace, grace.password, new), 204)
    for one in sessions:
        expected.status(await refresh(exam, one.refresh), 401, why="who stole a session keeps it, new password or not")
    expected.status(await login(exam, grace.username, grace.password), 401)
    expected.status(await login(exam, grace.username, new), 200)


async def _change(exam: Exam, person: Person, old: str, new: str) -> Answer:
    data = {"current_password": old, "new_password": new}
    return await exam.client.ask("POST", "/auth/password", token=person.access, data=data)


@topic("13.9")
async def forgotten_password(exam: Exam) -> None:
    """Asking for a new password is 202 with the same answer, whoever is named."""
    ada = await exam.ada()
    answers = [
        expected.status(await exam.client.ask("POST", "/auth/password-reset", data={"email": email}), 202)
        for email in (ada.email, exam.stranger().email)
    ]
    expected.same(answers[0], answers[1], "who can tell them apart learns who has an account")


@topic("13.10")
async def invented_reset_token(exam: Exam) -> None:
    """A reset token that nobody sent is 422."""
    data = {"token": secrets.token_urlsafe(32), "new_password": exam.stranger().password}
    expected.error(await exam.client.ask("POST", "/auth/password-reset/confirm", data=data), 422)
