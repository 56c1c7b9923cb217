"""Checks of chapter 05: the routes about users."""

import asyncio
import inspect
import random
import sys
from contextlib import contextmanager, suppress
from types import MethodType
from typing import Any
from urllib.parse import parse_qs

import pytest
from fastapi import FastAPI, HTTPException
from sqlalchemy import ColumnElement, event, select
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlalchemy.orm import Session

from workbook import expect
from workbook.checks import exercise

USERS = "/api/v1/users"
ADA = {"email": "Ada@Example.com", "username": "ADA", "password": "Correct horse"}
PUBLIC = ("id", "email", "username", "full_name", "role", "is_active", "created_at", "updated_at")
HASH = "$2b$12$KIXQabcdefghijklmnopqrstuv"
MAX_ID = 2**31 - 1


async def add_users(load, api, *usernames, **columns):
    """Store users by these names, in this order; return their ids."""
    model = load("users.models").User
    values = {"hashed_password": HASH} | columns
    users = [model(email=f"{name}@example.com", username=name, **values) for name in usernames]
    api.watched.alone = False
    async with api.sessions.begin() as session:
        for user in users:
            session.add(user)
            await session.flush()
    return [user.id for user in users]


async def stored(load, api, user_id):
    """Return a user's row as it is in the database, also of a deleted one, or None."""
    async with api.sessions() as session:
        return await session.get(load("users.models").User, user_id)


@contextmanager
def surely():
    """Keep the hint of a wrong answer in the block, also where an exception is behind it: it is about that one."""
    try:
        yield
    except expect.Wrong as error:
        error.sure = True
        raise


def shown(answer):
    """Return an answer in one line; a 500 with the exception behind it."""
    return answer.extensions["workbook.exchange"].answer_line


def part_of(load, module, name):
    """Return a function of the learner's, for `at=`; None where it has another name."""
    load(module)
    return getattr(sys.modules[f"app.{module}"], name, None)


async def names_on(api, query, prefix="", **reason):
    """Return the user names of a list that begin with `prefix`, in its order."""
    answer = await api.get(f"{USERS}?{query}")
    expect.status(answer, 200, **reason)
    rows = expect.body(answer, **reason)
    shape = isinstance(rows, list) and all(isinstance(row, dict) and "username" in row for row in rows)
    expect.that(
        shape,
        got=f"the body {expect.shown(rows)}",
        expected="a list of users",
        response=answer,
        **reason
        | {
            "why": "clients read the body as a list",
            "hint": "return the list of users, with response_model=list[UserPublic]",
        },
    )
    return [row["username"] for row in rows if row["username"].startswith(prefix)]


def blames(answer, field, **reason):
    """Expect a 422 whose errors name a field: in `detail`, or from chapter 06 on in `errors`."""
    expect.status(answer, 422, **reason)
    body = expect.body(answer, **reason)
    errors = (body.get("errors") or body.get("detail")) if isinstance(body, dict) else None
    errors = errors if isinstance(errors, list) else []
    blamed = {str(part) for error in errors if isinstance(error, dict) for part in list(error.get("loc") or ())[1:]}
    expect.that(
        field in blamed,
        got=f"the 422 names {', '.join(sorted(blamed)) or 'no field'}",
        expected=f"an entry whose loc names {field}",
        response=answer,
        **reason,
    )


# ---------------------------------------------------------------------------------------------------------------- 5.1


def failing(dependency, new_user, error):
    """Return a route that adds a user and then raises an error."""

    async def fail(session: dependency) -> None:
        session.add(new_user())
        await session.flush()
        raise error

    return fail


async def demo_with_session(load, sessions, connect):
    """Build an app with routes that use SessionDep; return it and the list of the sessions that were made."""
    dependency, user_class = load("db.session").SessionDep, load("users.models").User
    demo, made = FastAPI(), []

    class Factory(async_sessionmaker):
        def __call__(self, **options):
            made.append(super().__call__(**options))
            return made[-1]

    demo.state.session_factory = Factory(**sessions.kw)

    def new_user():
        return user_class(email="ada@example.com", username="ada", hashed_password="!")

    @demo.post("/idle")
    async def idle(session: dependency) -> dict[str, bool]:
        return {"same": bool(made) and session is made[-1]}

    @demo.post("/save")
    async def save(session: dependency) -> None:
        session.add(new_user())

    @demo.get("/flush")
    async def flush(session: dependency) -> None:
        session.add(new_user())
        await session.flush()

    @demo.patch("/change")
    async def change(session: dependency) -> None:
        user = await session.scalar(select(user_class))
        user.full_name = "Ada Lovelace"
        await session.flush()

    @demo.delete("/delete")
    async def delete(session: dependency) -> None:
        await session.delete(await session.scalar(select(user_class)))
        await session.flush()

    for path, error in (
        ("/refuse", HTTPException(418, "no")),
        ("/fall", RuntimeError("somebody fell over the cable")),
        ("/leave", asyncio.CancelledError()),
    ):
        demo.post(path)(failing(dependency, new_user, error))

    return demo, made


async def saved_names(load, sessions):
    """Return the full names of the users that another session sees; wait for no connection that is never given back."""
    user_class = load("users.models").User
    async with asyncio.timeout(2), sessions() as session:
        return list(await session.scalars(select(user_class.full_name)))


def hint_on(get_session, hint, made=(None,)):
    """Return the hint for a get_session that yields, from the app's factory; otherwise the first thing to change."""
    if inspect.iscoroutinefunction(get_session):
        return "`yield session`, not `return`"
    return hint if made else "take the factory from request.app.state at each call, and keep nothing in the module"


@contextmanager
def full_disk():
    """Let every commit of the app fail."""

    def fail(_session):
        raise OSError("no space left on device")

    event.listen(Session, "before_commit", fail)
    try:
        yield
    finally:
        event.remove(Session, "before_commit", fail)


def is_over(session):
    """Say whether a session has ended its transaction, and so has given its connection back."""
    return not session.in_transaction()


