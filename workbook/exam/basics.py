"""Criteria about what holds for every route: health, documents, the one error body."""

from __future__ import annotations

import secrets

from workbook.exam import expected
from workbook.exam.cast import Exam
from workbook.exam.criteria import Topic
from workbook.exam.finding import Unasked

topic = Topic()
ROUTES = (
    ("/auth/register", "post"),
    ("/auth/login", "post"),
    ("/auth/refresh", "post"),
    ("/auth/logout", "post"),
    ("/auth/password", "post"),
    ("/auth/password-reset", "post"),
    ("/auth/password-reset/confirm", "post"),
    ("/users/me", "get"),
    ("/users/me", "patch"),
    ("/users", "get"),
    ("/users", "post"),
    ("/users/{}", "get"),
    ("/users/{}", "patch"),
    ("/users/{}", "delete"),
    ("/items", "get"),
    ("/items", "post"),
    ("/items/{}", "get"),
    ("/items/{}", "patch"),
    ("/items/{}", "delete"),
)


@topic("0.1")
async def health(exam: Exam) -> None:
    """GET /health gives 200 and JSON."""
    answer = expected.status(await exam.client.ask("GET", "/health", outside=True), 200)
    expected.that(bool(answer.data()), answer, answer.told(), "a JSON object")


@topic("1.2")
async def no_origin_is_let_in(exam: Exam) -> None:
    """A web page of an unknown origin may not call the API with credentials."""
    evil = "https://evil.example"
    asks = {"Origin": evil, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "Authorization"}
    for method, headers in (("GET", {"Origin": evil}), ("OPTIONS", asks)):
        answer = await exam.client.ask(method, "/users/me", headers=headers)
        allowed = answer.headers.get("Access-Control-Allow-Origin", "")
        credentials = answer.headers.get("Access-Control-Allow-Credentials", "").lower() == "true"
        bad = allowed == evil or (allowed == "*" and credentials)
        why = "any web site could act in the name of its visitors"
        expected.that(not bad, answer, f"Access-Control-Allow-Origin: {allowed}", f"not {evil}", why)


@topic("1.5")
async def documents(exam: Exam) -> None:
    """The OpenAPI document names every route of the interface."""
    answer = await exam.client.ask("GET", "/openapi.json")
    if answer.status == 404:
        raise Unasked("the documents are switched off", chosen=True)
    found = expected.status(answer, 200).data().get("paths")
    paths = found if isinstance(found, dict) else {}
    plain = {_without_names(path): item for path, item in paths.items() if isinstance(item, dict)}
    missing = [f"{m.upper()} {p}" for p, m in ROUTES if m not in plain.get(exam.client.prefix + p, {})]
    expected.that(not missing, answer, f"without {', '.join(missing)}", "every route of the interface")


@topic("1.5")
async def pages_of_documents(exam: Exam) -> None:
    """The documents for people, /docs and /redoc, are pages."""
    for path in ("/docs", "/redoc"):
        answer = await exam.client.ask("GET", path, outside=True)
        if answer.status == 404 and (await exam.client.ask("GET", "/openapi.json")).status == 404:
            raise Unasked("the documents are switched off", chosen=True)
        expected.header(expected.status(answer, 200), "Content-Type", "text/html")


def _without_names(path: str) -> str:
    return "/".join("{}" if part.startswith("{") else part for part in path.split("/"))


@topic("1.5")
async def no_redirects(exam: Exam) -> None:
    """A trailing slash is no address of the API: 404, not a redirect."""
    ada = await exam.ada()
    for path in ("/items/", "/users/me/"):
        answer = await exam.client.ask("GET", path, token=ada.access)
        expected.status(answer, 404, why="a redirect loses bodies and, to other hosts, the token")


@topic("6.4")
async def one_error_body(exam: Exam) -> None:
    """Unknown paths, wrong methods, a missing token and a malformed body give the one error body."""
    ada = await exam.ada()
    expected.error(await exam.client.ask("GET", f"/{secrets.token_hex(4)}"), 404)
    expected.error(await exam.client.ask("PUT", "/items", token=ada.access), 405)
    expected.error(await exam.client.ask("GET", "/users/me"), 401)
    expected.error(await exam.client.ask("POST", "/items", token=ada.access, data={}), 422)


@topic("6.4")
async def fields_are_named(exam: Exam) -> None:
    """A validation error is 422 and names each field: errors with loc, msg and type."""
    ada = await exam.ada()
    answer = await exam.client.ask("POST", "/items", token=ada.access, data={"title": "", "price": "-1"})
    found = expected.error(answer, 422).get("errors")
    errors = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    whole = all({"loc", "msg", "type"} <= set(one) and isinstance(one["loc"], list) for one in errors)
    expected.that(bool(errors) and whole, answer, answer.told(), "errors: a list of objects with loc, msg and type")
    named = {str(part) for one in errors for part in one["loc"]}
    expected.that({"title", "price"} <= named, answer, f"loc: {sorted(named)}", "both fields: title and price")


@topic("6.4")
async def unreadable_bodies(exam: Exam) -> None:
    """A body that is no JSON, or no text, is 422 with the one error body."""
    ada = await exam.ada()
    for content in (b"{", b'{"title": "\xff"}', b'"pen"', b"[" * 20_000):
        kind = {"Content-Type": "application/json"}
        answer = await exam.client.ask("POST", "/items", token=ada.access, content=content, headers=kind)
        expected.error(answer, 422, why="a malformed request is the client's fault, and each gets the same body")


@topic("6.4")
async def input_is_not_repeated(exam: Exam) -> None:
    """A validation error does not repeat what was sent: a password that is refused stays secret."""
    person = exam.stranger()
    weak = f"weak{secrets.token_hex(8)}"
    answer = await exam.client.ask("POST", "/auth/register", data=person.sign_up() | {"password": weak})
    expected.error(answer, 422)
    why = "error bodies end in logs and in error trackers"
    expected.that(weak not in answer.text, answer, "the password, in the error body", "an error without it", why)


@topic("13.12")
async def secrets_are_not_compressed(exam: Exam) -> None:
    """Answers below /auth are not compressed."""
    ada = await exam.newcomer(full_name="é" * 100)  # long enough for who compresses long answers only
    takes = {"Accept-Encoding": "gzip"}
    answer = await exam.client.ask("POST", "/auth/login", form=ada.form(), headers=takes)
    packed = answer.headers.get("Content-Encoding", "none")
    why = "the length of what is compressed tells what is in it (BREACH)"
    expected.that(packed in ("none", "identity"), answer, f"Content-Encoding: {packed}", "none", why)
