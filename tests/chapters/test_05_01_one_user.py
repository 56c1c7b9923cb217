"""Checks of chapter 05, a session for each request, and routes for one user: create and read."""

import asyncio
import inspect
import random
from contextlib import suppress
from typing import Any

from fastapi import FastAPI, HTTPException
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import async_sessionmaker

from course_checks.disk import full_disk
from course_checks.endpoints import add_users, blames, shown, surely
from course_checks.modules import part_of
from course_checks.paths import USERS
from course_checks.samples import HASH, MAX_ID
from workbook import expect
from workbook.checks import exercise

ADA = {"email": "Ada@Example.com", "username": "ADA", "password": "Correct horse"}
PUBLIC = ("id", "email", "username", "full_name", "role", "is_active", "created_at", "updated_at")


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