@exercise("5.1")
class TestSession:
    async def test_a_session_comes_from_the_factory(self, load, sessions, connect):
        """A route with SessionDep gets a session made by app.state.session_factory, the one of its own app"""
        get_session = load("db.session").get_session
        for _ in "two apps":
            demo, made = await demo_with_session(load, sessions, connect)
            async with connect(demo) as client:
                answer = await client.post("/idle")
            hint = "open `session_factory()` in an `async with` and yield the session"
            reason = {
                "why": "without a session of this app's database no route can do its work",
                "hint": hint_on(get_session, hint, made),
                "at": get_session,
            }
            expect.status(answer, 200, **reason)
            expect.json(answer, {"same": True}, **reason)

    async def test_what_a_route_writes_is_saved(self, load, sessions, connect):
        """What a route adds is committed when the route has returned"""
        demo, made = await demo_with_session(load, sessions, connect)
        async with connect(demo) as client:
            await client.post("/save")
        over = all(map(is_over, made))
        names = await saved_names(load, sessions) if over else []
        expect.equal(
            len(names),
            1,
            did="the users in the table after a request that added one",
            why="the client hears that it worked, and the row is gone",
            hint=hint_on(load("db.session").get_session, "commit below the yield, and await it", made),
            at=load("db.session").get_session,
        )

    async def test_whatever_a_route_writes_is_saved(self, load, sessions, connect):
        """What a route has flushed is committed too: a new row, a change, a deletion"""
        demo, made = await demo_with_session(load, sessions, connect)
        async with connect(demo) as client:
            for method, path, left in (
                ("GET", "/flush", [None]),
                ("PATCH", "/change", ["Ada Lovelace"]),
                ("DELETE", "/delete", []),
            ):
                await client.request(method, path)
                over = all(map(is_over, made))
                expect.equal(
                    await saved_names(load, sessions) if over else "(the session is still open)",
                    left,
                    did=f"the full names in the table after {method} {path}, a route that ends with `session.flush()`",
                    why="the client hears that it worked, and the change is gone",
                    hint=hint_on(
                        load("db.session").get_session,
                        "ask nothing before the commit: not the method, and not the session, which has forgotten its "
                        "changes after a flush",
                        made,
                    ),
                    at=load("db.session").get_session,
                )

    async def test_an_error_saves_nothing(self, load, sessions, connect):
        """After an exception in the route, of any kind, nothing of the request is saved"""
        for path in ("/refuse", "/fall"):
            demo, made = await demo_with_session(load, sessions, connect)
            async with connect(demo, raise_app_exceptions=False) as client:
                await client.post(path)
            if not all(map(is_over, made)):  # the next check says it; another request would wait for the connection
                return
            expect.equal(
                len(await saved_names(load, sessions)),
                0,
                did=f"the users in the table after POST {path}, a route that added one and then raised",
                why="half of a failed request would stay in the database",
                hint="commit below the yield, not in a `finally` or an `except`: the exception must skip it",
                at=load("db.session").get_session,
            )

    async def test_the_error_goes_on(self, load, sessions, connect):
        """An exception of the route still reaches the client as its own answer"""
        demo, _made = await demo_with_session(load, sessions, connect)
        async with connect(demo, raise_app_exceptions=False) as client:
            answer = await client.post("/refuse")
        with surely():
            expect.status(
                answer,
                418,
                why="the client would get a 500 in place of the reason",
                hint="catch nothing around the yield, or end the `except` with `raise`",
                at=load("db.session").get_session,
            )

    async def test_the_session_is_closed(self, load, sessions, connect):
        """The session gives its connection back: after a success, after an error, and when a request is cancelled"""
        for path in ("/refuse", "/leave", "/save"):  # the first two leave no row: each adds the same user
            demo, made = await demo_with_session(load, sessions, connect)
            async with connect(demo, raise_app_exceptions=False) as client:
                with suppress(asyncio.CancelledError):
                    await client.post(path)
            over = bool(made) and all(map(is_over, made))
            for session in () if over else made:
                await session.close()
            cancelled = ", a request that is cancelled (asyncio.CancelledError, which is no Exception)"
            expect.that(
                over,
                did=f"POST {path}{cancelled if path == '/leave' else ''}, then a look at its session",
                got="the session is still in a transaction" if made else "the app's factory has made no session",
                expected="the session is closed",
                why="each such request keeps a connection; after a few of them the pool is empty and everybody waits",
                hint=hint_on(
                    load("db.session").get_session,
                    "open the session with `async with`, so that it is closed however the route ends",
                    made,
                ),
                at=load("db.session").get_session,
            )

    async def test_each_request_has_its_own(self, load, sessions, connect):
        """Two requests get two sessions"""
        demo, made = await demo_with_session(load, sessions, connect)
        async with connect(demo, raise_app_exceptions=False) as client:
            await client.post("/idle")
            await client.post("/idle")
        expect.equal(
            len(made),
            2,
            did="the sessions that the factory made for two requests",
            why="a request could commit what another one has only half written",
            hint="call `session_factory()` inside the function, once for each call",
            at=load("db.session").get_session,
        )

    async def test_a_failed_commit_is_heard(self, load, sessions, connect):
        """A commit that fails is not kept secret: its exception goes on"""
        demo, made = await demo_with_session(load, sessions, connect)
        async with connect(demo) as client:
            try:
                with full_disk():
                    await client.post("/save")
                heard = False
            except OSError:
                heard = True
        expect.that(
            heard,
            did="POST /save, when the commit raises an OSError: no space left on device",
            got="no exception",
            expected="the OSError",
            why="rows would be lost, and neither the client nor you would ever hear of it",
            hint=hint_on(load("db.session").get_session, "let the exception of the commit rise: catch nothing", made),
            at=load("db.session").get_session,
        )


# ---------------------------------------------------------------------------------------------------------------- 5.2


WHERE_TO_CREATE = {
    404: 'the path in the decorator is "": the prefix says /users already',
    405: 'no POST under this path: the decorator is `router.post`, and its path is ""',
    422: "the route refuses good data: which parameters does it have, and of which type?",
}


def route_to_create(load):
    """Return the learner's create_user, for `at=`."""
    return part_of(load, "users.router", "create_user")


async def sign_up(load, api, body=None):
    """Send a POST; an address without a route is a wrong answer, and the same one in each criterion."""
    answer = await api.post(USERS, json=ADA if body is None else body)
    if answer.status_code in (404, 405):
        expect.status(
            answer,
            201,
            why="no request would reach your route",
            hint=WHERE_TO_CREATE[answer.status_code],
            at=route_to_create(load),
        )
    return answer


