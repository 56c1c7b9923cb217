"""Checks of chapter 10: who may do what. Everything is asked over HTTP, by people with different rights."""

import inspect
import re
import sqlite3
import sys
from contextlib import contextmanager
from decimal import Decimal
from types import SimpleNamespace, TracebackType

import pytest
from fastapi import Depends
from sqlalchemy import event, insert
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException

from workbook import expect
from workbook.checks import exercise

API = "/api/v1"
NOWHERE = 987
MANY = 101  # one more than get_multi gives at once
PEN = {"title": "Pen", "price": "1.50"}
OPEN_TO_ALL = "everybody could read, change and delete everybody's items"
CAN_BE_GUESSED = "ids are small numbers: a stranger would find out which ones exist"
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

    def fail(_connection, _cursor, statement, _parameters, _context, _many):
        if re.search(rf"\b{table}\b", statement):
            raise OperationalError(statement, {}, sqlite3.OperationalError("disk I/O error"))

    event.listen(engine_of(client), "before_cursor_execute", fail)
    try:
        yield
    finally:
        event.remove(engine_of(client), "before_cursor_execute", fail)


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


def fields(answer):
    """Return the fields of a JSON object; another body has none."""
    body = expect.body(answer)
    return body if isinstance(body, dict) else {}


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


@contextmanager
def watched(engine):
    """Give the list of what the statements of a block do to users: lock, change, read."""
    steps = []

    def note(_connection, _cursor, statement, _parameters, context, _many):
        compiled = getattr(getattr(context, "compiled", None), "statement", None)
        kinds = [getattr(context, f"is{name}", False) for name in ("insert", "update", "delete")]
        if not re.search(r"\busers\b", statement):
            return
        if getattr(compiled, "_for_update_arg", None) is not None:
            steps.append("lock")
        elif any(kinds) or re.match(r"\s*(?:insert|update|delete)\b", statement, re.IGNORECASE):
            steps.append("change")
        elif re.search(r"\brole\b", statement):  # whatever it begins with: a query may begin with WITH
            steps.append("read")

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield steps
    finally:
        event.remove(engine, "before_cursor_execute", note)


def engine_of(client):
    """Return the engine below a client's app."""
    return client.sessions.kw["bind"].sync_engine


def said(answer):
    """Return an error body without the request id, which always differs."""
    return {key: value for key, value in fields(answer).items() if key != "request_id"}


# ---------------------------------------------------------------------------------------------------------------- 10.1


USERS_ROUTES = (
    ("GET", "/users"),
    ("POST", "/users"),
    ("PATCH", f"/users/{NOWHERE}"),
    ("DELETE", f"/users/{NOWHERE}"),
)
NOT_ASKED = "the guard must say no before the route begins: who lacks a permission gets Forbidden"


def unless_returned(call, hint):
    """Choose the hint: an error that is returned, and not raised, explains whatever comes of it."""
    return "an error is raised, not returned" if "return Forbidden" in source_of(call) else hint


@exercise("10.1")
class TestRequirePermissions:
    @pytest.fixture
    def call(self, load):
        """The method that the exercise is about."""
        guard = load("users.dependencies").RequirePermissions
        return vars(guard).get("__call__", guard)

    @pytest.fixture
    def guarded(self, load, visitor):
        """Add a route to the app that needs the given permissions; its answer is the name of the user it got."""
        require = load("users.dependencies").RequirePermissions

        def add(*permissions):
            path = f"{API}/guarded-by-{'-and-'.join(permissions).replace(':', '-') or 'nothing'}"

            @visitor.app.get(path)
            async def guarded_route(user=Depends(require(*permissions))):  # noqa: B008
                return {"username": getattr(user, "username", None)}

            return path.removeprefix(API)

        return add

    async def test_an_admin_passes(self, visitor, people, call):
        """An admin may use the routes for admins"""
        root = await people.admin()
        ada = await people.add("ada")
        why = "nobody could manage users any more"
        for method, path, status, body in (
            ("GET", "/users", 200, {}),
            ("PATCH", f"/users/{ada.id}", 200, {"full_name": "A"}),
            ("DELETE", f"/users/{ada.id}", 204, {}),
        ):
            answer = await ask(visitor, root, method, path, **body)
            expect.status(answer, status, why=why, hint=self.hint_for_a_refused_admin(call), at=call)

    @staticmethod
    def hint_for_a_refused_admin(call):
        """Choose the hint by what the method hands over."""
        if "*self.permissions" in source_of(call):
            return "has_permission says True for who may pass: raise for all others, and return the user to these"
        return "has_permission takes the permissions one by one, and `self.permissions` is a tuple: a star unpacks it"

    async def test_a_user_is_forbidden(self, visitor, people, call):
        """A user without the permission gets 403, with the code forbidden"""
        ada = await people.add("ada")
        for method, path in (*USERS_ROUTES, ("PATCH", f"/users/{ada.id}"), ("DELETE", f"/users/{ada.id}")):
            coded(
                await ask(visitor, ada, method, path),
                403,
                "forbidden",
                why="everybody who is signed in could read, change and delete all users",
                hint=unless_returned(call, NOT_ASKED),
                at=call,
            )

    async def test_nothing_is_done_for_a_user(self, visitor, people, snapshot, call):
        """A refused request changes nothing"""
        ada, bob = await people.add("ada"), await people.add("bob")
        eve = {"email": "eve@example.com", "username": "eve", "password": "Correct horse"}
        for method, path, body in (
            ("PATCH", f"/users/{bob.id}", {"role": "admin"}),
            ("DELETE", f"/users/{bob.id}", {}),
            ("POST", "/users", eve),
        ):
            before = await snapshot(visitor)
            await ask(visitor, ada, method, path, **body)
            (await snapshot(visitor)).same(
                before,
                did=f"{method} /api/v1{path} by Ada, a user",
                why="a refusal that comes after the work is no refusal",
                hint=unless_returned(call, "raise Forbidden in `__call__`: it runs before the route"),
                at=call,
            )

    async def test_permission_comes_before_validation(self, visitor, people, call):
        """A user without the permission gets 403 also for a malformed request"""
        ada = await people.add("ada")
        for answer in (
            await ask(visitor, ada, "GET", "/users?limit=0"),
            await ask(visitor, ada, "POST", "/users", email=1),
        ):
            expect.status(
                answer,
                403,
                why="the messages would tell how the routes of admins work",
                hint=unless_returned(
                    call, "keep `dependencies=[...]` in the decorators: these run before the body is read"
                ),
                at=call,
            )

    async def test_a_stranger_signs_in_first(self, visitor, call):
        """Somebody without a token gets 401, not 403"""
        for method, path in USERS_ROUTES:
            expect.status(
                await ask(visitor, None, method, path),
                401,
                why="after a 401 a client shows the form to sign in, after a 403 it does not",
                hint="keep `user: CurrentUser` as the parameter of `__call__`",
                at=call,
            )

    async def test_who_was_dismissed(self, visitor, people):
        """An admin who is switched off gets 400, and one who is deleted 401"""
        await only_who_may_sign_in(visitor, people, "GET", "/users")

    async def test_a_superuser_passes(self, visitor, people, call):
        """A superuser passes, whatever the role"""
        boss = await people.add("boss", is_superuser=True)
        expect.status(
            await ask(visitor, boss, "GET", "/users"),
            200,
            why="who has the database in hand must not be locked out",
            hint="the table of roles does not know who is a superuser, and nor does the role; `has_permission` does",
            at=call,
        )

    async def test_each_request_is_asked_anew(self, load, visitor, people, call):
        """Who gets a role may use the routes at once, and who loses it may not any more"""
        role = load("users.schemas").Role
        ada = await people.add("ada")
        for now, status in ((role.USER, 403), (role.ADMIN, 200), (role.USER, 403)):
            await people.change(ada, role=now)
            expect.status(
                await ask(visitor, ada, "GET", "/users"),
                status,
                why="a right that was taken away would last until the app starts again",
                hint=unless_returned(
                    call, "one object serves all requests: ask at each call, and keep nothing in `self`"
                ),
                at=call,
            )

    async def test_all_permissions_are_needed(self, load, visitor, people, guarded, monkeypatch, call):
        """Who has one of two permissions does not pass; who has both does, and the route gets the user"""
        permissions = load("users.permissions")
        role = load("users.schemas").Role.USER
        first, second = permissions.Permission.READ_USERS, permissions.Permission.MANAGE_ITEMS
        monkeypatch.setitem(permissions.ROLE_PERMISSIONS, role, frozenset({first}))
        ada = await people.add("ada")
        both, one, none = guarded(first, second), guarded(first), guarded()
        other, turned = guarded(second), guarded(second, first)
        hint = unless_returned(
            call, "all of `self.permissions` are needed: has_permission takes as many as you give it"
        )
        for path in (both, other, turned):
            why = "one right would open what needs two"
            expect.status(await ask(visitor, ada, "GET", path), 403, why=why, hint=hint, at=call)
        for path in (one, none):
            answer = await ask(visitor, ada, "GET", path)
            expect.status(answer, 200, why="people could not do what they may do", hint=hint, at=call)
            expect.json(
                answer,
                {"username": "ada"},
                why="a route that needs the user would get nothing",
                hint="`__call__` gives a route what it returns: its last line is the user",
                at=call,
            )
        monkeypatch.setitem(permissions.ROLE_PERMISSIONS, role, frozenset({first, second}))
        for path in (both, other, turned):
            why = "people could not do what they may do"
            expect.status(await ask(visitor, ada, "GET", path), 200, why=why, hint=hint, at=call)


