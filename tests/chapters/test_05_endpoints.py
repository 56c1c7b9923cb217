"""Checks of chapter 05: the routes about users."""

import asyncio
import inspect
from contextlib import contextmanager
from types import MethodType
from typing import Any

import pytest
from fastapi import FastAPI, HTTPException
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import async_sessionmaker

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
    async with api.sessions.begin() as session:
        for user in users:
            session.add(user)
            await session.flush()
    return [user.id for user in users]


async def stored(load, api, user_id):
    """Return a user's row as it is in the database, also of a deleted one, or None."""
    async with api.sessions() as session:
        return await session.get(load("users.models").User, user_id)


def shown(answer):
    """Return an answer in one line; a 500 with the exception behind it."""
    return answer.extensions["workbook.exchange"].answer_line


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
        why="clients read the body as a list",
        hint="return the list of users, with response_model=list[UserPublic]",
        response=answer,
    )
    return [row["username"] for row in rows if row["username"].startswith(prefix)]


def blames(answer, field, **reason):
    """Expect a 422 whose errors name a field: in `detail`, or from chapter 06 on in `errors`."""
    expect.status(answer, 422, **reason)
    body = expect.body(answer, **reason)
    errors = (body.get("errors") or body.get("detail")) if isinstance(body, dict) else None
    errors = errors if isinstance(errors, list) else []
    blamed = {error["loc"][-1] for error in errors if isinstance(error, dict) and error.get("loc")}
    expect.that(
        field in blamed,
        got=f"the 422 names {sorted(map(str, blamed)) or 'no field'}",
        expected=f"an entry whose loc ends with {field}",
        response=answer,
        **reason,
    )


# ---------------------------------------------------------------------------------------------------------------- 5.1


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

    @demo.post("/save")
    async def save(session: dependency) -> dict[str, bool]:
        session.add(new_user())
        return {"same": session is made[-1]}

    @demo.post("/refuse")
    async def refuse(session: dependency) -> None:
        session.add(new_user())
        await session.flush()
        raise HTTPException(418, "no")

    return demo, made


async def saved_users(load, sessions):
    """Count the users that another session sees; do not wait for a connection that is never given back."""
    user_class = load("users.models").User
    async with asyncio.timeout(2), sessions() as session:
        return await session.scalar(select(func.count()).select_from(user_class))


def hint_on(get_session, hint):
    """Return the hint for a get_session that yields; for one that returns, the first thing to change."""
    return "`yield session`, not `return`" if inspect.iscoroutinefunction(get_session) else hint


def is_over(session):
    """Say whether a session has ended its transaction, and so has given its connection back."""
    return not session.in_transaction()