@exercise("5.2")
class TestCreate:
    async def test_created(self, load, api):
        """POST /api/v1/users answers 201"""
        answer = await sign_up(load, api)
        expect.status(
            answer,
            201,
            why="a client reads 201 as: there is something new; 200 says that there was nothing to make",
            hint=WHERE_TO_CREATE.get(answer.status_code, "the status of success stands in the decorator: status_code="),
            at=route_to_create(load),
        )

    async def test_the_public_fields(self, load, api):
        """The answer has the eight public fields of the new user, also those that are null"""
        reason = {
            "why": "the client would not find what it looks for: the id, or a name that may be empty",
            "hint": "response_model=UserPublic, and return what the service returns",
            "at": route_to_create(load),
        }
        no_name = {"email": "bob@example.com", "username": "bob", "password": "Correct horse"}
        for data in (no_name, ADA | {"full_name": "Ada Lovelace"}):
            answer = await sign_up(load, api, data)
            expect.that(answer.is_success is True, got=shown(answer), expected="success", response=answer, **reason)
            body = expect.body(answer, **reason)
            body = body if isinstance(body, dict) else {}
            missing = [name for name in PUBLIC if name not in body]
            hint = "let every field go out: a field that is null is `null` in the answer, and not left out"
            expect.that(
                not missing,
                got=f"the answer lacks {', '.join(missing)}",
                expected=f"the fields {', '.join(PUBLIC)}",
                response=answer,
                **reason | ({"hint": hint} if missing == ["full_name"] else {}),
            )
        wanted = {"email": "ada@example.com", "username": "ada", "full_name": "Ada Lovelace", "role": "user"}
        expect.equal(
            {name: body[name] for name in wanted}, wanted, did=f"POST {USERS}, some fields of the answer", **reason
        )

    async def test_no_hash(self, load, api):
        """Neither a password nor a hash is in the answer"""
        answer = await sign_up(load, api)
        at = route_to_create(load)
        expect.that(answer.is_success is True, got=shown(answer), expected="success", response=answer, at=at)
        body = expect.body(answer, at=at)
        found = sorted(name for name in body if "password" in name) if isinstance(body, dict) else []
        expect.that(
            not found and "Correct horse" not in answer.text,
            got=f"the answer shows {', '.join(found) or 'the password'}",
            expected="no password and no hash",
            why="who has the hash can guess the password at home, as often as the graphics card allows",
            hint="response_model=UserPublic lets only listed fields through",
            response=answer,
            at=at,
        )

    async def test_stored(self, load, api):
        """The user is in the database, with a hash instead of the password"""
        reason = {
            "why": "the client hears that the user exists, and the user is not there or cannot be trusted",
            "hint": "hand the data to service.create and await it: the service makes the hash and stores the row",
        }
        answer = await sign_up(load, api)
        user_class = load("users.models").User
        async with api.sessions() as session:
            row = await session.scalar(select(user_class).where(user_class.username == "ada"))
        expect.that(
            row is not None and row.hashed_password != ADA["password"],
            got="no such row" if row is None else "the password itself is stored",
            expected="a row with a hash",
            response=answer,
            at=route_to_create(load),
            **reason,
        )

    async def test_a_bad_request(self, load, api):
        """A password of three characters is refused with 422, and so is a request without a body"""
        reason = {
            "why": "a rule that the route does not ask for protects nobody",
            "hint": "the parameter `data` has the type UserCreate, and no default",
            "at": route_to_create(load),
        }
        blames(await sign_up(load, api, ADA | {"password": "Abc"}), "password", **reason)
        expect.status(await api.post(USERS), 422, **reason)

    async def test_no_role(self, load, api):
        """A role that the client sends has no effect"""
        answer = await sign_up(load, api, ADA | {"role": "admin", "is_active": False, "id": 77})
        at = route_to_create(load)
        expect.that(answer.is_success is True, got=shown(answer), expected="success", response=answer, at=at)
        body = expect.body(answer, at=at)
        expect.equal(
            (body.get("role"), body.get("is_active")) if isinstance(body, dict) else None,
            ("user", True),
            did=f'POST {USERS} with "role": "admin", "is_active": false',
            why="a client could give itself rights that nobody granted",
            hint="take a UserCreate, which has no such fields",
            at=at,
        )

    async def test_the_service_does_the_work(self, load, api, monkeypatch):
        """The route asks the service, and answers with what the service returns"""
        row = load("users.models").User(id=4711, email="x@example.com", username="from-the-service")
        row.hashed_password, row.role, row.is_active = HASH, load("users.schemas").Role.USER, True
        row.created_at = row.updated_at = load("db.base").utc_now()
        asked = []

        async def create(_service, data):
            asked.append(data)
            return row

        monkeypatch.setattr(load("users.service").UserService, "create", create)
        answer = await sign_up(load, api)
        body = expect.body(answer) if answer.is_success else shown(answer)
        expect.that(
            len(asked) == 1 and isinstance(body, dict) and body.get("username") == "from-the-service",
            did=f"POST {USERS}, with another method in place of UserService.create",
            got="UserService.create was not called" if not asked else f"the body {expect.shown(body)}",
            expected="what UserService.create returned",
            why="a rule that stands in a route holds for this route only: a script or a second route would not know it",
            hint="leave hash and query to the service: the route awaits service.create, and returns its result",
            response=answer,
            at=route_to_create(load),
        )

    async def test_the_work_of_others(self, load, api, endings, monkeypatch, broken_database):
        """The route commits nothing and catches nothing: what the service and the database raise passes"""
        at = route_to_create(load)
        endings.clear()
        await sign_up(load, api)
        endings.none(
            did=f"POST {USERS}",
            at=at,
            hint="take the commit out: get_session commits when the route has returned",
        )
        with broken_database(api, "insert") as broken:
            answer = await sign_up(load, api, ADA | {"username": "bob", "email": "bob@example.com"})
            broken.is_500(answer, at=at, hint="catch nothing here: the route has no answer to a fault of the database")

        async def refuse(_service, _data):
            raise IntegrityError("INSERT INTO users", {}, Exception("UNIQUE constraint failed"))

        monkeypatch.setattr(load("users.service").UserService, "create", refuse)
        answer = await sign_up(load, api)
        expect.equal(
            answer.status_code,
            500,
            did=f"the status of POST {USERS}, while service.create raises an IntegrityError",
            why="the rule for a taken name would stand in this route only: chapter 06 gives it one place for all",
            hint="catch nothing here: what the service raises passes through the route",
            at=at,
        )


# ---------------------------------------------------------------------------------------------------------------- 5.3


def possible(answer, status, *, hint, **reason):
    """Expect a status for an id from 1 to MAX_ID; a 422 says that the bounds are too narrow."""
    narrow = answer.status_code == 422
    expect.status(answer, status, hint="1 and MAX_ID are included: ge and le" if narrow else hint, **reason)


@exercise("5.3")
class TestReadOne:
    async def test_who_was_missing_a_moment_ago(self, load, api):
        """Who was not there a moment ago, and is there now, is found"""
        [last] = await add_users(load, api, "ada")
        await api.get(f"{USERS}/{last + 1}")
        [user_id] = await add_users(load, api, "bob")
        answer = await api.get(f"{USERS}/{user_id}")
        otherwise = answer.status_code != 404 or user_id != last + 1  # other checks say what is wrong then
        expect.that(
            otherwise or (await api.get(f"{USERS}/{last}")).status_code == 404,
            did=f"GET {USERS}/{user_id}, before the user is there and again when the user is there",
            got=shown(answer),
            expected="200 OK the second time",
            why="a new user could not be read until the server starts again",
            hint="keep nothing outside valid_user_id: ask the service in each request",
            at=load("users.dependencies").valid_user_id,
        )

    async def test_found(self, load, api):
        """An existing user is read with 200"""
        [user_id] = await add_users(load, api, "ada")
        reason = {
            "why": "the client could not see a user who is there",
            "hint": "end valid_user_id with `return user`: what it returns is what the route gets",
            "at": load("users.dependencies").valid_user_id,
        }
        answer = await api.get(f"{USERS}/{user_id}")
        possible(answer, 200, **reason)
        body = expect.body(answer, **reason)
        got = {name: body.get(name) for name in ("id", "username")} if isinstance(body, dict) else body
        expect.equal(got, {"id": user_id, "username": "ada"}, did=f"GET {USERS}/{user_id}", **reason)

    async def test_unknown(self, load, api):
        """A user who is not there is a 404 with a text"""
        reason = {
            "why": "a 500 says that the server is broken, and an empty 200 says that all is well",
            "hint": "None from the service means that nobody is there: end the request with an exception",
            "at": load("users.dependencies").valid_user_id,
        }
        for user_id in (987_654, MAX_ID):
            answer = await api.get(f"{USERS}/{user_id}")
            possible(answer, 404, **reason)
            body = expect.body(answer, **reason)
            detail = body.get("detail") if isinstance(body, dict) else None
            expect.that(
                isinstance(detail, str) and bool(detail),
                got=f"the detail {detail!r}",
                expected="a text in detail",
                response=answer,
                **reason,
            )

    async def test_deleted(self, load, api):
        """A deleted user is a 404 too"""
        [user_id] = await add_users(load, api, "ada", deleted_at=load("db.base").utc_now())
        answer = await api.get(f"{USERS}/{user_id}")
        possible(
            answer,
            404,
            why="a person who left would still be shown",
            hint="ask `service.get` at each request: its query hides deleted users",
            at=load("users.dependencies").valid_user_id,
        )

    async def test_switched_off(self, load, api):
        """A user who is switched off, but not deleted, is read with 200"""
        [user_id] = await add_users(load, api, "ada", is_active=False)
        possible(
            await api.get(f"{USERS}/{user_id}"),
            200,
            why="nobody could look at an account that is switched off, or switch it on again",
            hint="only a missing row is a 404: ask whether the user is None, and nothing else",
            at=load("users.dependencies").valid_user_id,
        )

    async def test_impossible(self, load, api):
        """An id that no row can have is a 422: 0, -1, 2147483648, 10**20, and all others below 1 and above MAX_ID"""
        large = "PostgreSQL raises an error for a number that its column cannot hold: a 500 for the client"
        never = "a 404 says that there could be such a user one day, and hides the client's mistake"
        beyond, below = random.randint(MAX_ID + 3, 10**12), -random.randint(3, 10**9)
        for user_id, why in (
            *((number, large) for number in (MAX_ID + 1, 10**20, MAX_ID + 2, 2**63, beyond)),
            *((number, never) for number in (0, -1, -2, below, "ada")),
        ):
            answer = await api.get(f"{USERS}/{user_id}")
            blames(
                answer,
                "user_id",
                why=why,
                hint="give UserId both bounds, with Path: the lowest id and the highest one",
                at=load("users.dependencies").valid_user_id,
            )

    async def test_the_type_has_the_bounds(self, load, api):
        """The bounds belong to UserId: another function with a `user_id: UserId` has them too"""

        @api.app.get("/probe/{user_id}")
        async def probe(user_id: load("users.dependencies").UserId) -> int:
            return user_id

        for user_id in (0, MAX_ID + 1):
            blames(
                await api.get(f"/probe/{user_id}"),
                "user_id",
                why="the next route that takes a user_id would have no bounds, and nobody would notice",
                hint="put the Path into UserId itself, with Annotated, and not only at the parameter of one function",
                at=load("users.dependencies").valid_user_id,
            )

    async def test_the_bounds_are_included(self, load, api):
        """The ids 1 and 2147483647 are possible"""
        user = load("users.models").User
        async with api.sessions.begin() as session:
            if await session.get(user, 1) is None:
                session.add(user(id=1, email="one@example.com", username="one", hashed_password=HASH))
            session.add(user(id=MAX_ID, email="last@example.com", username="last", hashed_password=HASH))
        for user_id in (1, MAX_ID):
            answer = await api.get(f"{USERS}/{user_id}")
            expect.status(
                answer,
                200,
                why="the first and the last user could never be read",
                hint="1 and MAX_ID are included: ge and le, not gt and lt",
                at=load("users.dependencies").valid_user_id,
            )

    async def test_the_route_does_not_run(self, load, api):
        """For an unknown user the route is not called at all"""
        calls = []

        @api.app.get("/probe/{user_id}")
        async def probe(user: load("users.dependencies").UserById) -> dict[str, Any]:
            calls.append(user)
            return {}

        answer = await api.get("/probe/987654")
        expect.that(
            not calls,
            got=f"the route was called with {expect.shown(calls[0])}" if calls else "",
            expected="the dependency ends the request",
            why="a route that changes or deletes would do it with something that is no user",
            hint="raise the HTTPException: an exception ends the request, a returned value goes on to the route",
            at=load("users.dependencies").valid_user_id,
            response=answer,
        )

    async def test_a_broken_database(self, load, api, broken_database):
        """A fault of the database is no missing user: it stays a 500"""
        [user_id] = await add_users(load, api, "ada")
        with broken_database(api, "select") as broken:
            broken.is_500(
                await api.get(f"{USERS}/{user_id}"),
                hint="catch nothing: `service.get` says by None that there is no such user",
                at=load("users.dependencies").valid_user_id,
            )