# ---------------------------------------------------------------------------------------------------------------- 10.2


NO_COMMIT = "the route's session commits when the route has returned; take the commit out of the service"


@exercise("10.2")
class TestItems:
    @pytest.fixture
    async def ada(self, people):
        """A user who is not the first one."""
        await people.add("first")
        return await people.add("ada")

    @pytest.fixture
    def service(self, load):
        """The learner's methods."""
        return items_of(load)

    async def test_create(self, visitor, ada, service):
        """A new item is answered with 201 and belongs to the one who asks"""
        item = await add_item(visitor, ada, description="blue", url="https://example.com/pen")
        for name, value in (PEN | {"description": "blue", "url": "https://example.com/pen"}).items():
            hint = "hand `data` to item_crud.create"
            expect.equal(item.get(name), value, did=f"{name} of the new item", hint=hint, at=service.create)
        expect.equal(
            item.get("owner_id"),
            ada.id,
            did="owner_id of an item that Ada has made",
            why="she could not find her own item again",
            hint="the service knows who asks: self.user; item_crud.create takes further values by name",
            at=service.create,
        )

    async def test_everybody_owns_their_own(self, visitor, people, ada, service):
        """Each new item belongs to the one who made it, whoever made one before"""
        bob, root = await people.add("bob"), await people.admin()
        for maker in (ada, bob, root, ada):
            item = await add_item(visitor, maker)
            expect.equal(
                item.get("owner_id"),
                maker.id,
                did=f"owner_id of a new item of {maker.username.title()}",
                why="an item of one person would belong to another one",
                hint="ask self.user at each call, and keep nobody's id between two calls",
                at=service.create,
            )

    async def test_the_owner_is_not_chosen(self, visitor, ada, service):
        """An owner_id in the body has no effect, neither in POST nor in PATCH"""
        item = await add_item(visitor, ada, owner_id=1)
        changed = await ask(visitor, ada, "PATCH", f"/items/{item.get('id')}", owner_id=1, title="Ink")
        expect.status(
            changed,
            200,
            why="clients send back the whole item that they got, owner_id and all",
            hint="return what item_crud.update returns",
            at=service.update,
        )
        for body, what, at in ((item, "POST", service.create), (fields(changed), "PATCH", service.update)):
            expect.equal(
                body.get("owner_id"),
                ada.id,
                did=f'owner_id after a {what} of Ada with "owner_id": 1',
                why="people could put things into other people's names",
                hint="the owner is self.user.id; the schemas have no owner_id, and that is right",
                at=at,
            )

    async def test_read(self, visitor, ada, service):
        """An item can be read; an id that does not exist is 404 with the code item_not_found"""
        item, second = await add_item(visitor, ada), await add_item(visitor, ada, title="Ink")
        for one in (item, second):
            answer = await ask(visitor, ada, "GET", f"/items/{one.get('id')}")
            why = "people could not read what they made"
            expect.status(answer, 200, why=why, hint="let `get` return the item", at=service.get)
            expect.json(
                answer,
                one,
                why="people would read another item than the one they asked for",
                hint="look for the item with this id: item_crud.get takes the session and the id",
                at=service.get,
            )
        for method, body in (("GET", {}), ("PATCH", {"title": "x"}), ("DELETE", {})):
            coded(
                await ask(visitor, ada, method, f"/items/{NOWHERE}", **body),
                404,
                "item_not_found",
                why="a client must be able to tell a wrong id from a failure of the app",
                hint="item_crud.get returns None where there is no row: then raise ItemNotFound",
                at=service.get,
            )

    async def test_every_item_is_found(self, load, visitor, ada, service):
        """An item is found among many: the 101st too"""
        rows = [PEN | {"price": Decimal(1), "title": f"Pen {number}", "owner_id": ada.id} for number in range(MANY)]
        await add_many(visitor, load("items.models").Item, rows)
        for id in (1, MANY):
            answer = await ask(visitor, ada, "GET", f"/items/{id}")
            expect.status(
                answer,
                200,
                why=f"the item with the id {id} is there, and nobody would find it",
                hint="ask for one id: a list holds a page only, at most a hundred rows",
                at=service.get,
            )
            expect.equal(fields(answer).get("id"), id, did=f"id of the item at /items/{id}", at=service.get)

    async def test_update(self, visitor, ada, snapshot, service):
        """PATCH changes what was sent, nothing else, and it is saved"""
        item = await add_item(visitor, ada, description="blue")
        await add_item(visitor, ada, title="Ink")
        id = item.get("id")
        why = "people could not change what they made"
        for body, stored in (
            ({"price": 2}, ["price"]),
            ({"url": "https://example.com/ink"}, ["url"]),
            ({"description": None}, ["description"]),
            ({}, []),
        ):
            before = await snapshot(visitor)
            answer = await ask(visitor, ada, "PATCH", f"/items/{id}", **body)
            expect.status(answer, 200, why=why, hint="return what item_crud.update returns", at=service.update)
            (await snapshot(visitor)).same(
                before,
                but=[f"items/{id}/{name}" for name in (*stored, "updated_at")],
                did=f"PATCH /items/{id} with {body}",
                why="a change of the price would delete the description, or take the item away",
                hint="item_crud.update changes what was sent; hand it the item and `data`, and no more",
                at=service.update,
            )
            self.is_saved(answer, body, await ask(visitor, ada, "GET", f"/items/{id}"), service)

    @staticmethod
    def is_saved(answer, sent, again, service):
        """Expect what was sent in the answer, and the same item at the next request."""
        wanted = sent | ({"price": "2.00"} if "price" in sent else {})
        for body, what in ((fields(answer), "the answer"), (fields(again), "the item, read again")):
            expect.equal(
                {name: body.get(name) for name in sent},
                wanted,
                did=f"{', '.join(sent)} after PATCH with {sent}: {what}",
                why="a change would be confirmed, and lost",
                hint="hand the item and `data` to item_crud.update, and return its result",
                at=service.update,
            )
        expect.equal(
            fields(answer),
            fields(again),
            did=f"the answer to PATCH with {sent}, and the item as it is read a moment later",
            why="the answer would show an item that does not exist, with an old updated_at for example",
            hint="the change must reach the database before the answer is built: item_crud.update flushes",
            at=service.update,
        )

    async def test_the_owner_stays(self, visitor, people, ada, service):
        """An admin who changes an item does not become its owner"""
        item = await add_item(visitor, ada)
        answer = await ask(visitor, await people.admin(), "PATCH", f"/items/{item.get('id')}", price=3)
        expect.status(answer, 200, why="an admin could not help anybody", at=service.update)
        for body in (fields(answer), fields(await ask(visitor, ada, "GET", f"/items/{item.get('id')}"))):
            expect.equal(
                body.get("owner_id"),
                ada.id,
                did="owner_id of Ada's item after an admin has changed its price",
                why="an admin who repairs a price would take the item away",
                hint="the owner is set once, when the item is made; `update` changes only what was sent",
                at=service.update,
            )

    async def test_delete(self, visitor, ada, snapshot, service):
        """DELETE answers 204 without a body; then this item is gone, and nothing else"""
        item, other = await add_item(visitor, ada), await add_item(visitor, ada)
        before = await snapshot(visitor)
        answer = await ask(visitor, ada, "DELETE", f"/items/{item.get('id')}")
        why, hint = "people could not get rid of what they made", "item_crud.delete takes the session and the item"
        expect.status(answer, 204, why=why, hint=hint, at=service.delete)
        expect.equal(answer.content, b"", did="the body of a 204", why="a 204 has no body", hint="return nothing")
        for one, status in ((item, 404), (other, 200)):
            expect.status(
                await ask(visitor, ada, "GET", f"/items/{one.get('id')}"),
                status,
                why="what people delete must be gone, and nothing else",
                hint=hint,
                at=service.delete,
            )
        (await snapshot(visitor)).same(
            before,
            but=[f"items/{item.get('id')}"],
            did=f"DELETE /items/{item.get('id')}",
            why="what people delete must be gone, and nothing else",
            hint=hint,
            at=service.delete,
        )

    async def test_nothing_is_committed_here(self, visitor, ada, endings, service):
        """The service commits nothing: the request's session does, when the route has returned"""
        item = await add_item(visitor, ada)
        endings.none(did="POST /api/v1/items", hint=NO_COMMIT, at=service.create)
        for method, body in (("GET", {}), ("PATCH", {"price": 2}), ("DELETE", {})):
            await ask(visitor, ada, method, f"/items/{item.get('id')}", **body)
            endings.none(did=f"{method} /api/v1/items/{item.get('id')}", hint=NO_COMMIT, at=service.get)

    async def test_a_broken_database(self, visitor, ada, service):
        """When the database fails, the answer is a 500, and not the 404 of an item that is not there"""
        item = await add_item(visitor, ada)
        with failing(visitor, "items"):
            for method, path, at, body in (
                ("GET", f"/items/{item.get('id')}", service.get, {}),
                ("POST", "/items", service.create, PEN),
                ("PATCH", f"/items/{item.get('id')}", service.update, {"price": 2}),
                ("DELETE", f"/items/{item.get('id')}", service.delete, {}),
            ):
                await is_500(visitor, ada, method, path, at=at, **body)

    async def test_a_stranger_signs_in_first(self, visitor, people):
        """Every route about items asks a stranger to sign in: 401; who is switched off gets 400"""
        for method, path in (("GET", ""), ("POST", ""), ("GET", "/1"), ("PATCH", "/1"), ("DELETE", "/1")):
            expect.status(
                await ask(visitor, None, method, f"/items{path}"),
                401,
                why="nobody would know whose items these are",
                hint="keep the given routes and dependencies: ItemServiceDep needs CurrentUser",
            )
        await only_who_may_sign_in(visitor, people, "POST", "/items", **PEN)