@exercise("5.1")
class TestSession:
    async def test_a_session_comes_from_the_factory(self, load, sessions, connect):
        """A route with SessionDep gets a session made by app.state.session_factory"""
        demo, _made = await demo_with_session(load, sessions, connect)
        reason = {
            "why": "without a session no route can reach the database",
            "hint": hint_on(
                load("db.session").get_session, "open `session_factory()` in an `async with` and yield the session"
            ),
            "at": load("db.session").get_session,
        }
        async with connect(demo) as client:
            answer = await client.post("/save")
        expect.status(answer, 200, **reason)
        expect.json(answer, {"same": True}, **reason)

    async def test_what_a_route_writes_is_saved(self, load, sessions, connect):
        """What a route adds is committed when the route has returned"""
        demo, made = await demo_with_session(load, sessions, connect)
        async with connect(demo) as client:
            await client.post("/save")
        over = all(map(is_over, made))
        count = await saved_users(load, sessions) if over else 0
        expect.equal(
            count,
            1,
            did="the users in the table after a request that added one",
            why="the client hears that it worked, and the row is gone",
            hint=hint_on(load("db.session").get_session, "commit below the yield, and await it"),
            at=load("db.session").get_session,
        )

    async def test_an_error_saves_nothing(self, load, sessions, connect):
        """After an exception in the route nothing of the request is saved"""
        demo, made = await demo_with_session(load, sessions, connect)
        async with connect(demo, raise_app_exceptions=False) as client:
            await client.post("/refuse")
        over = all(map(is_over, made))
        expect.equal(
            await saved_users(load, sessions) if over else 0,
            0,
            did="the users in the table after a request that added one and then raised",
            why="half of a failed request would stay in the database",
            hint="commit below the yield, not in a `finally`: the exception must skip it",
            at=load("db.session").get_session,
        )

    async def test_the_error_goes_on(self, load, sessions, connect):
        """An exception of the route still reaches the client as its own answer"""
        demo, _made = await demo_with_session(load, sessions, connect)
        async with connect(demo, raise_app_exceptions=False) as client:
            answer = await client.post("/refuse")
        expect.status(
            answer,
            418,
            why="the client would get a 500 in place of the reason",
            hint="catch nothing around the yield, or end the `except` with `raise`",
            at=load("db.session").get_session,
        )

    async def test_the_session_is_closed(self, load, sessions, connect):
        """The session gives its connection back, after a success and after an error"""
        for path in ("/save", "/refuse"):
            demo, made = await demo_with_session(load, sessions, connect)
            async with connect(demo, raise_app_exceptions=False) as client:
                await client.post(path)
            expect.that(
                bool(made) and all(map(is_over, made)),
                did=f"POST {path}, then a look at its session",
                got="the session is still in a transaction, or there was none",
                expected="the session is closed",
                why="each such request keeps a connection; after a few of them the pool is empty and everybody waits",
                hint=hint_on(
                    load("db.session").get_session,
                    "open the session with `async with`, so that it is closed however the route ends",
                ),
                at=load("db.session").get_session,
            )

    async def test_each_request_has_its_own(self, load, sessions, connect):
        """Two requests get two sessions"""
        demo, made = await demo_with_session(load, sessions, connect)
        async with connect(demo, raise_app_exceptions=False) as client:
            await client.post("/refuse")
            await client.post("/refuse")
        expect.equal(
            len(made),
            2,
            did="the sessions that the factory made for two requests",
            why="a request could commit what another one has only half written",
            hint="call `session_factory()` inside the function, once for each call",
            at=load("db.session").get_session,
        )


# ---------------------------------------------------------------------------------------------------------------- 5.2