# ---------------------------------------------------------------------------------------------------------------- 5.4


def told(answer):
    """Return a hint for a 422 where a list should come: from the kind of error that it names; None for another one."""
    if answer.status_code != 422:
        return None
    body = expect.body(answer)
    errors = (body.get("errors") or body.get("detail")) if isinstance(body, dict) else None
    for error in errors if isinstance(errors, list) else []:
        name = error["loc"][-1] if isinstance(error, dict) and error.get("loc") else None
        if name in ("skip", "limit") and error.get("type") == "missing":
            default = {"skip": "0", "limit": "DEFAULT_LIMIT"}[name]
            return f"{name} has lost its default: Field(default={default}, ...)"
        if name in ("skip", "limit") and error.get("type") in ("greater_than", "less_than"):
            return "the bounds are included: ge and le, not gt and lt"
        if name in ("skip", "limit") and error.get("type") == "int_type":
            return f"{name} refuses every text, and a query is text: take `strict` away"
        if name in ("skip", "limit") and error.get("type") == "multiple_of":
            return f"every whole number between the bounds is a {name}: take `multiple_of` away"
    return None


def refuse_page(load, name, number, **reason):
    """Expect that PageParams, which every list shares, refuses a number by itself."""
    expect.refused(load("core.pagination").PageParams, {name: number}, field=name, **reason)


@exercise("5.4")
class TestBounds:
    async def test_skip(self, load, api):
        """skip=-1, skip=1000001 and skip=10**20 are refused with 422, and every other number outside of the bounds"""
        low = "a client with a bug would get a page that it did not mean, and never notice"
        high = "to leave out so many rows, the database must first read them: anybody could keep it busy"
        reason = {
            "hint": "give skip its lowest and its highest number, with ge and le, as the table says",
            "at": load("core.pagination").PageParams,
        }
        for skip, why in ((-1, low), (1_000_001, high), (10**20, high)):
            blames(await api.get(f"{USERS}?skip={skip}"), "skip", why=why, **reason)
        for skip in (-1, -2, 1_000_001, 1_000_002, -random.randint(3, 10**9), random.randint(1_000_003, 10**12)):
            refuse_page(load, "skip", skip, why=low if skip < 0 else high, **reason)

    async def test_limit(self, load, api):
        """limit=0, limit=-1, limit=101 and limit=1000000 are refused with 422, and every other number outside"""
        few = "the client would get fewer rows than it asked for, and think that it has all"
        none = "the client would get no row, and think that there is none"
        reason = {
            "hint": "give limit its lowest and its highest number, with ge and le, as the table says",
            "at": load("core.pagination").PageParams,
        }
        for limit in (0, -1, 101, 1_000_000):
            blames(await api.get(f"{USERS}?limit={limit}"), "limit", why=few if limit > 0 else none, **reason)
        for limit in (0, -2, 101, 102, -random.randint(3, 10**9), random.randint(103, 10**12)):
            refuse_page(load, "limit", limit, why=few if limit > 0 else none, **reason)

    async def test_the_bounds_are_allowed(self, load, api):
        """skip=0, skip=1000000, limit=1 and limit=100 are accepted"""
        for query in ("skip=0", "skip=1000000", "limit=1", "limit=100"):
            answer = await api.get(f"{USERS}?{query}")
            expect.status(
                answer,
                200,
                why="a client that keeps to the documents would be refused",
                hint=told(answer) or "the bounds are included, and each field has its own: compare with the table",
                at=load("core.pagination").PageParams,
            )

    async def test_defaults(self, load, api):
        """Without parameters a list begins with the first row and has at most 20"""
        await add_users(load, api, *(f"many{number}" for number in range(25)))
        answer = await api.get(f"{USERS}?skip=0&limit=20")
        reason = {
            "why": "a client that sends no parameters expects the first page, and a short one",
            "hint": told(await api.get(USERS)) or told(answer) or "default=0 for skip, default=DEFAULT_LIMIT for limit",
            "at": load("core.pagination").PageParams,
        }
        plain = await names_on(api, "", **reason)
        expect.equal(len(plain), 20, did=f"the number of users in GET {USERS}, of at least 25", **reason)
        first = await names_on(api, "skip=0&limit=20", **reason)
        expect.equal(plain, first, did=f"GET {USERS} against GET {USERS}?skip=0&limit=20", **reason)

    async def test_pages_fit_together(self, load, api):
        """Pages of two have no row twice and leave none out"""
        crowd = [f"crowd{letter}" for letter in "cabed"]
        await add_users(load, api, *crowd)
        reason = {
            "why": "a client that reads page after page would show a user twice and another one never",
            "hint": told(await api.get(f"{USERS}?skip=0&limit=2"))
            or "hand skip and limit on unchanged; the order by id is the work of get_multi",
            "at": load("core.pagination").PageParams,
        }
        found = []
        for skip in range(0, 10, 2):
            query = f"skip={skip}&limit=2"
            if hint := told(await api.get(f"{USERS}?{query}")):
                reason |= {"hint": hint, "why": "a client that asks for its next page would be refused"}
            found += await names_on(api, query, "crowd", **reason)
        expect.equal(found, crowd, did="the users of five pages, limit=2", **reason)

    async def test_no_number(self, load, api):
        """limit=ten, limit=1.5 and skip=1.5 are refused with 422"""
        for name, value in (("limit", "ten"), ("limit", "1.5"), ("skip", "1.5")):
            blames(
                await api.get(f"{USERS}?{name}={value}"),
                name,
                why="this is no number of rows: the query would fail with a 500, or round it silently",
                hint="keep the type int",
                at=load("core.pagination").PageParams,
            )

    def test_the_rest_stays(self, load):
        """The search text q stays as it was: none by default, at most 100 characters, none that cannot be stored"""
        params = load("core.pagination").PageParams
        reason = {
            "why": "a list of another kind would lose its search, or its bounds",
            "hint": "leave q as it is given",
        }
        page = expect.accepted(params, {"q": "x" * 100}, **reason)
        expect.equal(page.q, "x" * 100, did="PageParams(q=...).q", at=params, **reason)
        expect.equal(expect.accepted(params, {}, **reason).q, None, did="PageParams().q", at=params, **reason)
        for text in ("x" * 101, "null \x00"):
            expect.refused(params, {"q": text}, field="q", **reason)