# ---------------------------------------------------------------------------------------------------------------- 10.3


@exercise("10.3")
class TestOwnerOrAdmin:
    @pytest.fixture
    def service(self, load):
        """The learner's methods."""
        return items_of(load)

    @pytest.fixture
    async def ada(self, people):
        """The owner of the item."""
        return await people.add("ada")

    @pytest.fixture
    async def item(self, visitor, people, ada):
        """An item of Ada's; the first one is somebody else's, and an id before it is free."""
        await add_item(visitor, await people.add("zoe"), title="the first one")
        gap = await add_item(visitor, ada, title="another one")
        made = await add_item(visitor, ada)
        await ask(visitor, ada, "DELETE", f"/items/{gap.get('id')}")
        return made

    async def test_the_owner(self, visitor, ada, item, service):
        """The owner reads, changes and deletes: 200, 200, 204"""
        hint = "for the owner both conditions hold: the item has this id, and its owner_id is the user's id"
        await self.may_do_all(visitor, ada, item, service, "people could not work with their own items", hint)

    async def test_an_admin(self, visitor, people, ada, item, service):
        """An admin reads, changes and deletes anybody's item, and its owner stays; her own she finds as well"""
        root = await people.admin()
        hint = "who has Permission.MANAGE_ITEMS needs no condition at all: an empty list"
        await self.may_do_all(visitor, root, item, service, "an admin could not help anybody", hint)
        own = await add_item(visitor, root)
        answer = await ask(visitor, root, "GET", f"/items/{own.get('id')}")
        expect.status(answer, 200, why="an admin could not read her own items", hint=hint, at=service.visible)
        off = await people.add("off")
        left = await add_item(visitor, off)
        await people.change(off, is_active=False)
        answer = await ask(visitor, root, "GET", f"/items/{left.get('id')}")
        why = "nobody could tidy up what somebody has left who was switched off"
        expect.status(answer, 200, why=why, hint=hint, at=service.visible)

    async def test_a_superuser(self, visitor, people, ada, item, service):
        """A superuser may do it too, whatever the role"""
        boss = await people.add("boss", is_superuser=True)
        why = "who has the database in hand must not be locked out"
        hint = "the role says nothing about a superuser: has_permission(user, permission) knows both"
        await self.may_do_all(visitor, boss, item, service, why, hint)

    @staticmethod
    async def may_do_all(client, person, item, service, why, hint):
        path = f"/items/{item.get('id')}"
        answer = await ask(client, person, "GET", path)
        expect.status(answer, 200, why=why, hint=hint, at=service.visible)
        expect.json(
            answer,
            item,
            why="people would read another item than the one they asked for",
            hint="look for the item with this id: Item.id == item_id",
            at=service.get,
        )
        changed = await ask(client, person, "PATCH", path, title="Checked")
        expect.status(changed, 200, why=why, hint=hint, at=service.visible)
        expect.equal(
            fields(changed).get("owner_id"),
            item.get("owner_id"),
            did="owner_id after the change",
            why="the owner would lose the item to somebody who has only corrected its title",
            hint="`update` changes what was sent; leave the owner alone",
            at=service.update,
        )
        expect.status(await ask(client, person, "DELETE", path), 204, why=why, hint=hint, at=service.visible)

    async def test_the_list_is_the_callers(self, load, db, service):
        """`visible` returns a new list each time: what a caller adds stays with this caller"""
        model, role = load("users.models").User, load("users.schemas").Role
        for who, columns in (("an admin", {"role": role.ADMIN}), ("a user", {"role": role.USER})):
            mine = load("items.service").ItemService(db, model(id=7, is_superuser=False, **columns))
            first = mine.visible()
            before = len(first)
            if isinstance(first, list):
                first.append(None)
            expect.equal(
                len(mine.visible()),
                before,
                did=f"the number of conditions of {who}, after a caller has added one to an earlier list",
                why="a search by one person would be a limit for everybody, until the app is started again",
                hint="make the list inside the method: `return []` gives a new one each time",
                at=service.visible,
            )

    async def test_others_find_nothing(self, visitor, people, ada, item, snapshot, service):
        """Somebody else gets 404 for reading, changing and deleting, and nothing changes"""
        bob = await people.add("bob")
        await add_item(visitor, bob)
        path = f"/items/{item.get('id')}"
        before = await snapshot(visitor)
        for method, body in (("GET", {}), ("PATCH", {"price": 0}), ("DELETE", {})):
            answer = await ask(visitor, bob, method, path, **body)
            expect.that(
                answer.status_code != 403,
                response=answer,
                got="403 Forbidden",
                expected="404 Not Found",
                why=CAN_BE_GUESSED,
                hint="raise ItemNotFound, not Forbidden, for somebody else's item",
                at=service.get,
            )
            expect.status(
                answer,
                404,
                why=OPEN_TO_ALL if answer.is_success else CAN_BE_GUESSED,
                hint=self.hint_for_an_open_item(service),
                at=service.get,
            )
        (await snapshot(visitor)).same(
            before,
            did=f"GET, PATCH and DELETE {path} by Bob",
            why="a refused request must change nothing",
            hint="refuse in `get`: it runs before the change",
            at=service.get,
        )

    @staticmethod
    def hint_for_an_open_item(service):
        """Choose the hint by what `get` asks."""
        if "visible()" not in source_of(service.get):
            return "`get` looks at the id only: it must ask for the conditions of `visible()` as well"
        return "both must hold for the item that is found: the right id, and every condition of `visible()`"

    async def test_the_same_answer_as_for_nothing(self, visitor, people, ada, item, service):
        """The 404 for somebody else's item has the same body as for an id that nobody has"""
        bob = await people.add("bob")
        for method, body in (("GET", {}), ("PATCH", {"price": 0}), ("DELETE", {})):
            hidden = await ask(visitor, bob, method, f"/items/{item.get('id')}", **body)
            nothing = await ask(visitor, bob, method, f"/items/{NOWHERE}", **body)
            coded(
                nothing,
                404,
                "item_not_found",
                why="a client must be able to tell a wrong id from a failure of the app",
                hint="raise ItemNotFound when nothing is found",
                at=service.get,
            )
            expect.that(
                said(hidden) == said(nothing),
                response=hidden,
                got=f"the body {expect.shown(said(hidden))}",
                expected=f"the body {expect.shown(said(nothing))}",
                why=CAN_BE_GUESSED,
                hint="raise the same ItemNotFound in both cases",
                at=service.get,
            )

    async def test_visible_decides(self, load, visitor, people, ada, item, monkeypatch, service):
        """`get` asks `visible` who may see an item, and has no rule of its own"""
        column, bob = load("items.models").Item.id, await people.add("bob")
        for person, conditions, status, what in (
            (ada, [column < 0], 404, "a condition that no item meets"),
            (bob, [], 200, "no condition"),
        ):
            monkeypatch.setattr(load("items.service").ItemService, "visible", lambda _service, found=conditions: found)
            answer = await ask(visitor, person, "GET", f"/items/{item.get('id')}")
            expect.equal(
                answer.status_code,
                status,
                did=f"the status of GET /items/{item.get('id')}, while `visible` returns {what}",
                why="two copies of one rule: one of them will be changed, and the other one forgotten",
                hint="`get` has a rule of its own: let it ask for the id, and for all conditions of `visible()`"
                if "owner_id" in source_of(service.get)
                else self.hint_for_an_open_item(service),
                at=service.get,
            )

    async def test_own_id_is_no_item_id(self, visitor, people, ada, item, service):
        """An item is found by its own id, not by the id of its owner"""
        answer = await ask(visitor, ada, "GET", f"/items/{item.get('id')}")
        expect.json(
            answer,
            item,
            why="people would read another item than the one they asked for",
            hint="compare Item.id with item_id, and Item.owner_id with self.user.id",
            at=service.get,
        )

    async def test_every_item_is_found(self, load, visitor, people, ada, service):
        """The owner and an admin find every item, also the 101st; other people find none of them"""
        rows = [PEN | {"price": Decimal(1), "title": f"Pen {number}", "owner_id": ada.id} for number in range(MANY)]
        await add_many(visitor, load("items.models").Item, rows)
        root, bob = await people.admin(), await people.add("bob")
        for person, status in ((ada, 200), (root, 200), (bob, 404)):
            for id in (1, MANY):
                answer = await ask(visitor, person, "GET", f"/items/{id}")
                expect.status(
                    answer,
                    status,
                    why=f"the item with the id {id} is there, and nobody would find it"
                    if status == 200
                    else "everybody could read everybody's items",
                    hint="get_multi gives a page, 20 rows or a hundred at most: let the query ask for the id"
                    if status == 200
                    else self.hint_for_an_open_item(service),
                    at=service.get,
                )
                if status == 200:
                    expect.equal(fields(answer).get("id"), id, did=f"id of the item at /items/{id}", at=service.get)

    async def test_who_may_manage_is_in_the_table(self, load, visitor, people, ada, item, monkeypatch, service):
        """The permission decides, not the role: whoever gets items:manage sees every item"""
        permissions, role = load("users.permissions"), load("users.schemas").Role.USER
        table, manage = permissions.ROLE_PERMISSIONS, permissions.Permission.MANAGE_ITEMS
        bob, path = await people.add("bob"), f"/items/{item.get('id')}"
        for held, status in (({manage}, 200), (set(permissions.Permission) - {manage}, 404)):
            monkeypatch.setitem(table, role, frozenset(held))
            expect.status(
                await ask(visitor, bob, "GET", path),
                status,
                why="whoever gives a role a right, or takes it away, changes only ROLE_PERMISSIONS: "
                "the rest of the code must follow",
                hint="ask has_permission(self.user, Permission.MANAGE_ITEMS), not for a role",
                at=service.visible,
            )

    async def test_a_broken_database(self, visitor, ada, item, endings, service):
        """When the database fails, the answer is a 500, and not "there is no such item"; nothing is committed here"""
        path = f"/items/{item.get('id')}"
        endings.clear()
        await ask(visitor, ada, "GET", path)
        endings.none(did=f"GET /api/v1{path}", hint=NO_COMMIT, at=service.get)
        with failing(visitor, "items"):
            await is_500(visitor, ada, "GET", path, at=service.get)