@exercise("5.2")
class TestCreate:
    async def test_created(self, api):
        """POST /api/v1/users answers 201"""
        answer = await api.post(USERS, json=ADA)
        expect.status(
            answer,
            201,
            why="a client reads 201 as: there is something new; 200 says that there was nothing to make",
            hint='the path is "" (the prefix says /users), and the decorator takes status_code=status.HTTP_201_CREATED',
        )

    async def test_the_public_fields(self, api):
        """The answer has the eight public fields of the new user"""
        reason = {
            "why": "the client would not know the id of what it has created",
            "hint": "response_model=UserPublic, and return what the service returns",
        }
        answer = await api.post(USERS, json=ADA | {"full_name": "Ada Lovelace"})
        expect.that(answer.is_success is True, got=shown(answer), expected="success", response=answer, **reason)
        body = expect.body(answer, **reason)
        body = body if isinstance(body, dict) else {}
        missing = [name for name in PUBLIC if name not in body]
        expect.that(
            not missing,
            got=f"the answer lacks {', '.join(missing)}",
            expected=f"the fields {', '.join(PUBLIC)}",
            response=answer,
            **reason,
        )
        wanted = {"email": "ada@example.com", "username": "ada", "full_name": "Ada Lovelace", "role": "user"}
        expect.equal(
            {name: body[name] for name in wanted}, wanted, did=f"POST {USERS}, some fields of the answer", **reason
        )

    async def test_no_hash(self, api):
        """Neither a password nor a hash is in the answer"""
        answer = await api.post(USERS, json=ADA)
        expect.that(answer.is_success is True, got=shown(answer), expected="success", response=answer)
        body = expect.body(answer)
        found = sorted(name for name in body if "password" in name) if isinstance(body, dict) else []
        expect.that(
            not found and "Correct horse" not in answer.text,
            got=f"the answer shows {', '.join(found) or 'the password'}",
            expected="no password and no hash",
            why="who has the hash can guess the password at home, as often as the graphics card allows",
            hint="response_model=UserPublic lets only listed fields through",
            response=answer,
        )

    async def test_stored(self, load, api):
        """The user is in the database, with a hash instead of the password"""
        reason = {
            "why": "the client hears that the user exists, and the user is not there or cannot be trusted",
            "hint": "hand the data to service.create and await it: the service makes the hash and stores the row",
        }
        answer = await api.post(USERS, json=ADA)
        user_class = load("users.models").User
        async with api.sessions() as session:
            row = await session.scalar(select(user_class).where(user_class.username == "ada"))
        expect.that(
            row is not None and row.hashed_password != ADA["password"],
            got="no such row" if row is None else "the password itself is stored",
            expected="a row with a hash",
            response=answer,
            **reason,
        )

    async def test_a_bad_request(self, api):
        """A password of three characters is refused with 422"""
        answer = await api.post(USERS, json=ADA | {"password": "Abc"})
        blames(
            answer,
            "password",
            why="a rule that the route does not ask for protects nobody",
            hint="the parameter `data` has the type UserCreate",
        )

    async def test_no_role(self, api):
        """A role that the client sends has no effect"""
        answer = await api.post(USERS, json=ADA | {"role": "admin", "is_active": False, "id": 77})
        expect.that(answer.is_success is True, got=shown(answer), expected="success", response=answer)
        body = expect.body(answer)
        expect.equal(
            (body.get("role"), body.get("is_active")) if isinstance(body, dict) else None,
            ("user", True),
            did=f'POST {USERS} with "role": "admin", "is_active": false',
            why="a client could give itself rights that nobody granted",
            hint="take a UserCreate, which has no such fields",
        )

    async def test_the_service_does_the_work(self, load, api):
        """The route asks the service, and answers with what the service returns"""
        row = load("users.models").User(id=4711, email="x@example.com", username="from-the-service")
        row.hashed_password, row.role, row.is_active = HASH, load("users.schemas").Role.USER, True
        row.created_at = row.updated_at = load("db.base").utc_now()
        asked = []

        class Service:
            async def create(self, data):
                asked.append(data)
                return row

        api.app.dependency_overrides[load("users.dependencies").get_user_service] = Service
        answer = await api.post(USERS, json=ADA)
        body = expect.body(answer) if answer.is_success else shown(answer)
        expect.that(
            len(asked) == 1 and isinstance(body, dict) and body.get("username") == "from-the-service",
            did=f"POST {USERS}, with another service in place of UserService",
            got="the service was not asked" if not asked else f"the body {expect.shown(body)}",
            expected="what the service returned",
            why="a rule that stands in a route holds for this route only: a script or a second route would not know it",
            hint="leave hash and query to the service: the route awaits service.create, and returns its result",
            response=answer,
        )


# ---------------------------------------------------------------------------------------------------------------- 5.3


def possible(answer, status, *, hint, **reason):
    """Expect a status for an id from 1 to MAX_ID; a 422 says that the bounds are too narrow."""
    narrow = answer.status_code == 422
    expect.status(answer, status, hint="1 and MAX_ID are included: ge and le" if narrow else hint, **reason)