# ---------------------------------------------------------------------------------------------------------------- 5.5

SORT = ("id", "-id", "email", "-email", "username", "-username", "created_at", "-created_at")


@exercise("5.5")
class TestSort:
    @pytest.fixture
    def page(self, load):
        """The learner's UserPage, for `at=`."""
        return load("users.schemas").UserPage

    async def test_listed(self, load, api, page):
        """Each listed field sorts upwards, and with a minus downwards"""
        crowd = ["crowdb", "crowdc", "crowda"]
        await add_users(load, api, *crowd)
        orders = {"id": crowd, "created_at": crowd, "email": sorted(crowd), "username": sorted(crowd)}
        for sort in SORT:
            order = orders[sort.removeprefix("-")]
            expect.equal(
                await names_on(
                    api,
                    f"sort={sort}",
                    "crowd",
                    why="a documented order would be refused",
                    hint=f"the value {sort} is not accepted: compare your list with the text, letter by letter",
                    at=page,
                ),
                order[::-1] if sort.startswith("-") else order,
                did=f"GET {USERS}?sort={sort}, the user names",
                why="the client would show its users in another order than the one it asked for",
                hint="hand the text on as it is; get_multi reads the minus",
                at=page,
            )

    async def test_secret(self, api, page):
        """Columns that clients never see are refused with 422: hashed_password, deleted_at"""
        for sort in ("hashed_password", "-hashed_password", "deleted_at", "-deleted_at"):
            blames(
                await api.get(f"{USERS}?sort={sort}"),
                "sort",
                why="the order of the hashes tells, request by request, what stands in them"
                if "password" in sort
                else "the order tells about a column that no client may see",
                hint="list the fields that a client may sort by; do not accept whatever the table has",
                at=page,
            )

    async def test_not_listed(self, load, api, page):
        """Every field that the text does not list is refused with 422, also one that clients see: role, updated_at"""
        shown_to_all, columns = (
            load("users.schemas").UserPublic.model_fields,
            load("users.models").User.__table__.columns,
        )
        for name in sorted({*shown_to_all, *columns.keys()} - set(SORT)):
            for sort in (name, f"-{name}"):
                blames(
                    await api.get(f"{USERS}?sort={sort}"),
                    "sort",
                    why="what may be seen may still be slow to sort by: each order that you offer costs an index",
                    hint="the text lists four fields; accept these, and no other",
                    at=page,
                )

    async def test_nonsense(self, api, page):
        """What is no field is refused with 422: nonsense, --id, +id, ID, an empty text"""
        for sort in ("nonsense", "--id", "+id", "", "-", "id desc", "ID", "Email", " id", "id ", "id,email", "- id"):
            blames(
                await api.get(USERS, params={"sort": sort}),
                "sort",
                why="a client's typing mistake would be a 500, or would be corrected silently",
                hint="accept the listed texts exactly as they stand there, and nothing else",
                at=page,
            )

    async def test_default(self, load, api, page):
        """Without sort the order is by id"""
        crowd = ["crowdb", "crowdc", "crowda"]
        await add_users(load, api, *crowd)
        expect.equal(
            await names_on(api, "", "crowd", why="a client need not choose", hint='the default is "id"', at=page),
            crowd,
            did=f"GET {USERS}, the user names",
            why="pages need the same order in every query",
            hint='the default is "id"',
            at=page,
        )


# ---------------------------------------------------------------------------------------------------------------- 5.6


def misplaced(calls):
    """Return what to change in a call of the queries, or an empty text.

    Args:
        calls: name, positional and named arguments of each call.
    """
    known = {"get_multi": ["limit", "skip", "sort", "where"], "count": ["where"]}
    for name, positional, named in calls:
        if name == "matches":
            if positional[:1] == (None,):
                return "without q there is no text to look for: the list of conditions is empty then"
            continue
        if len(positional) > 1:
            return f"behind the session, {name} takes arguments by name only: the conditions are `where=`"
        if unknown := sorted(named.keys() - {*known[name], "options"}):
            return f"{name} has no parameter {unknown[0]}: it knows {', '.join(known[name])}; q becomes a condition"
        if hint := not_in_place(named) or not_conditions(named.get("where", ())):
            return hint
    return ""


def not_in_place(named):
    """Return what to change in the arguments beside the conditions, or an empty text."""
    if "options" in named:
        return "a condition belongs into `where`; `options` says what is loaded beside the users"
    if not isinstance(named.get("sort", ""), str):
        return "`sort` is the text that the client chose; a condition belongs into `where`"
    for name in ("skip", "limit"):
        if not isinstance(named.get(name, 0), int):
            return f"{name} is a number; the order goes into `sort`, a condition into `where`"
    return ""


def not_conditions(where):
    """Return what to change in a list of conditions, or an empty text."""
    if where is None:
        return "without q the list of conditions is empty, not None"
    if isinstance(where, ColumnElement | str):
        return "`where` is a list, also for one condition: put square brackets around it"
    if isinstance(where, list) and sum(isinstance(one, ColumnElement) for one in where) > 1:
        return "one search is one condition, and there are more: begin with a new list in each call"
    for one in where if isinstance(where, list | tuple) else ():
        if isinstance(one, list | tuple):
            return "`where` is one list: there is a second list inside it"
        if isinstance(one, str):
            return (
                "`where` holds conditions, no texts: user_crud.matches makes one of q, and the order goes into `sort`"
            )
        if inspect.ismethod(one):
            return f"{one.__name__} makes the condition only when it is called, with the text of q in brackets"
    return ""


AT_ONCE = ("IllegalStateChangeError", "concurrent operations are not permitted", "another operation is in progress")


def raised(got):
    """Return what to change when the list is a 500 with this exception, or an empty text."""
    if any(part in got for part in AT_ONCE):
        return "one session does one thing at a time: await the first query, and then the second one"
    if "Input should be a valid list" in got:
        return "get_page returns the users first, then their number"
    return ""


@contextmanager
def named(api):
    """Tell in a wrong answer which argument of the queries stands in the wrong place, and where to look."""
    api.calls.clear()
    try:
        yield
    except expect.Wrong as error:
        hint = raised(error.got) or misplaced(api.calls)
        if hint and error.got.startswith("500"):
            error.why = "every client that asks for this list would get a 500"
        error.hint, error.sure, error.at = hint or error.hint, bool(hint), error.at or api.get_page
        raise


async def total(api, query, expected, **reason):
    """Expect the header X-Total-Count of a list."""
    with named(api):
        answer = await api.get(f"{USERS}?{query}")
        expect.status(answer, 200, **reason)
        found, page = answer.headers.get("X-Total-Count"), expect.body(answer, **reason)
        sent = parse_qs(query)
        limit = int(sent.get("limit", ["20"])[0])
        asked = [(name, named.get("limit", 20)) for name, _positional, named in api.calls if name != "matches"]
        if asked == [("get_multi", limit)] and "skip" not in sent and found != str(len(page)):
            reason["hint"] = "keep no total for later: ask the database in each call"
        expect.header(answer, "X-Total-Count", str(expected), **reason)