# ---------------------------------------------------------------------------------------------------------------- 10.4


WRITES = "let the service write what was sent: it knows all the rules"
THE_LIST = (
    "the schema of the body decides what one may change: UserUpdate lists what people may change about themselves"
)


@exercise("10.4")
class TestUpdateMe:
    @pytest.fixture
    def route(self, load):
        """The learner's route."""
        return getattr(load("users.router"), "update_me", None)

    async def test_people_change_themselves(self, visitor, people, snapshot):
        """Name, user name and e-mail can be changed, and are saved; nothing else changes"""
        await people.add("first")
        ada = await people.add("ada")
        form = {"username": "ada", "password": people.password}
        await visitor.post(f"{API}/auth/login", data=form)  # a session that must go on
        new = {"full_name": "Ada L.", "username": "lovelace", "email": "ada@new.example.com"}
        before = await snapshot(visitor)
        answer = await ask(visitor, ada, "PATCH", "/users/me", **new)
        hint = "return what service.update returns for this user and this body"
        expect.status(answer, 200, why="people could not correct their own name", hint=hint)
        for body in (fields(answer), fields(await ask(visitor, ada, "GET", "/users/me"))):
            expect.equal({name: body.get(name) for name in new}, new, did="the changed fields", hint=hint)
        (await snapshot(visitor)).same(
            before,
            but=[f"users/{ada.id}/{name}" for name in (*new, "updated_at")],
            did="PATCH /users/me",
            why="people would lose what they did not ask to change, such as their sessions",
            hint="change `user`, the one who asks, by service.update, and nothing besides",
        )

    async def test_no_secret_leaves(self, visitor, people):
        """The answer holds no hash, and nothing else that only the database should know"""
        answer = await ask(visitor, await people.add("ada"), "PATCH", "/users/me", full_name="Ada")
        expect.status(answer, 200, why="people could not correct their own name", hint=WRITES)
        secret = [name for name in ("hashed_password", "is_superuser", "deleted_at") if name in answer.text]
        expect.that(
            not secret,
            response=answer,
            got=f"the answer holds {', '.join(secret)}",
            expected="the fields of UserPublic",
            why="whoever reads the hash can guess passwords at home",
            hint="keep response_model=UserPublic in the decorator",
        )

    async def test_only_what_is_sent(self, visitor, people, snapshot):
        """What is not sent stays; null removes the full name; an empty body changes nothing"""
        ada = await people.add("ada", full_name="Ada")
        for body, expected in (({}, "Ada"), ({"username": "lovelace"}, "Ada"), ({"full_name": None}, None)):
            before = await snapshot(visitor)
            answer = await ask(visitor, ada, "PATCH", "/users/me", **body)
            expect.status(answer, 200, why="people could not correct their own name", hint=WRITES)
            expect.equal(
                fields(answer).get("full_name"),
                expected,
                did=f"full_name after PATCH /users/me with {body}",
                why="a form that sends one field would delete the others",
                hint=WRITES,
            )
            (await snapshot(visitor)).same(
                before,
                but=[f"users/{ada.id}/{name}" for name in (*body, "updated_at") if body],
                did=f"PATCH /users/me with {body}",
                why="a form that sends one field would change the others",
                hint=WRITES,
            )

    async def test_no_power_by_assignment(self, visitor, people):
        """Role, superuser, state, password and id are ignored: the answer is 200, and they stay"""
        ada = await people.add("ada")
        before = await people.stored(ada)
        for name, value in (
            ("role", "admin"),
            ("is_superuser", True),
            ("is_active", False),
            ("password", "Battery staple"),
            ("hashed_password", "!"),
            ("id", 4711),
            ("deleted_at", None),
            ("deleted_at", "2030-01-01T00:00:00Z"),
            ("created_at", "2030-01-01T00:00:00Z"),
            ("role", "emperor"),
            ("password", "weak"),
        ):
            answer = await ask(visitor, ada, "PATCH", "/users/me", **{"full_name": "Ada", name: value})
            expect.that(
                answer.status_code == 200,
                response=answer,
                got=f"{answer.status_code}",
                expected=f"200: {name} is ignored",
                why="clients send back the whole user that they got, role and all",
                hint="a schema drops the fields that it does not list, and that is enough: " + THE_LIST,
            )
            row = await people.stored(ada)
            kept = ("role", "is_superuser", "is_active", "hashed_password", "deleted_at", "created_at")
            changed = [one for one in kept if getattr(row, one) != getattr(before, one)]
            expect.that(
                not changed,
                response=answer,
                got=f"{', '.join(changed)} changed in the database",
                expected=f"{name} is ignored",
                why="everybody could make themselves an admin"
                if name in {"role", "is_superuser"}
                else "who finds an unlocked phone would own the account",
                hint="a list of what is forbidden is never complete: " + THE_LIST,
            )

    async def test_the_rules_of_the_schema_hold(self, visitor, people):
        """A bad e-mail, a bad user name or null in their place is refused with 422"""
        ada = await people.add("ada")
        for body in ({"email": "nonsense"}, {"username": "a b"}, {"username": None}, {"email": None}):
            expect.status(
                await ask(visitor, ada, "PATCH", "/users/me", **body),
                422,
                why="a second door without the rules of sign-up lets in what the first one refuses",
                hint="FastAPI checks a body by its parameter's type: the rules stand in UserUpdate",
            )

    async def test_a_taken_name_is_a_conflict(self, visitor, people):
        """The e-mail address or user name of somebody else is 409; one's own is 200"""
        ada, bob = await people.add("ada"), await people.add("bob")
        gone = await people.add("gone", deleted_at=people._load("db.base").utc_now())
        hint = "service.update knows refuse_duplicates: ask it, and catch nothing around it"
        for body in ({"email": bob.email}, {"email": bob.email.upper()}, {"username": "bob"}, {"email": gone.email}):
            coded(
                await ask(visitor, ada, "PATCH", "/users/me", **body),
                409,
                "user_exists",
                why="a taken name would be a 500",
                hint=hint,
            )
        for body in ({"email": ada.email}, {"email": ada.email.upper()}, {"username": "ada"}):
            answer = await ask(visitor, ada, "PATCH", "/users/me", **body)
            expect.status(answer, 200, why="who sends the whole form back would be refused", hint=hint)

    async def test_strangers_and_admins(self, visitor, people):
        """A stranger gets 401; who is switched off 400; an admin stays one"""
        hint = "keep `user: CurrentUser`"
        expect.status(await ask(visitor, None, "PATCH", "/users/me", full_name="x"), 401, hint=hint)
        await only_who_may_sign_in(visitor, people, "PATCH", "/users/me", full_name="x")
        root = await people.admin()
        answer = await ask(visitor, root, "PATCH", "/users/me", full_name="Root", role="user")
        expect.status(answer, 200, hint=hint)
        expect.equal(
            fields(answer).get("role"),
            "admin",
            did="role of an admin after PATCH /users/me",
            why="an admin could give up the role by accident",
            hint="the same schema for everybody: for more there is PATCH /users/{user_id}",
        )

    async def test_a_broken_database(self, visitor, people, broken_database, endings, route):
        """When the database fails, the answer is a 500, and not a 409; the route commits nothing"""
        ada = await people.add("ada")
        endings.clear()
        await ask(visitor, ada, "PATCH", "/users/me", full_name="Ada")
        hint = "the route's session commits when the route has returned; take the commit out of the route"
        endings.none(did="PATCH /api/v1/users/me", hint=hint, at=route)
        with broken_database(visitor, "update"):
            await is_500(visitor, ada, "PATCH", "/users/me", at=route, full_name="Ada L.")


