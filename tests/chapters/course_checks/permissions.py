"""Requests in the name of somebody, and what the learner's rules must answer (chapter 10)."""

import inspect
import re
import sqlite3
import sys
from contextlib import contextmanager
from types import SimpleNamespace, TracebackType

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException

from course_checks.answers import fields
from course_checks.paths import API
from course_checks.samples import PEN
from course_checks.statements import heard
from workbook import expect

NOWHERE = 987
MANY = 101  # one more than get_multi gives at once
A_500 = "the one who asks did nothing wrong, and gets no answer"
FAILING = "a broken database is no mistake of the one who asks: only a 500 says so, and somebody repairs it"


# what an unexpected error says, and the mistake that is behind it
CRASHES = (
    (
        r"'ItemService' object has no attribute '(create|get|update|delete)'",
        {
            "got": "the class ItemService has no method `{0}`",
            "expected": "create, get, update and delete",
            "why": "every request that needs this method is a 500",
            "hint": "write all four methods in the one cell of exercise 10.2, with the given names: "
            "a method that this cell does not hold is taken out of the file",
        },
    ),
    (
        r"generator didn't yield",
        {
            "got": "`_keeping_an_admin` came to its end without a `yield` (generator didn't yield)",
            "expected": "each way through it reaches one `yield`",
            "why": "the change is made at the `yield`: without it nothing can be changed, and the answer is a 500",
            "hint": "follow the code once for an admin and once for another user: which of the two meets no `yield`?",
        },
    ),
    (
        r"generator didn't stop",
        {
            "got": "`_keeping_an_admin` came to a second `yield` (generator didn't stop)",
            "expected": "each way through it reaches one `yield`",
            "why": "the change is made at the `yield`, once; a second one is a 500",
            "hint": "after a `yield` the code goes on: end the branch of users who are no admins there",
        },
    ),
    (
        r'"(Item\w+)" object has no field "owner_id"',
        {"hint": "{0} has no owner_id, on purpose; hand the owner to `create` beside `data`, as a value of its own"},
    ),
    (
        r"NOT NULL constraint failed: items.owner_id",
        {"hint": "nobody has said whose item it is: item_crud.create takes further values by name, beside `data`"},
    ),
    (
        rf"/{NOWHERE}\b.*(?:ResponseValidationError.*'input': None|'NoneType' object|NoneType' is not mapped)",
        {"hint": "there is no row with this id, so what was found is None: look, and raise ItemNotFound"},
    ),
    (
        r"ResponseValidationError.*'input': None",
        {"hint": "the route got None in place of a row: which way through your code lacks a `return`?"},
    ),
    (
        r"got multiple values for keyword argument 'owner_id'",
        {"hint": "the owner comes twice, from the body and from your code: a client must not say it"},
    ),
    (
        r"(?:for WHERE/HAVING role expected|WHERE/HAVING role expected), got \[",
        {"hint": "one of the conditions is a whole list: a star in front of it unpacks it into the list around it"},
    ),
    (
        r"argument after \* must be an iterable, not NoneType",
        {"hint": "`where` is None here: `append` changes the list that it is called on, and returns nothing"},
    ),
    (
        r"argument after \* must be an iterable, not (?:method|function)",
        {"hint": "`where` is a method, not a list: brackets call it"},
    ),
    (
        r"argument after \* must be an iterable|Operator 'getitem' is not supported"
        r"|'(?:BinaryExpression|BooleanClauseList|True_)' object is not iterable"
        r"|Boolean value of this clause is not defined",
        {"hint": "a condition stands where a list of conditions is needed, or `and`, `or`, `not` stand around it"},
    ),
    (
        r"PendingRollbackError",
        {"hint": "an error came out of the `yield`, and with it the transaction is over: count only when none came"},
    ),
    (
        r"UNIQUE constraint failed: users",
        {"hint": "the name is somebody else's: refuse_duplicates makes a 409 of it, and service.update knows it"},
    ),
    (
        r"\d validation errors? for (\w*Update)\b",
        {"hint": "FastAPI makes a 422 of bad data where {0} is the type of a parameter; inside a route it is a 500"},
    ),
    (
        r"/users/me\b.*'NoneType' object has no attribute 'lower'",
        {"hint": "a field that was not sent is None in the schema: only what was sent may be written"},
    ),
    (
        r"list index out of range",
        {"hint": "the list is empty, because nothing was found: look first, and raise when there is nothing"},
    ),
    (
        r"String value expected when autoescape=True",
        {"hint": "there is no search text here: `page.q` is None, and then there is no condition for it"},
    ),
    (
        r"'(\w+)' object has no attribute '_sa_instance_state'",
        {"hint": "a value of the type {0} stands where a row is needed: `owner` takes a user, `owner_id` an id"},
    ),
    (
        r"MissingGreenlet|is not available due to lazy='raise'|lazy load operation of attribute",
        {"hint": "compare ids: `owner_id` is a column of the row, `owner` would have to be loaded first"},
    ),
)


HTTP = []  # the HTTPExceptions that the learner's rules made since the newest request: status and place