async def listed(api, query, expected, *, prefix="", what="", **reason):
    """Expect the user names of a list that begin with `prefix`; `what` says what else is in the table."""
    with named(api):
        found = await names_on(api, query, prefix, **reason)
        searched = any(name == "matches" or named.get("where") for name, _positional, named in api.calls)
        if "q" in (sent := parse_qs(query)) and not searched and set(found) > set(expected):
            hint = f"no search was made for {sent['q'][0]!r}: each q that is not empty is a search, however short"
            reason |= {"hint": hint}
        expect.equal(found, expected, did=f"GET {USERS}?{query}{what or ', the user names'}", **reason)


@contextmanager
def one_query_fails(api, part):
    """Let the queries of the app fail whose SQL has this part; give a list of those that did."""
    engine, failed = api.sessions.kw["bind"].sync_engine, []

    def fail(_connection, _cursor, statement, _parameters, _context, _many):
        if part in statement.lower():
            failed.append(statement)
            raise OperationalError(statement, {}, OSError("disk I/O error"))

    event.listen(engine, "before_cursor_execute", fail)
    try:
        yield failed
    finally:
        event.remove(engine, "before_cursor_execute", fail)


@exercise("5.6")
class TestTotal:
    @pytest.fixture(autouse=True)
    def calls(self, load, api, monkeypatch):
        """Remember in `api.calls` how the service calls its queries, and in `api.get_page` the method at fault."""
        crud, api.calls = load("users.crud").user_crud, []
        api.get_page = load("users.service").UserService.get_page

        def spy(name, method):
            def remember(_crud, *positional, **named):
                api.calls.append((name, positional, named))
                return method(*positional, **named)

            remember.__name__ = name
            return MethodType(remember, crud)  # a method, as the learner's is: SQLAlchemy takes a function for a query

        for name in ("get_multi", "count", "matches"):
            monkeypatch.setattr(crud, name, spy(name, getattr(crud, name)))

    async def test_each_time_anew(self, load, api):
        """Each request counts and searches anew: what an earlier one found or asked for has no effect"""
        await add_users(load, api, "crowda", "crowdb", "other")
        await total(api, "q=crowd", 2, why="the total would be wrong", hint="count with the conditions of this page")
        await add_users(load, api, "crowdc")
        await total(
            api,
            "q=crowd",
            3,
            why="a new user would be in no total until the server starts again",
            hint="keep no total for later: ask the database in each call",
        )
        await total(
            api,
            "q=other",
            1,
            why="who searches would find only what all searches before have in common",
            hint="begin with a new list of conditions in each call",
        )

    async def test_all_pages(self, load, api):
        """X-Total-Count counts the users of all pages, not of this one"""
        await add_users(load, api, "crowda", "crowdb", "crowdc", "crowdd", "crowde")
        for query in ("q=crowd&limit=2", "q=crowd&limit=2&skip=4", "q=crowd&skip=100"):
            await total(
                api,
                query,
                5,
                why="a client that shows `page 1 of 3` would show `page 1 of 1`",
                hint="let user_crud.count count, with the same conditions; len of the page is not the total",
            )

    async def test_without_search(self, load, api):
        """Without q all users are counted and listed"""
        reason = {
            "why": "a client could not tell how many pages there are",
            "hint": "without q the list of conditions is empty",
        }
        with named(api):
            before = len(await names_on(api, "limit=100", **reason))
        await add_users(load, api, "ada", "bob", "eve")
        await total(api, "limit=1", before + 3, **reason)

    async def test_more_than_a_page_may_hold(self, load, api):
        """A total beyond 100 is right too, and so are the pages there"""
        await add_users(load, api, *(f"crowd{number}" for number in range(105)))
        await total(
            api,
            "q=crowd",
            105,
            why="from 100 users on the total would stand still",
            hint="get_multi never returns more than MAX_LIMIT rows; let the database count: user_crud.count",
        )
        await listed(
            api,
            "q=crowd&skip=102&limit=10",
            ["crowd102", "crowd103", "crowd104"],
            why="from 100 users on the last pages would be empty, and nobody would be told",
            hint="hand skip on to get_multi as it came: it never returns more than MAX_LIMIT rows",
        )

    async def test_search(self, load, api):
        """The search text q finds users by a part of user name, full name or e-mail address, in any case"""
        await add_users(load, api, "crowda", "crowdb")
        await add_users(load, api, "eve", full_name="Eve of the Crowd")
        await add_users(load, api, "zoe")
        for q, found in (
            ("crowd", ["crowda", "crowdb", "eve"]),
            ("CROWDB@", ["crowdb"]),
            ("z", ["zoe"]),
            ("nobody", []),
        ):
            await listed(
                api,
                f"q={q}",
                found,
                why="a person who searches would be shown everybody, or nobody",
                hint="hand the condition of user_crud.matches to get_multi as well",
            )

    async def test_search_over_all_pages(self, load, api):
        """The search text q looks through the whole table, not only through the first page"""
        await add_users(load, api, *(f"other{number}" for number in range(30)), "crowda")
        await listed(
            api,
            "q=crowd&limit=5",
            ["crowda"],
            what=", with 30 other users before the one",
            why="a person would not find a user who is there",
            hint="give the condition to the query; do not filter the page that came back",
        )

    async def test_total_of_a_search(self, load, api):
        """With q only the users that match are counted"""
        await add_users(load, api, "crowda", "crowdb", "ada", "bob")
        await total(
            api,
            "q=crowd",
            2,
            why="a client would offer pages that are empty",
            hint="give the same `where` to count as to get_multi",
        )

    async def test_plain_text(self, load, api):
        """% and _ in q are plain characters"""
        await add_users(load, api, "ada")
        for q in ("%25", "_da"):
            await listed(
                api,
                f"q={q}",
                [],
                prefix="ada",
                what=", with a user ada",
                why="in SQL these characters stand for any text: the search would find too much",
                hint="use user_crud.matches, which takes care of them",
            )

    async def test_deleted(self, load, api):
        """Deleted users are neither listed nor counted"""
        await add_users(load, api, "crowda")
        await add_users(load, api, "crowdb", deleted_at=load("db.base").utc_now())
        await total(
            api,
            "q=crowd",
            1,
            why="the total would promise more users than any page shows",
            hint="user_crud.count starts from the query that hides deleted users",
        )

    async def test_sort_and_page_still_count(self, load, api):
        """skip, limit and sort still work, together with q"""
        await add_users(load, api, "crowdb", "crowdc", "crowda", "other")
        await listed(
            api,
            "q=crowd&sort=-username&skip=1&limit=1",
            ["crowdb"],
            why="the client would get another part of the list than it asked for",
            hint="give get_multi skip, limit, sort and where",
        )

    async def test_the_work_of_others(self, load, api, endings, broken_database):
        """A list commits nothing, and when the database fails it is a 500, not an empty list"""
        endings.clear()
        await api.get(USERS)
        endings.none(did=f"GET {USERS}", at=api.get_page)
        with broken_database(api, "select") as broken:
            broken.is_500(
                await api.get(USERS),
                why="the client would show that there are no users, and nobody would repair the server",
                hint="catch nothing: get_page has no answer to a fault of the database",
                at=api.get_page,
            )

    async def test_each_query_may_fail(self, load, api):
        """When only the query for the page fails, or only the one that counts, the answer is a 500 too"""
        await add_users(load, api, "crowda", "crowdb", "crowdc")
        for part, what, why in (
            ("count(", "the query that counts", "the client would be told a total that nobody has counted"),
            ("limit", "the query for the page", "the client would show that there are no users"),
        ):
            with one_query_fails(api, part) as failed:
                answer = await api.get(f"{USERS}?q=crowd&limit=1")
            if failed:
                expect.that(
                    answer.status_code == 500,
                    did=f"GET {USERS}?q=crowd&limit=1, while {what} raises an OperationalError",
                    got=shown(answer),
                    expected="500 Internal Server Error",
                    why=f"{why}, and nobody would repair the server",
                    hint="catch nothing around either query: get_page has no answer to a fault of the database",
                    at=api.get_page,
                )