# ---------------------------------------------------------------------------------------------------------------- 10.5


# the role comes last: who reads `user.is_admin` again after the change fails there only
GIVING_UP = (("PATCH", {"is_active": False}), ("DELETE", {}), ("PATCH", {"role": "user"}))
NOBODY_LEFT = "nobody could manage users any more, and nobody could undo it"


def done(method):
    """Return the status of a change that is made."""
    return 204 if method == "DELETE" else 200


def after_the_change(steps):
    """Return what was done from the change on; nothing, when nothing was changed."""
    return steps[steps.index("change") :] if "change" in steps else []


@exercise("10.5")
class TestLastAdmin:
    @pytest.fixture
    def keeping(self, load):
        """The learner's method."""
        service = load("users.service").UserService
        return getattr(service, "_keeping_an_admin", service)

    async def refused(self, client, people, person, method, body, at):
        """Expect a 409 that changes nothing."""
        with watched(engine_of(client)) as steps:
            answer = await ask(client, person, method, f"/users/{person.id}", **body)
        expect.that(
            answer.is_error or "read" in after_the_change(steps),
            response=answer,
            got=f"{answer.status_code}: the change was made, and nobody counts after the change",
            expected="409 Conflict: after the change the admins are counted, and there is none",
            why=NOBODY_LEFT,
            hint=await self.hint_for_no_count(people, person, body, steps),
            at=at,
        )
        coded(answer, 409, "last_admin", why=NOBODY_LEFT, hint=self.hint_for_a_wrong_count(answer, at), at=at)
        row = await people.stored(person)
        expect.that(
            row.is_active is True and row.deleted_at is None and (row.role.value == "admin" or row.is_superuser),
            response=answer,
            got="the answer is 409, but the change was saved",
            expected="nothing has changed",
            why="the answer would be a lie",
            hint="raise LastAdmin, and let it rise: get_session then saves nothing",
            at=at,
        )

    @staticmethod
    async def hint_for_no_count(people, person, body, steps):
        """Choose the hint by what the change did to the user, and by whether anything was done above the `yield`."""
        if "lock" in steps and "role" in body:
            return (
                "what stands below the `yield` sees the user after the change: she is no admin there; "
                "ask who she is above the `yield`, and count below it in any case"
            )
        if "lock" not in steps and (await people.stored(person)).is_superuser:
            return "a superuser is an admin too, whatever the role: `user.is_admin` knows both"
        return "what stands below the `yield` runs after the change: there, ask how many admins can still sign in"

    @staticmethod
    def hint_for_a_wrong_count(answer, at):
        """Choose the hint by what the learner counts with."""
        if answer.is_error:
            return "raise LastAdmin when nobody is left who can administrate, and no other error"
        if "can_administrate" in source_of(at):
            return "one admin is left when the number is 1, none when it is 0: then raise LastAdmin"
        return "who is switched off or deleted cannot help, and a superuser can: User.can_administrate() knows it"

    async def test_the_last_admin_stays(self, visitor, people, snapshot, keeping):
        """The last active admin cannot give up the role, be switched off or be deleted: 409, and nothing changes"""
        root = await people.admin()
        await people.add("ada")
        before = await snapshot(visitor)
        for method, body in GIVING_UP:
            await self.refused(visitor, people, root, method, body, keeping)
            (await snapshot(visitor)).same(
                before,
                did=f"{method} /api/v1/users/{root.id} {body or ''}".rstrip() + ", which is refused",
                hint="raise LastAdmin, and let it rise: get_session then saves nothing",
                at=keeping,
            )

    async def test_who_cannot_sign_in_does_not_count(self, load, visitor, people, keeping):
        """An admin who is switched off or deleted does not count"""
        root, role = await people.admin(), load("users.schemas").Role.ADMIN
        await people.add("asleep", role=role, is_active=False)
        await people.add("gone", role=role, deleted_at=load("db.base").utc_now())
        for method, body in GIVING_UP:
            await self.refused(visitor, people, root, method, body, keeping)

    async def test_one_of_two_may_go(self, load, open_visit, people, keeping):
        """One of two admins may go, by herself or by the other; the one who is left may not"""
        for method, body in GIVING_UP:
            async with open_visit() as client:
                crowd = type(people)(people._load, client)
                root, eve = await crowd.admin(), await crowd.admin("eve")
                expect.status(
                    await ask(client, root, method, f"/users/{eve.id}", **body),
                    done(method),
                    why="no admin could ever be removed",
                    hint="raise LastAdmin only when the count is 0",
                    at=keeping,
                )
                await self.refused(client, crowd, root, method, body, keeping)

    async def test_among_many(self, load, visitor, people, keeping):
        """The admins are found among many users: 101 others come before them"""
        names = [f"user{number}" for number in range(MANY)]
        rows = [{"email": f"{name}@example.com", "username": name, "hashed_password": "none"} for name in names]
        await add_many(visitor, load("users.models").User, rows)
        root, eve = await people.admin(), await people.admin("eve")
        expect.status(
            await ask(visitor, root, "PATCH", f"/users/{eve.id}", role="user"),
            200,
            why="in an app with more than a hundred users no admin could go",
            hint="let the database count: a list of users is a page only",
            at=keeping,
        )
        await self.refused(visitor, people, root, "PATCH", {"role": "user"}, keeping)

    async def test_a_superuser_counts(self, visitor, people, keeping):
        """A superuser counts as an admin, and cannot go when it is the last one"""
        boss, root = await people.add("boss", is_superuser=True), await people.admin()
        expect.status(
            await ask(visitor, root, "DELETE", f"/users/{root.id}"),
            204,
            why="the superuser is still there",
            hint="the role does not say who is a superuser: User.can_administrate() knows both",
            at=keeping,
        )
        for method, body in (("PATCH", {"is_active": False}), ("DELETE", {})):
            await self.refused(visitor, people, boss, method, body, keeping)
        for role in ("admin", "user"):
            expect.status(
                await ask(visitor, boss, "PATCH", f"/users/{boss.id}", role=role),
                200,
                why="a superuser without the role can still manage everything",
                hint="count who can administrate after the change, whatever was changed",
                at=keeping,
            )

    async def test_everything_else_goes_on(self, visitor, people, keeping):
        """The last admin may change her name and her password, and everything about users who are no admins"""
        root, ada, bob = await people.admin(), await people.add("ada"), await people.add("bob")
        hint = "refuse only when no admin is left after the change"
        for person, method, body in (
            (root, "PATCH", {"full_name": "Root"}),
            (root, "PATCH", {"role": "admin"}),
            (root, "PATCH", {"password": "Another horse"}),
            (root, "PATCH", {}),
            (ada, "PATCH", {"is_active": False}),
            (ada, "DELETE", {}),
            (bob, "PATCH", {"role": "admin"}),
            (root, "PATCH", {"role": "user"}),
        ):
            answer = await ask(visitor, root, method, f"/users/{person.id}", **body)
            expect.status(answer, done(method), why="admins could not do their work", hint=hint, at=keeping)
        answer = await ask(visitor, ada, "GET", "/users/me")
        expect.status(answer, 401, why="Ada was deleted", hint="keep a `yield` in every branch", at=keeping)
        row = await people.stored(bob)
        expect.equal(
            row.role.value,
            "admin",
            did="Bob's role in the database",
            why="the answer says that Bob is an admin, and he is not",
            hint="keep a `yield` in every branch",
            at=keeping,
        )

    async def test_a_change_that_fails(self, visitor, people, broken_database, keeping):
        """A change that fails by itself is not counted: a taken e-mail is 409 user_exists, a fault 500"""
        root, ada = await people.admin(), await people.add("ada")
        hint = "an exception comes out of the `yield`: let it rise, without a `try` around it, and count nothing"
        for path in (f"/users/{root.id}", "/users/me"):
            coded(
                await ask(visitor, root, "PATCH", path, email=ada.email),
                409,
                "user_exists",
                why="an admin would read about the last admin, or of a fault, and not that the address is taken",
                hint=hint,
                at=keeping,
            )
        for method, body in GIVING_UP:
            with broken_database(visitor, "update"):
                await is_500(visitor, root, method, f"/users/{root.id}", at=keeping, **body)

    async def test_users_without_an_admin(self, visitor, people, keeping):
        """Where there is no admin at all, users can still change themselves"""
        ada = await people.add("ada")
        expect.status(
            await ask(visitor, ada, "PATCH", "/users/me", full_name="Ada"),
            200,
            why="an app without a first admin would refuse every change",
            hint="a user who is no admin needs no count: `user.is_admin` says so before the change",
            at=keeping,
        )

    async def test_lock_change_count(self, visitor, people, endings, keeping):
        """The rows of the admins are locked before the change, and counted after it, in the request's transaction"""
        root, eve = await people.admin(), await people.admin("eve")
        for method, body in GIVING_UP:
            endings.clear()
            with watched(engine_of(visitor)) as steps:
                answer = await ask(visitor, root, method, f"/users/{eve.id}", **body)
            expect.status(
                answer,
                done(method),
                why="no admin could ever be removed",
                hint="raise LastAdmin only when the count is 0",
                at=keeping,
            )
            self.in_order(steps, answer, body, keeping)
            why = "the lock ends with the transaction: from then on the others go on"
            endings.none(did=answer.extensions["workbook.exchange"].request_line, why=why, at=keeping)
            await people.change(eve, role=(await people.stored(root)).role, is_active=True, deleted_at=None)
        endings.clear()
        await ask(visitor, root, "DELETE", f"/users/{eve.id}")
        await self.refused(visitor, people, root, "DELETE", {}, keeping)
        hint = "raise LastAdmin: get_session takes the change back"
        endings.none(did=f"DELETE /api/v1/users/{root.id}, which is refused", hint=hint, at=keeping)

    @staticmethod
    def in_order(steps, answer, body, at):
        why = "two admins who remove each other in the same second would leave none"
        expect.that(
            "lock" in steps[: len(steps) - len(after_the_change(steps))],
            response=answer,
            got="the rows of the admins are not locked before the change",
            expected="lock, change, count",
            why=why,
            hint="user_crud.lock_admins must run before the change, and what stands above the `yield` does",
            at=at,
        )
        expect.that(
            "read" in after_the_change(steps),
            response=answer,
            got="nobody counts after the change",
            expected="lock, change, count",
            why=why,
            hint="she is no admin any more below the `yield`: ask who she is above it, and count below it in any case"
            if "role" in body
            else "count below the `yield`: what is counted above it can be wrong a moment later",
            at=at,
        )

    async def test_a_user_needs_no_lock(self, visitor, people, keeping):
        """A change of a user who is no admin waits for nobody: no lock is taken, and nobody is counted"""
        root, ada = await people.admin(), await people.add("ada")
        for person, path, body in ((ada, "/users/me", {"full_name": "Ada"}), (root, f"/users/{ada.id}", {})):
            with watched(engine_of(visitor)) as steps:
                answer = await ask(visitor, person, "PATCH", path, **body)
            hint = "for a user who is no admin only the `yield` runs"
            expect.status(answer, 200, why="people could not change their name", hint=hint, at=keeping)
            expect.equal(
                (steps.count("lock"), after_the_change(steps).count("read")),
                (0, 0),
                did="locks, and counts after the change, while Ada, who is no admin, is changed",
                why="every change of every user would wait for the changes of admins",
                hint="`user.is_admin` says before anything else whether the three steps are needed",
                at=keeping,
            )