@exercise("5.3")
class TestReadOne:
    async def test_found(self, load, api):
        """An existing user is read with 200"""
        [user_id] = await add_users(load, api, "ada")
        reason = {
            "why": "the client could not see a user who is there",
            "hint": "end valid_user_id with `return user`: what it returns is what the route gets",
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
            "hint": "if the service returns None: raise HTTPException(status.HTTP_404_NOT_FOUND, ...)",
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
            hint="ask `service.get`: its query hides deleted users",
            at=load("users.dependencies").valid_user_id,
        )

    async def test_impossible(self, api):
        """An id that no row can have is a 422: 0, -1, 2147483648, 10**20, ada"""
        large = "PostgreSQL raises an error for a number that its column cannot hold: a 500 for the client"
        never = "a 404 says that there could be such a user one day, and hides the client's mistake"
        for user_id, why in ((MAX_ID + 1, large), (10**20, large), (0, never), (-1, never), ("ada", never)):
            answer = await api.get(f"{USERS}/{user_id}")
            blames(
                answer,
                "user_id",
                why=why,
                hint="give UserId both bounds, with Path: the lowest id and the highest one",
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


# ---------------------------------------------------------------------------------------------------------------- 5.4


def lost_default(answer):
    """Return a hint when the list asks for a parameter that has a default, or None."""
    if answer.status_code != 422:
        return None
    body = expect.body(answer)
    errors = (body.get("errors") or body.get("detail")) if isinstance(body, dict) else None
    for error in errors if isinstance(errors, list) else []:
        name = error["loc"][-1] if isinstance(error, dict) and error.get("loc") else None
        if name in ("skip", "limit") and error.get("type") == "missing":
            default = {"skip": "0", "limit": "DEFAULT_LIMIT"}[name]
            return f"{name} has lost its default: Field(default={default}, ...)"
    return None


@exercise("5.4")
class TestBounds:
    async def test_skip(self, api):
        """skip=-1, skip=1000001 and skip=10**20 are refused with 422"""
        low = "a client with a bug would get a page that it did not mean, and never notice"
        high = "to leave out so many rows, the database must first read them: anybody could keep it busy"
        for skip, why in ((-1, low), (1_000_001, high), (10**20, high)):
            blames(
                await api.get(f"{USERS}?skip={skip}"),
                "skip",
                why=why,
                hint="give skip its lowest and its highest number, with ge and le, as the table says",
            )

    async def test_limit(self, api):
        """limit=0, limit=-1, limit=101 and limit=1000000 are refused with 422"""
        for limit in (0, -1, 101, 1_000_000):
            blames(
                await api.get(f"{USERS}?limit={limit}"),
                "limit",
                why="the client would get fewer rows than it asked for, and think that it has all"
                if limit > 0
                else "the client would get no row, and think that there is none",
                hint="give limit its lowest and its highest number, with ge and le, as the table says",
            )

    async def test_the_bounds_are_allowed(self, api):
        """skip=0, skip=1000000, limit=1 and limit=100 are accepted"""
        for query in ("skip=0", "skip=1000000", "limit=1", "limit=100"):
            answer = await api.get(f"{USERS}?{query}")
            expect.status(
                answer,
                200,
                why="a client that keeps to the documents would be refused",
                hint=lost_default(answer) or "the bounds are included: ge and le, not gt and lt",
            )

    async def test_defaults(self, load, api):
        """Without parameters a list begins with the first row and has at most 20"""
        await add_users(load, api, *(f"many{number}" for number in range(25)))
        reason = {
            "why": "a client that sends no parameters expects the first page, and a short one",
            "hint": lost_default(await api.get(USERS)) or "default=0 for skip, default=DEFAULT_LIMIT for limit",
        }
        plain = await names_on(api, "", **reason)
        first = await names_on(api, "skip=0&limit=20", **reason)
        expect.equal(plain, first, did=f"GET {USERS} against GET {USERS}?skip=0&limit=20", **reason)
        expect.equal(len(plain), 20, did=f"the number of users in GET {USERS}, of at least 25", **reason)

    async def test_pages_fit_together(self, load, api):
        """Pages of two have no row twice and leave none out"""
        crowd = [f"crowd{letter}" for letter in "cabed"]
        await add_users(load, api, *crowd)
        reason = {
            "why": "a client that reads page after page would show a user twice and another one never",
            "hint": "hand skip and limit on unchanged; the order by id is the work of get_multi",
        }
        found = []
        for skip in range(0, 10, 2):
            found += await names_on(api, f"skip={skip}&limit=2", "crowd", **reason)
        expect.equal(found, crowd, did="the users of five pages, limit=2", **reason)

    async def test_no_number(self, api):
        """limit=ten is refused with 422"""
        blames(
            await api.get(f"{USERS}?limit=ten"),
            "limit",
            why="a text is no number of rows: the query would fail with a 500",
            hint="keep the type int",
        )


# ---------------------------------------------------------------------------------------------------------------- 5.5

SORT = ("id", "-id", "email", "-email", "username", "-username", "created_at", "-created_at")


@exercise("5.5")
class TestSort:
    async def test_listed(self, load, api):
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
                    hint=f'list "{sort}" in the Literal',
                ),
                order[::-1] if sort.startswith("-") else order,
                did=f"GET {USERS}?sort={sort}, the user names",
                why="the client would show its users in another order than the one it asked for",
                hint="hand the text on as it is; get_multi reads the minus",
            )

    async def test_secret(self, api):
        """Columns that clients never see are refused with 422: hashed_password, deleted_at"""
        for sort in ("hashed_password", "-hashed_password", "deleted_at"):
            blames(
                await api.get(f"{USERS}?sort={sort}"),
                "sort",
                why="the order of the hashes tells, request by request, what stands in them"
                if "password" in sort
                else "the order tells about a column that no client may see",
                hint="list the fields that a client may sort by; do not accept whatever the table has",
            )

    async def test_nonsense(self, api):
        """What is no field is refused with 422: nonsense, --id, +id, an empty text"""
        for sort in ("nonsense", "--id", "%2Bid", "", "id%20desc"):
            blames(
                await api.get(f"{USERS}?sort={sort}"),
                "sort",
                why="an unknown column is a KeyError: a 500 for a client's typing mistake",
                hint="a Literal accepts its texts and nothing else",
            )

    async def test_default(self, load, api):
        """Without sort the order is by id"""
        crowd = ["crowdb", "crowdc", "crowda"]
        await add_users(load, api, *crowd)
        expect.equal(
            await names_on(api, "", "crowd", why="a client need not choose an order", hint='the default is "id"'),
            crowd,
            did=f"GET {USERS}, the user names",
            why="pages need the same order in every query",
            hint='the default is "id"',
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


@contextmanager
def named(calls):
    """Tell in a wrong answer which argument of the queries stands in the wrong place."""
    calls.clear()
    try:
        yield
    except expect.Wrong as error:
        turned = "Input should be a valid list" in error.got
        hint = "get_page returns the users first, then their number" if turned else misplaced(calls)
        if hint and error.got.startswith("500"):
            error.why = "every client that asks for this list would get a 500"
        error.hint = hint or error.hint
        raise


async def total(api, query, expected, **reason):
    """Expect the header X-Total-Count of a list."""
    with named(api.calls):
        answer = await api.get(f"{USERS}?{query}")
        expect.status(answer, 200, **reason)
        expect.header(answer, "X-Total-Count", str(expected), **reason)


async def listed(api, query, expected, *, prefix="", what="", **reason):
    """Expect the user names of a list that begin with `prefix`; `what` says what else is in the table."""
    with named(api.calls):
        found = await names_on(api, query, prefix, **reason)
        expect.equal(found, expected, did=f"GET {USERS}?{query}{what or ', the user names'}", **reason)


@exercise("5.6")
class TestTotal:
    @pytest.fixture(autouse=True)
    def calls(self, load, api, monkeypatch):
        """Remember in `api.calls` how the service calls its queries."""
        crud, api.calls = load("users.crud").user_crud, []

        def spy(name, method):
            def remember(_crud, *positional, **named):
                api.calls.append((name, positional, named))
                return method(*positional, **named)

            remember.__name__ = name
            return MethodType(remember, crud)  # a method, as the learner's is: SQLAlchemy takes a function for a query

        for name in ("get_multi", "count", "matches"):
            monkeypatch.setattr(crud, name, spy(name, getattr(crud, name)))

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
        with named(api.calls):
            before = len(await names_on(api, "limit=100", **reason))
        await add_users(load, api, "ada", "bob", "eve")
        await total(api, "limit=1", before + 3, **reason)

    async def test_more_than_a_page_may_hold(self, load, api):
        """A total beyond 100 is right too"""
        await add_users(load, api, *(f"crowd{number}" for number in range(105)))
        await total(
            api,
            "q=crowd",
            105,
            why="from 100 users on the total would stand still",
            hint="get_multi never returns more than MAX_LIMIT rows; let the database count: user_crud.count",
        )

    async def test_search(self, load, api):
        """The search text q finds users by a part of user name, full name or e-mail address, in any case"""
        await add_users(load, api, "crowda", "crowdb")
        await add_users(load, api, "eve", full_name="Eve of the Crowd")
        for q, found in (("crowd", ["crowda", "crowdb", "eve"]), ("CROWDB@", ["crowdb"]), ("nobody", [])):
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


# ---------------------------------------------------------------------------------------------------------------- 5.7


@exercise("5.7")
class TestChange:
    async def change(self, load, api, body, **columns):
        """Store Ada, send a PATCH; return the answer and the stored row."""
        [user_id] = await add_users(load, api, "ada", **{"full_name": "Ada"} | columns)
        answer = await api.patch(f"{USERS}/{user_id}", json=body)
        hint = "user_crud.update does the work: hand it the user, the data and your values, and return its result"
        expect.status(
            answer,
            200,
            why="a change that is allowed would be refused",
            hint="`hash_password` was called without `await`" if "'coroutine'" in shown(answer) else hint,
        )
        return answer, await stored(load, api, user_id)

    async def test_only_what_was_sent(self, load, api):
        """A change of the full name changes nothing else"""
        answer, row = await self.change(load, api, {"full_name": "Ada Lovelace"})
        expect.equal(
            (row.full_name, row.email, row.username, row.role.value, row.is_active),
            ("Ada Lovelace", "ada@example.com", "ada", "user", True),
            did=f'PATCH {USERS}/1 {{"full_name": "Ada Lovelace"}}, then a look at the row',
            why="a person who corrects a name would lose the e-mail address",
            hint="write only what was sent: user_crud.update does, model_dump() alone does not",
        )
        body = expect.body(answer)
        got = body.get("full_name") if isinstance(body, dict) else None
        expect.equal(
            got,
            "Ada Lovelace",
            did="full_name in the answer",
            why="the client would show the old name",
            hint="return the user that user_crud.update returns",
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
            )
            async with api.sessions.begin() as session:
                await session.delete(row)

    async def test_password(self, load, api, monkeypatch):
        """A new password is stored as a hash, made by hash_password"""
        hashed = []

        async def hash_password(password):
            hashed.append(password)
            return f"hash number {len(hashed)}"

        for name in ("core.security", "users.service"):
            monkeypatch.setattr(f"app.{name}.hash_password", hash_password, raising=False)
        answer, row = await self.change(load, api, {"password": "Another Horse"})
        got = "the old hash" if row.hashed_password == HASH else expect.shown(row.hashed_password)
        if hashed and hashed != ["Another Horse"]:
            got = f"the hash of {' and of '.join(map(expect.shown, hashed))}"
        expect.that(
            row.hashed_password == "hash number 1" and hashed == ["Another Horse"],
            did=f'PATCH {USERS}/1 {{"password": "Another Horse"}}, then hashed_password in the row',
            got=got,
            expected="what hash_password returned for it",
            why="the old password would still open the account, or the new one lies there for everybody to read",
            hint="make a hash of the new password, and hand it to user_crud.update by the name of its column",
        )
        expect.that(
            "Another Horse" not in answer.text and "hash number" not in answer.text,
            got="the answer shows the password or its hash",
            expected="the public fields",
            response=answer,
        )

    async def test_null(self, load, api):
        """full_name null empties the name"""
        _answer, row = await self.change(load, api, {"full_name": None})
        expect.equal(
            row.full_name,
            None,
            did=f'PATCH {USERS}/1 {{"full_name": null}}, then full_name in the row',
            why="a person could not take back a name",
            hint="null is a value too: ask what was sent (exclude_unset), not what is None",
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


# ---------------------------------------------------------------------------------------------------------------- 5.8


async def remove(load, api, user_id):
    """Send a DELETE; an id in place of the user is a wrong answer."""
    answer = await api.delete(f"{USERS}/{user_id}")
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
        hint = "status_code=status.HTTP_204_NO_CONTENT in the decorator, `-> None`, and no return"
        [user_id] = await add_users(load, api, "ada")
        answer = await remove(load, api, user_id)
        expect.status(answer, 204, why="another status says that there is something to read", hint=hint)
        expect.equal(
            answer.content,
            b"",
            did=f"DELETE {USERS}/{user_id}, the body",
            why="a body behind a 204 is taken for the beginning of the next answer",
            hint=hint,
        )

    async def test_gone(self, load, api):
        """Afterwards the user cannot be read, and cannot be deleted again"""
        reason = {
            "why": "a person who left would still be there",
            "hint": "`await service.delete(user)`, with the user from UserById",
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
        )

    async def test_others_stay(self, load, api):
        """Nobody else is deleted"""
        first, second, third = await add_users(load, api, "ada", "bob", "eve")
        await remove(load, api, second)
        for user_id in (first, third):
            expect.status(
                await api.get(f"{USERS}/{user_id}"), 200, why="the wrong person would be gone", hint="use UserById"
            )

    async def test_unknown(self, load, api):
        """An unknown user is a 404, an impossible id a 422"""
        reason = {"why": "the client would think that it had deleted somebody", "hint": "get the user by UserById"}
        expect.status(await remove(load, api, 987654), 404, **reason)
        expect.status(await remove(load, api, 0), 422, **reason)