# ---------------------------------------------------------------------------------------------------------------- 5.7


@exercise("5.7")
class TestChange:
    async def change(self, load, api, body, name="ada", **columns):
        """Store a user, send a PATCH; return the answer and the stored row."""
        [user_id] = await add_users(load, api, name, **{"full_name": "Ada"} | columns)
        answer = await api.patch(f"{USERS}/{user_id}", json=body)
        reason = {"why": "a change that is allowed would be refused", "at": self.update(load)}
        if "'coroutine'" in shown(answer):
            with surely():
                expect.status(answer, 200, hint="`hash_password` was called without `await`", **reason)
        hint = "user_crud.update does the work: hand it the user, the data and your values, and return its result"
        expect.status(answer, 200, hint=hint, **reason)
        return answer, await stored(load, api, user_id)

    @staticmethod
    def update(load):
        """Return the learner's method, for `at=`; None where there is no such method."""
        return getattr(load("users.service").UserService, "update", None)

    async def test_only_what_was_sent(self, load, api):
        """A change of the full name changes nothing else"""
        answer, row = await self.change(load, api, {"full_name": "Ada Lovelace"})
        expect.equal(
            (row.full_name, row.email, row.username, row.role.value, row.is_active),
            ("Ada Lovelace", "ada@example.com", "ada", "user", True),
            did=f'PATCH {USERS}/1 {{"full_name": "Ada Lovelace"}}, then a look at the row',
            why="a person who corrects a name would lose the e-mail address",
            hint="write only what was sent: user_crud.update does, model_dump() alone does not",
            at=self.update(load),
        )
        body = expect.body(answer)
        got = body.get("full_name") if isinstance(body, dict) else None
        expect.equal(
            got,
            "Ada Lovelace",
            did="full_name in the answer",
            why="the client would show the old name",
            hint="return the user that user_crud.update returns",
            at=self.update(load),
        )

    async def test_no_password_no_new_hash(self, load, api):
        """Without a password the stored hash stays as it is"""
        for body in ({"full_name": "Ada Lovelace"}, {}):
            _answer, row = await self.change(load, api, body)
            expect.equal(
                row.hashed_password,
                HASH,
                did=f"PATCH {USERS}/1 {body}, then hashed_password in the row",
                why="a person who corrects a name could never sign in again",
                hint="make a hash only when `data.password is not None`",
                at=self.update(load),
            )
            async with api.sessions.begin() as session:
                await session.delete(row)

    @pytest.fixture
    def hashed(self, load, monkeypatch):
        """A list of the passwords that were hashed; each hash says which number it has in it."""
        passwords = []

        async def hash_password(password):
            passwords.append(password)
            return f"hash number {len(passwords)}"

        for name in ("core.security", "users.service"):
            load(name)
            monkeypatch.setattr(f"app.{name}.hash_password", hash_password, raising=False)
        return passwords

    async def test_password(self, load, api, hashed):
        """A new password is stored as a hash, made by hash_password of exactly what was sent"""
        password = load("users.schemas").AdminUserUpdate(password="Another Horse ").password
        answer, row = await self.change(load, api, {"password": "Another Horse "})
        got = "the old hash" if row.hashed_password == HASH else expect.shown(row.hashed_password)
        if hashed and hashed != [password]:
            got = f"the hash of {' and of '.join(map(expect.shown, hashed))}"
        expect.that(
            row.hashed_password == "hash number 1" and hashed == [password],
            did=f'PATCH {USERS}/1 {{"password": "Another Horse "}}, then hashed_password in the row',
            got=got,
            expected="what hash_password returned for it",
            why="the new password lies there for everybody to read"
            if row.hashed_password == password
            else "the new password would not open the account",
            hint="make a hash of the new password as it is, and hand it to user_crud.update by the name of its column",
            at=self.update(load),
        )
        expect.that(
            "Another Horse" not in answer.text and "hash number" not in answer.text,
            got="the answer shows the password or its hash",
            expected="the public fields",
            response=answer,
            at=self.update(load),
        )

    async def test_password_and_more(self, load, api, hashed):
        """A password that comes with other fields is stored, and they too; the next change begins without it"""
        _answer, row = await self.change(load, api, {"password": "Another Horse", "full_name": "Ada Lovelace"})
        expect.equal(
            (row.full_name, row.hashed_password),
            ("Ada Lovelace", "hash number 1"),
            did=f"PATCH {USERS}/1 with a password and a full name, then both in the row",
            why="the client hears 200, and half of what it sent is lost",
            hint="the password is one more value: hand it to user_crud.update together with the data",
            at=self.update(load),
        )
        _answer, row = await self.change(load, api, {"full_name": "Bob"}, name="bob")
        expect.equal(
            row.hashed_password,
            HASH,
            did="the hash of another user, whose name is changed after it",
            why="the password of one person would open the account of another",
            hint="begin with an empty dict in each call",
            at=self.update(load),
        )

    async def test_password_alone(self, load, api, hashed, snapshot):
        """A new password changes nothing but the hash: who is switched off stays switched off"""
        for name, stays, body in (
            ("ada", False, {"password": "Another Horse"}),
            ("bob", True, {"password": "Another Horse"}),
            ("eve", False, {"password": "Another Horse", "is_active": False}),
        ):
            [user_id] = await add_users(load, api, name, full_name="Somebody", is_active=stays, role="admin")
            before = await snapshot(api)
            did = f"PATCH {USERS}/{user_id} {body}, for a user with is_active {str(stays).lower()}, then the table"
            reason = {
                "why": "a person who was locked out would be let in again, or the other way round, by a new password",
                "hint": "beside the data hand over the hash of the new password, and no other value",
                "at": self.update(load),
            }
            answer = await api.patch(f"{USERS}/{user_id}", json=body)
            expect.status(answer, 200, **reason)
            changed = [f"users/{user_id}/{column}" for column in ("hashed_password", "updated_at")]
            (await snapshot(api)).same(before, but=changed, did=did, **reason)

    async def test_null(self, load, api):
        """full_name null empties the name"""
        _answer, row = await self.change(load, api, {"full_name": None})
        expect.equal(
            row.full_name,
            None,
            did=f'PATCH {USERS}/1 {{"full_name": null}}, then full_name in the row',
            why="a person could not take back a name",
            hint="null is a value too: ask what was sent (exclude_unset), not what is None",
            at=self.update(load),
        )

    async def test_role(self, load, api):
        """The fields role and is_active can be changed here"""
        _answer, row = await self.change(load, api, {"role": "admin", "is_active": False})
        expect.equal(
            (row.role.value, row.is_active),
            ("admin", False),
            did=f'PATCH {USERS}/1 {{"role": "admin", "is_active": false}}',
            why="nobody could switch an account off",
            hint="hand the whole `data` to user_crud.update",
            at=self.update(load),
        )

    async def test_a_schema_without_password(self, load, api):
        """The method update also takes a UserUpdate, which has no password"""
        schemas, service = load("users.schemas"), load("users.service").UserService
        update = getattr(service, "update", None)
        expect.that(
            update is not None,
            did="UserService.update",
            got="there is no such method",
            expected="a method",
            why="the route for PATCH calls it: each change would be a 500",
            hint="define `update` inside the class; mind the spelling",
        )
        [user_id] = await add_users(load, api, "ada")
        async with api.sessions.begin() as session:
            user = await session.get(load("users.models").User, user_id)
            try:
                await service(session).update(user, schemas.UserUpdate(full_name="Ada Lovelace"))
            except AttributeError as error:
                raise expect.Wrong(
                    did="service.update(user, UserUpdate(full_name=...))",
                    got=f"AttributeError: {error}",
                    expected="the name is changed",
                    why="from chapter 09 on people change themselves with this schema: each try would be a 500",
                    hint="ask `isinstance(data, AdminUserUpdate)` before data.password",
                    at=update,
                    sure=True,
                ) from None
        row = await stored(load, api, user_id)
        expect.equal(
            (row.full_name, row.hashed_password),
            ("Ada Lovelace", HASH),
            did="the full name and the hash after service.update(user, UserUpdate(full_name=...))",
            why="a person who corrects a name would see the old one, or could never sign in again",
            hint="hand the data to user_crud.update, whatever its class",
            at=update,
        )

    async def test_unknown(self, api):
        """A change of an unknown user is a 404"""
        answer = await api.patch(f"{USERS}/987654", json={"full_name": "Nobody"})
        expect.status(answer, 404, why="the client would think that somebody was changed", hint="finish 5.3 first")

    async def test_nothing_else(self, load, api, snapshot):
        """Nothing but what was sent is touched: no other user, no other column; with {} not even updated_at"""
        user_id, _other = await add_users(load, api, "ada", "bob", full_name="Somebody")
        for body in ({"full_name": "Ada Lovelace"}, {}):
            before = await snapshot(api)
            answer = await api.patch(f"{USERS}/{user_id}", json=body)
            expect.status(
                answer,
                200,
                why="a change that is allowed would be refused",
                hint="return the user",
                at=self.update(load),
            )
            changed = [f"users/{user_id}/{name}" for name in (*body, "updated_at")] if body else []
            (await snapshot(api)).same(
                before,
                but=changed,
                did=f"PATCH {USERS}/{user_id} {body}, then a look at all tables",
                why="what nobody asked for is changed: a time that says `changed` without a change, or another person",
                hint="hand over no value that was not sent: the dict stays empty without a password",
                at=self.update(load),
            )

    async def test_the_work_of_others(self, load, api, endings, broken_database, monkeypatch):
        """user_crud.update does the work, get_session commits, and a fault of the database stays a 500"""
        crud, calls = load("users.crud").user_crud, []
        original = crud.update

        async def update(*args, **values):
            calls.append(args)
            return await original(*args, **values)

        monkeypatch.setattr(crud, "update", update)
        endings.clear()
        await self.change(load, api, {"full_name": "Ada Lovelace"})
        endings.none(
            did=f'PATCH {USERS}/1 {{"full_name": "Ada Lovelace"}}',
            at=self.update(load),
            why="a route that fails after it would have saved half of its work",
            hint="take the commit out: the service never commits, get_session does",
        )
        expect.that(
            bool(calls),
            did=f'PATCH {USERS}/1 {{"full_name": "Ada Lovelace"}}',
            got="user_crud.update was not called",
            expected="user_crud.update writes the row",
            why="a rule about writing rows that stands in the queries would not hold here",
            hint="hand the user, the data and your values to user_crud.update",
            at=self.update(load),
        )
        [user_id] = await add_users(load, api, "bob")
        with broken_database(api, "update") as broken:
            answer = await api.patch(f"{USERS}/{user_id}", json={"full_name": "Bob"})
            broken.is_500(answer, at=self.update(load), hint="catch nothing here")