# ---------------------------------------------------------------------------------------------------------------- 10.6


ITEMS = (
    ("ada", "Diary one", "5"),
    ("bob", "Pen", "9"),
    ("ada", "Diary two", "7"),
    ("ada", "Lamp", "10"),
    ("bob", "Ink", "1.5"),
)


@exercise("10.6")
class TestListOfItems:
    @pytest.fixture
    def get_page(self, load):
        """The learner's method."""
        return items_of(load).get_page

    @pytest.fixture
    async def crowd(self, load, visitor, people):
        """Ada with three items, Bob with two between them, and an admin."""
        found = {"ada": await people.add("ada"), "bob": await people.add("bob"), "root": await people.admin()}
        item = load("items.models").Item
        async with visitor.sessions.begin() as session:
            for name, title, price in ITEMS:
                values = {"description": "secret_blue", "price": Decimal(price), "owner_id": found[name].id}
                session.add(item(title=title, **values))
                await session.flush()
        return found

    async def expect_page(self, client, person, query, titles, total, why, hint, at):
        answer = await ask(client, person, "GET", f"/items{query}")
        expect.status(answer, 200, why="nobody could look at a list", hint=hint, at=at)
        body = expect.body(answer)
        got = [one.get("title") for one in body] if isinstance(body, list) else body
        theirs = {title for name, title, _ in ITEMS if person.username not in (name, "root", "boss")}
        expect.that(
            not theirs.intersection(got if isinstance(got, list) else ()),
            response=answer,
            got=f"the titles {expect.shown(got)}: some are somebody else's",
            expected=f"the titles {expect.shown(titles)}",
            why="by a search a script could read other people's titles"
            if "q=" in query
            else "everybody could read everybody's items",
            hint="all conditions in `where` must hold together: the search is one more, beside those of `visible()`"
            if "visible()" in source_of(at)
            else "nobody asks `visible()` here: it has the conditions of what this user may see",
            at=at,
        )
        expect.that(
            got == titles,
            response=answer,
            got=f"the titles {expect.shown(got)}",
            expected=f"the titles {expect.shown(titles)}",
            why=why,
            hint=hint,
            at=at,
        )
        self.expect_total(answer, total, len(titles), at)

    @staticmethod
    def expect_total(answer, total, shown, at):
        """Expect the number of all items that one may see; the hint depends on what was counted instead."""
        count = answer.headers.get("x-total-count") or ""
        number = int(count) if count.isdigit() else None
        if number == shown:
            hint = "this is the length of the page: ask item_crud.count, which counts all that meet the conditions"
        else:
            hint = "page and count must get the same conditions"
        expect.that(
            number == total,
            response=answer,
            got=f"X-Total-Count: {count}",
            expected=f"X-Total-Count: {total}",
            why="the number tells how many rows there are that one may not see"
            if number is not None and number > total
            else "a client works out from this number how many pages there are; it would stop too early",
            hint=hint,
            at=at,
        )

    async def test_one_sees_ones_own(self, visitor, crowd, people, get_page):
        """Everybody sees and counts their own items, and somebody without items sees none"""
        why, hint = "people would not find what is theirs", "the conditions come from `visible()`, for page and count"
        await self.expect_page(visitor, crowd["bob"], "", ["Pen", "Ink"], 2, why, hint, get_page)
        await self.expect_page(visitor, crowd["ada"], "", ["Diary one", "Diary two", "Lamp"], 3, why, hint, get_page)
        await self.expect_page(visitor, await people.add("eve"), "", [], 0, why, hint, get_page)

    async def test_admins_see_all(self, visitor, crowd, people, get_page):
        """Admins and superusers see and count all items"""
        boss = await people.add("boss", is_superuser=True)
        await add_item(visitor, crowd["root"], title="Root's own")
        for person in (crowd["root"], boss):
            await self.expect_page(
                visitor,
                person,
                "",
                ["Diary one", "Pen", "Diary two", "Lamp", "Ink", "Root's own"],
                6,
                "an admin could not help anybody",
                "`visible()` knows who may see all: then it is empty, and nothing else may narrow the list",
                get_page,
            )

    async def test_who_manages_items(self, load, visitor, crowd, monkeypatch, get_page):
        """The permission decides, not the role: whoever gets items:manage sees and counts all"""
        permissions, role = load("users.permissions"), load("users.schemas").Role.USER
        monkeypatch.setitem(permissions.ROLE_PERMISSIONS, role, frozenset({permissions.Permission.MANAGE_ITEMS}))
        answer = await ask(visitor, crowd["bob"], "GET", "/items")
        expect.equal(
            (len(expect.body(answer)), answer.headers.get("x-total-count")),
            (5, "5"),
            did="number of items and X-Total-Count for a user whose role has items:manage",
            why="whoever gives a role a right changes only ROLE_PERMISSIONS: the rest of the code must follow",
            hint="`visible()` asks has_permission already: take what it says, and do not ask for the role",
            at=get_page,
        )

    async def test_pages_are_full(self, visitor, crowd, get_page):
        """`skip` and `limit` count only what one may see"""
        why = "a page would be short or empty, though there is more"
        hint = "give the conditions to get_multi; a filter in Python comes too late"
        if "skip" not in source_of(get_page) and "model_dump" not in source_of(get_page):
            hint = "the page's `skip` is used nowhere: get_multi takes it, beside `limit`"
        bob, ada = crowd["bob"], crowd["ada"]
        for person, query, titles, total in (
            (bob, "?limit=1", ["Pen"], 2),
            (bob, "?skip=1&limit=1", ["Ink"], 2),
            (bob, "?skip=2", [], 2),
            (ada, "?limit=2", ["Diary one", "Diary two"], 3),
            (ada, "?skip=2&limit=2", ["Lamp"], 3),
        ):
            await self.expect_page(visitor, person, query, titles, total, why, hint, get_page)

    async def test_the_search_tells_nothing(self, visitor, crowd, get_page):
        """A search finds and counts only what one may see, in title and description"""
        why, hint = "people would not find what they search for", "item_crud.matches(page.q) is one more condition"
        for name, query, titles in (
            ("bob", "?q=diary", []),
            ("bob", "?q=in", ["Ink"]),
            ("bob", "?q=secret_blue", ["Pen", "Ink"]),
            ("ada", "?q=diary", ["Diary one", "Diary two"]),
            ("ada", "?q=t%25", []),
            ("root", "?q=secret&limit=5", ["Diary one", "Pen", "Diary two", "Lamp", "Ink"]),
        ):
            await self.expect_page(visitor, crowd[name], query, titles, len(titles), why, hint, get_page)

    async def test_search_and_page_together(self, visitor, crowd, get_page):
        """A page of a search is counted by the search, not by the page"""
        why, hint = (
            "a client would stop too early",
            "page and count get the same conditions, and only the page its bounds",
        )
        for name, query, titles, total in (
            ("ada", "?q=diary&limit=1", ["Diary one"], 2),
            ("ada", "?q=diary&skip=1", ["Diary two"], 2),
            ("root", "?q=n&limit=2&skip=1", ["Pen", "Ink"], 3),
        ):
            await self.expect_page(visitor, crowd[name], query, titles, total, why, hint, get_page)

    async def test_more_than_a_hundred(self, load, visitor, crowd, get_page):
        """Who has more than a hundred items reaches every one of them, and all are counted"""
        bob = crowd["bob"]
        rows = [{"title": f"Nail {number}", "price": Decimal(1), "owner_id": bob.id} for number in range(MANY)]
        await add_many(visitor, load("items.models").Item, rows)
        why = "who has 150 items would see 100, and a total of 100"
        hint = "`skip` and `limit` belong into the query; what Python cuts is one page, a hundred rows at most"
        for query, titles, total in (
            ("?skip=102&limit=2", ["Nail 100"], 103),
            ("?q=nail&skip=99&limit=2", ["Nail 99", "Nail 100"], 101),
            ("?q=nail&limit=1", ["Nail 0"], 101),
        ):
            await self.expect_page(visitor, bob, query, titles, total, why, hint, get_page)

    async def test_sorted(self, visitor, crowd, get_page):
        """Sorting works on what one may see, and prices go by number"""
        why = "a list that claims to be sorted, and is not, hides the cheapest thing on a later page"
        hint = "get_multi sorts: hand the page's `sort` on"
        for name, query, titles in (
            ("bob", "?sort=price", ["Ink", "Pen"]),
            ("ada", "?sort=-price", ["Lamp", "Diary two", "Diary one"]),
            ("root", "?sort=-price&limit=2&skip=1", ["Pen", "Diary two"]),
        ):
            total = {"bob": 2, "ada": 3, "root": 5}[name]
            await self.expect_page(visitor, crowd[name], query, titles, total, why, hint, get_page)

    async def test_bounds(self, visitor, crowd):
        """Bad bounds and unknown columns are still refused with 422"""
        for query in ("?limit=0", "?limit=101", "?skip=-1", "?sort=owner_id", "?sort=hashed_password"):
            expect.status(
                await ask(visitor, crowd["ada"], "GET", f"/items{query}"),
                422,
                why="a stranger's number or text must not reach the database",
                hint="keep `page: Annotated[ItemPage, Query()]` in the route",
            )

    async def test_who_asks(self, visitor, people, crowd, get_page):
        """A stranger gets 401, who is switched off 400; a failing database is a 500, and no empty list"""
        answer = await ask(visitor, None, "GET", "/items")
        expect.status(answer, 401, why="nobody would know whose items to show", hint="keep the given dependencies")
        await only_who_may_sign_in(visitor, people, "GET", "/items")
        with failing(visitor, "items"):
            await is_500(visitor, crowd["ada"], "GET", "/items", at=get_page)