@pytest.fixture(autouse=True)
def _http(monkeypatch):
    """Note each HTTPException that a rule of the learner's makes: its traceback is gone when the answer is there."""
    build = HTTPException.__init__

    def note(error, *arguments, **named):
        build(error, *arguments, **named)
        frame = sys._getframe(1)
        while frame is not None and "/app/" not in frame.f_code.co_filename:
            frame = frame.f_back
        if frame is not None and re.search(r"/app/(?:users|items)/", frame.f_code.co_filename):
            place = TracebackType(None, frame, frame.f_lasti, frame.f_lineno)
            HTTP.append((error.status_code, Exception().with_traceback(place)))

    monkeypatch.setattr(HTTPException, "__init__", note)
    yield
    HTTP.clear()


async def ask(client, person, method, path, **json):
    """Send a request as a person, or as a stranger (None)."""
    HTTP.clear()
    body = {"json": json} if method in {"POST", "PATCH"} else {}
    headers = person.headers if person else {}
    answer = await client.request(method, f"{API}{path}", headers=headers, **body)
    name_the_crash(answer)
    no_http_in_the_rules(answer)
    return answer


def name_the_crash(answer):
    """Say what is behind an unexpected error; where the exercise knows more of it than a general rule, its hint."""
    exchange = answer.extensions.get("workbook.exchange")
    if answer.status_code != 500 or exchange is None:
        return
    told = exchange.fault.summary if exchange.fault else exchange.response_body
    texts = {
        "got": exchange.answer_line,
        "expected": "an answer of the app: a request that can be answered, or refused, is no crash",
        "why": A_500,
    }
    known = False
    for pattern, said in CRASHES:
        if found := re.search(pattern, f"{exchange.request_line} {told}"):
            texts |= {name: text.format(*found.groups()) for name, text in said.items()}
            known = True
            break
    raise expect.Wrong(did=exchange.request_line, exchange=exchange, sure=known, **texts)


def no_http_in_the_rules(answer):
    """Expect that no rule of the learner's made an HTTPException, which chapter 06 has replaced."""
    for status, place in HTTP:
        raise expect.Wrong(
            did=answer.extensions["workbook.exchange"].request_line,
            got=f"an HTTPException with the status {status}",
            expected="one of the app's own errors, a DomainError (chapter 06)",
            why="its code and its text stand in one class; an HTTPException repeats them wherever it is raised",
            hint="the text of the exercise names the class to raise, and its cell imports it already",
            exchange=answer.extensions["workbook.exchange"],
            error=place,
            sure=True,
        )


def items_of(load):
    """Return the methods of the learner's ItemService by name; for one that is missing, the class."""
    made = load("items.service").ItemService
    names = ("get", "create", "update", "delete", "visible", "get_page")
    return SimpleNamespace(**{name: getattr(made, name, made) for name in names})


@contextmanager
def failing(client, table):
    """Let every statement about one table fail: the one who asks is still found in another."""

    def fail(statement, *_facts):
        if re.search(rf"\b{table}\b", statement):
            raise OperationalError(statement, {}, sqlite3.OperationalError("disk I/O error"))

    with heard(client, fail):
        yield


async def is_500(client, person, method, path, *, at, **json):
    """Expect that a failing database is a 500, and nothing that blames the one who asks."""
    body = {"json": json} if method in {"POST", "PATCH"} else {}
    answer = await client.request(method, f"{API}{path}", headers=person.headers, **body)
    expect.status(
        answer,
        500,
        why=FAILING,
        hint="an `except` catches too much here: name the one error that you expect, or catch nothing",
        at=at,
    )


async def only_who_may_sign_in(client, people, method, path, **json):
    """Expect 400 for an admin who is switched off, and 401 for one who is deleted."""
    now = people._load("db.base").utc_now()
    root = await people.admin("asleep")
    hint = "let `CurrentUser` say who is asking: it turns away who is switched off or deleted"
    for change, status in (({"is_active": False}, 400), ({"deleted_at": now}, 401)):
        await people.change(root, **change)
        answer = await ask(client, root, method, path, **json)
        why = "who was dismissed in the morning could go on for as long as a token lives"
        expect.status(answer, status, why=why, hint=hint)


async def add_many(client, model, rows):
    """Store many rows in one statement, behind the routes' back."""
    async with client.sessions() as session:
        await session.execute(insert(model), rows)
        await session.commit()


def source_of(thing):
    """Return what the learner wrote for a function or class, so that no hint asks for what is there."""
    try:
        return inspect.getsource(thing)
    except (TypeError, OSError):
        return ""


def coded(answer, status, code, **reason):
    """Expect an error with a status and a code."""
    expect.status(answer, status, **reason)
    expect.that(
        fields(answer).get("code") == code,
        response=answer,
        got=f"the code {expect.shown(fields(answer).get('code'))}",
        expected=f'the code "{code}"',
        why="a program that uses the API acts on the code",
        hint=reason.get("hint", ""),
        at=reason.get("at"),
    )


async def add_item(client, owner, **changes):
    """Create an item over HTTP, and return its fields."""
    answer = await ask(client, owner, "POST", "/items", **(PEN | changes))
    expect.status(answer, 201, why="nobody could make an item", hint="exercise 10.2: let `create` return the new item")
    return fields(answer)