# ---------------------------------------------------------------------------------------------------------------- 5.8


async def remove(load, api, user_id):
    """Send a DELETE; an id in place of the user is a wrong answer."""
    answer = await api.delete(f"{USERS}/{user_id}")
    with surely():
        expect.that(
            "'int' object has no attribute" not in shown(answer),
            did=f"DELETE {USERS}/{user_id}",
            got=shown(answer),
            expected="204 No Content",
            why="each try to delete somebody would be a 500",
            hint="hand over the user from UserById, not the id",
            at=load("users.router").delete_user,
        )
    return answer


@exercise("5.8")
class TestDelete:
    async def test_no_content(self, load, api):
        """DELETE answers 204, without a body"""
        reason = {
            "hint": "the status of success stands in the decorator, and a route with nothing to say returns None",
            "at": load("users.router").delete_user,
        }
        [user_id] = await add_users(load, api, "ada")
        answer = await remove(load, api, user_id)
        expect.status(answer, 204, why="another status says that there is something to read", **reason)
        expect.equal(
            answer.content,
            b"",
            did=f"DELETE {USERS}/{user_id}, the body",
            why="a body behind a 204 is taken for the beginning of the next answer",
            **reason,
        )

    async def test_gone(self, load, api):
        """Afterwards the user cannot be read, and cannot be deleted again"""
        reason = {
            "why": "a person who left would still be there",
            "hint": "the route awaits the delete of the service, with the user from UserById",
            "at": load("users.router").delete_user,
        }
        [user_id] = await add_users(load, api, "ada")
        await remove(load, api, user_id)
        expect.status(await api.get(f"{USERS}/{user_id}"), 404, **reason)
        expect.status(await remove(load, api, user_id), 404, **reason)

    async def test_hidden_not_removed(self, load, api):
        """The row stays in the table, hidden and inactive"""
        [user_id] = await add_users(load, api, "ada")
        await remove(load, api, user_id)
        row = await stored(load, api, user_id)
        expect.that(
            row is not None and row.deleted_at is not None and row.is_active is False,
            did=f"DELETE {USERS}/{user_id}, then a look at the table",
            got="the row is gone" if row is None else "the row is not marked as deleted",
            expected="the row with deleted_at, and is_active false",
            why="a newcomer could take over the e-mail address, and with it what was meant for its first owner",
            hint="leave it to the service: service.delete hides the row",
            at=load("users.router").delete_user,
        )

    async def test_others_stay(self, load, api):
        """Nobody else is deleted"""
        first, second, third = await add_users(load, api, "ada", "bob", "eve")
        await remove(load, api, second)
        for user_id in (first, third):
            expect.status(
                await api.get(f"{USERS}/{user_id}"),
                200,
                why="the wrong person would be gone",
                hint="use UserById",
                at=load("users.router").delete_user,
            )

    async def test_unknown(self, load, api):
        """An unknown user is a 404, an impossible id a 422"""
        reason = {
            "why": "the client would think that it had deleted somebody",
            "hint": "get the user by UserById",
            "at": load("users.router").delete_user,
        }
        expect.status(await remove(load, api, 987654), 404, **reason)
        expect.status(await remove(load, api, 0), 422, **reason)

    async def test_the_service_does_the_work(self, load, api, monkeypatch, endings):
        """The route asks service.delete and commits nothing; when the service fails, it is a 500, not a 204"""
        asked, service, at = [], load("users.service").UserService, load("users.router").delete_user
        original = service.delete

        async def delete(one, user):
            asked.append(user)
            return await original(one, user)

        first, second = await add_users(load, api, "ada", "bob")
        monkeypatch.setattr(service, "delete", delete)
        endings.clear()
        answer = await remove(load, api, first)
        expect.that(
            len(asked) == 1,
            got="service.delete was not called" if not asked else f"service.delete was called {len(asked)} times",
            expected="one call of service.delete",
            why="what later chapters add to it, such as ending the sessions of the user, would not happen",
            hint="leave the query to the service: `await service.delete(user)`",
            response=answer,
            at=at,
        )
        hint = "take the commit out: get_session commits when the route has returned"
        endings.none(did=f"DELETE {USERS}/{first}", at=at, hint=hint)
        for error in (
            RuntimeError("the database is on fire"),
            OperationalError("UPDATE users", {}, OSError("disk I/O error")),
            OSError("no space left on device"),
        ):

            async def broken(_one, _user, error=error):
                raise error

            monkeypatch.setattr(service, "delete", broken)
            answer = await api.delete(f"{USERS}/{second}")
            expect.that(
                answer.status_code == 500,
                did=f"DELETE {USERS}/{second}, while service.delete raises {type(error).__name__}",
                got=shown(answer),
                expected="500 Internal Server Error",
                why="the client hears that the user is gone, and the user is still there",
                hint="await service.delete in the route itself, and catch nothing: only then it is done when 204 "
                "goes out",
                at=at,
            )
