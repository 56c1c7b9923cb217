"""Checks of chapter 06, transactions: a commit that fails, two who want one name, work after the commit."""

import asyncio
import inspect
import typing
import warnings

import pytest
from fastapi import HTTPException
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.background import BackgroundTask

from course_checks.disk import full_disk
from course_checks.modules import part_of
from course_checks.paths import USERS
from course_checks.samples import ADA
from course_checks.sign_ups import created
from workbook import expect
from workbook.checks import exercise

BOB = {"email": "bob@example.com", "username": "bob", "password": "Correct horse"}
RACE = "sqlite+aiosqlite:///race.db"


async def count_users(load, sessions, **columns):
    """Count the stored users with these values, deleted ones too."""
    user = load("users.models").User
    async with sessions() as session:
        return await session.scalar(select(func.count()).select_from(user).filter_by(**columns))


# ---------------------------------------------------------------------------------------------------------------- 6.1


def scope_of(session_dep):
    """Return the scope that a SessionDep asks for: "function", "request", or None where it says nothing."""
    return next((found.scope for found in typing.get_args(session_dep)[1:] if hasattr(found, "scope")), None)


def lost(load):
    """Return why and hint of a lost commit, and the line at fault: of the scope, or of the commit itself."""
    module = load("db.session")
    early = scope_of(module.SessionDep) == "function"
    return {
        "why": "the client is told that all is well, and nothing was saved",
        "hint": "the commit comes before the answer by now: let its exception rise, and catch nothing around it"
        if early
        else "the commit still comes after the answer: inside of `Depends`, beside the function, say the other scope",
        "at": module.get_session if early else (module, "SessionDep"),
    }


@exercise("6.1")
class TestLostCommit:
    async def test_success(self, load, api):
        """When the commit works, the answer is 201 and the user is there"""
        answer = await api.post(USERS, json=ADA)
        reason = {
            "why": "a request with good data would fail, or its row would be lost",
            "hint": "keep the commit below the yield of get_session",
            "at": load("db.session").get_session,
        }
        expect.status(answer, 201, **reason)
        expect.equal(await count_users(load, api.sessions, username="ada"), 1, did="the users named ada", **reason)

    async def test_create(self, load, api):
        """When the commit fails, a new user is a 500 and is not there"""
        with full_disk(api):
            answer = await api.post(USERS, json=ADA)
        expect.status(answer, 500, **lost(load))
        expect.equal(
            await count_users(load, api.sessions, username="ada"),
            0,
            did="the users named ada, after a commit that failed",
            why="the client hears that nothing was saved, and it was",
            hint="commit in one place only: get_session",
            at=load("db.session").get_session,
        )

    async def test_change_and_delete(self, load, api):
        """When the commit fails, a change and a deletion are a 500 too"""
        user_id = await created(api, ADA)
        with full_disk(api):
            expect.status(await api.patch(f"{USERS}/{user_id}", json={"full_name": "Ada"}), 500, **lost(load))
            expect.status(await api.delete(f"{USERS}/{user_id}"), 500, **lost(load))
        expect.status(
            await api.get(f"{USERS}/{user_id}"),
            200,
            why="the client was told that the deletion failed, and the user is gone all the same",
            hint="commit in one place only: get_session",
            at=load("db.session").get_session,
        )

    async def test_the_app_goes_on(self, load, api):
        """After a failed commit the next request works"""
        with full_disk(api):
            await api.post(USERS, json=ADA)
        answer = await api.post(USERS, json=ADA)
        expect.status(
            answer,
            201,
            why="one bad moment would break the app until somebody restarts it",
            hint="keep the `async with` around the yield: it closes the session, also after a failed commit",
            at=load("db.session").get_session,
        )

    async def test_one_transaction(self, load, api):
        """The session stays one transaction: an error after a write undoes the write"""
        service_dep = load("users.dependencies").UserServiceDep

        @api.app.post("/probe")
        async def probe(data: load("users.schemas").UserCreate, service: service_dep) -> None:
            await service.create(data)
            raise HTTPException(418, "no")

        await api.post("/probe", json=ADA)
        expect.equal(
            await count_users(load, api.sessions, username="ada"),
            0,
            did="the users named ada, after a route that created her and then failed",
            why="half of a failed request would stay in the database",
            hint="commit in one place only: get_session",
            at=load("db.session").get_session,
        )

    async def test_one_session(self, load, api):
        """The service and the route share one session"""
        session_dep, service_dep = load("db.session").SessionDep, load("users.dependencies").UserServiceDep
        same = []

        @api.app.get("/probe")
        async def probe(session: session_dep, service: service_dep) -> None:
            same.append(service.session is session)

        await api.get("/probe")
        expect.equal(
            same,
            [True],
            did="service.session is session, in one request",
            why="two sessions are two transactions: one may be saved without the other",
            hint="keep SessionDep the one way to a session, without use_cache=False",
            at=(load("db.session"), "SessionDep"),
        )
        stand_in = object()
        api.app.dependency_overrides[load("db.session").get_session] = lambda: stand_in
        api.app.get("/stand-in")(self.route_that_notes(service_dep, same))
        await api.get("/stand-in")
        expect.that(
            same[-1] is stand_in,
            did="a test puts a session of its own in the place of get_session",
            got="the service has another session",
            expected="the session of the test",
            why="whatever asks for get_session, such as a test, would not meet the session of your routes",
            hint="SessionDep depends on get_session itself, and on no copy of it",
            at=(load("db.session"), "SessionDep"),
        )

    @staticmethod
    def route_that_notes(service_dep, found):
        """Return a route that notes its service's session."""

        async def probe(service: service_dep) -> None:
            found.append(service.session)

        return probe


# ---------------------------------------------------------------------------------------------------------------- 6.2

TAKEN = {
    "why": "the client hears that the server is broken, though it is the name that is taken",
    "hint": "put the write into `with refuse_duplicates():`, in create and in update",
}


def before_the_write(statements):
    """Return what was sent to the database before the first INSERT or UPDATE."""
    writes = ("INSERT", "UPDATE")
    place = next((number for number, one in enumerate(statements) if one.lstrip().upper().startswith(writes)), None)
    return statements[:place]


def expect_taken(load, answer, method="create", **reason):
    """Expect a 409 from a method of the service; an error that was not raised has a hint of its own."""
    reason = TAKEN | {"at": getattr(load("users.service").UserService, method)} | reason
    exchange = answer.extensions.get("workbook.exchange")
    if exchange and "ResponseValidationError" in exchange.response_body:
        reason["hint"] = "raise UserExists in the except block: what is returned, or passed over, is no error"
    try:
        expect.status(answer, 409, **reason)
    except expect.Wrong as error:
        error.sure = "IntegrityError" in error.got  # the hint is about this one: the write stands outside of the `with`
        raise


@exercise("6.2")
class TestDuplicates:
    async def test_email(self, load, api):
        """An e-mail address that is taken is a 409, in any spelling"""
        await created(api, ADA)
        for email in ("ada@example.com", "ADA@Example.com"):
            expect_taken(load, await api.post(USERS, json=BOB | {"email": email}))

    async def test_username(self, load, api):
        """A user name that is taken is a 409"""
        await created(api, ADA)
        expect_taken(load, await api.post(USERS, json=BOB | {"username": "Ada"}))

    async def test_deleted(self, load, api):
        """The address of a deleted user is a 409"""
        user_id = await created(api, ADA)
        await api.delete(f"{USERS}/{user_id}")
        expect_taken(
            load,
            await api.post(USERS, json=ADA),
            why="queries hide deleted users, the table does not: the client would get a 500",
            hint="do not ask whether the name is free; catch the IntegrityError of the write",
        )

    async def test_change(self, load, api):
        """PATCH to a taken name is a 409, and nothing of the PATCH is saved"""
        await created(api, ADA)
        user_id = await created(api, BOB)
        for name in ({"username": "ada"}, {"email": "ada@example.com"}):
            answer = await api.patch(f"{USERS}/{user_id}", json=name | {"full_name": "Changed"})
            expect_taken(load, answer, "update")
        body = expect.body(await api.get(f"{USERS}/{user_id}"))
        expect.equal(
            (body.get("username"), body.get("full_name")),
            ("bob", None),
            did="the user after a PATCH that was refused",
            why="half of a refused change would be saved",
            hint="raise out of the service: only then get_session skips the commit",
            at=load("users.service").UserService.update,
        )

    async def test_a_change_to_oneself(self, load, api):
        """PATCH with one's own address or name, unchanged, is no conflict: 200"""
        user_id = await created(api, ADA)
        for same in ({"email": "ADA@example.com"}, {"username": "ada"}, {"email": "ada@example.com", "full_name": "A"}):
            expect.status(
                await api.patch(f"{USERS}/{user_id}", json=same),
                200,
                why="a form sends all its fields, also those that nobody changed: people could not correct their name",
                hint="ask no question in `update` either: the user who is changed is among those who have the name",
                at=load("users.service").UserService.update,
            )

    async def test_twenty_at_once(self, load, open_api):
        """Of 20 equal requests at the same moment one gets 201 and nineteen get 409"""
        async with open_api(RACE) as api:
            answers = await asyncio.gather(*(api.post(USERS, json=ADA) for _ in range(20)))
            codes = sorted(answer.status_code for answer in answers)
            found = ", ".join(f"{codes.count(code)} times {code}" for code in dict.fromkeys(codes))
            expect.that(
                codes == [201] + 19 * [409],
                did=f"20 times POST {USERS} with the same body, at once",
                got=found,
                expected="1 times 201, 19 times 409",
                why="requests come at the same moment, and only the table sees them one after the other",
                hint="let the table decide: write, and turn its IntegrityError into UserExists",
                at=load("users.service").UserService.create,
            )
            count = await count_users(load, api.sessions, username="ada")
        expect.equal(
            count,
            1,
            did="the users named ada, afterwards",
            why="one person would be there twice, or not at all",
            hint="let the table decide: write, and turn its IntegrityError into UserExists",
            at=load("users.service").UserService.create,
        )

    async def test_nothing_of_the_database(self, load, api):
        """The answer shows nothing of the database"""
        await created(api, ADA)
        answer = await api.post(USERS, json=ADA)
        expect_taken(load, answer)
        text = answer.text.lower()
        shown = [
            word for word in ("unique", "insert", "sqlite", "users.", "integrityerror", "sqlalche") if word in text
        ]
        expect.that(
            not shown,
            got=f"409 with {', '.join(shown)}",
            expected="409 with a text for people",
            why="names of tables and statements help those who look for a hole, and nobody else",
            hint="raise UserExists, without the text of the database's error",
            at=load("users.service").UserService.create,
            response=answer,
        )

    async def test_other_errors(self, load, api, monkeypatch, broken_database):
        """Any other error stays a 500: one of the database, and one of your own code"""
        user_id = await created(api, ADA)

        async def broken(*_args, **_values):
            raise RuntimeError("the database is on fire")

        reason = {
            "why": "a client would be told to choose another name, again and again, while the server is broken",
            "hint": "catch IntegrityError only: you can explain no other exception",
        }
        service = load("users.service").UserService
        at = [part_of(load, "users.service", "refuse_duplicates") or one for one in (service.create, service.update)]
        with broken_database(api, "insert", "update") as failing:
            failing.is_500(await api.post(USERS, json=BOB), **reason, at=at[0])
            failing.is_500(await api.patch(f"{USERS}/{user_id}", json={"full_name": "Ada"}), **reason, at=at[1])
        for name in ("create", "update"):
            monkeypatch.setattr(load("users.crud").user_crud, name, broken)
        expect.status(await api.post(USERS, json=BOB), 500, **reason, at=at[0])
        answer = await api.patch(f"{USERS}/{user_id}", json={"full_name": "Ada"})
        expect.status(answer, 500, **reason, at=at[1])

    async def test_every_database(self, load, api, monkeypatch):
        """An IntegrityError is a 409 in the words of every database"""
        words = 'duplicate key value violates unique constraint "uq_users_email"'

        async def taken(*_args, **_values):
            raise IntegrityError("INSERT INTO users", {}, Exception(words))

        monkeypatch.setattr(load("users.crud").user_crud, "create", taken)
        expect_taken(
            load,
            await api.post(USERS, json=ADA),
            why=f"PostgreSQL says: {words}. There each taken name would be a 500",
            hint="every IntegrityError becomes UserExists: its text differs from one database to the next",
        )

    async def test_no_question(self, load, db, statements, endings, monkeypatch):
        """Neither create nor update asks a question before it writes, and neither commits or rolls back"""
        module = load("users.service")
        service, data = module.UserService(db), load("users.schemas").UserCreate(**ADA)
        rolled_back, rollback = [], AsyncSession.rollback

        async def note(session):  # after a failed write SQLAlchemy has ended the transaction already: no event tells
            rolled_back.append(session)
            await rollback(session)

        monkeypatch.setattr(AsyncSession, "rollback", note)
        statements.clear()
        endings.clear()
        user = await service.create(data)
        expect.that(
            user is not None,
            did="service.create(data)",
            got="None",
            expected="the user",
            why="a request with good data would fail",
            hint="return what user_crud.create gives",
            at=module.UserService.create,
        )
        asked = [one for one in before_the_write(statements) if "users" in one]
        expect.that(
            not asked,
            did="service.create(data), the statements before the INSERT",
            got=expect.shown(asked[0]) if asked else "",
            expected="no question about users",
            why="an answer is out of date when the write comes, and each sign-up pays one more way to the database",
            hint="take the question out of `create`: the table answers it when you write",
            at=module.UserService.create,
        )
        await service.update(user, load("users.schemas").UserUpdate(full_name="Ada"))
        await db.commit()
        statements.clear()
        await service.update(user, load("users.schemas").UserUpdate(email="new@example.com", username="new"))
        asked = [one for one in before_the_write(statements) if "users" in one]
        expect.that(
            not asked,
            did="service.update(user, data) with another address and user name, the statements before the UPDATE",
            got=expect.shown(asked[0]) if asked else "",
            expected="no question about users",
            why="an answer is out of date when the write comes, and each change pays one more way to the database",
            hint="take the question out of `update`: the table answers it when you write",
            at=module.UserService.update,
        )
        await service.update(user, load("users.schemas").UserUpdate(email=ADA["email"], username=ADA["username"]))
        await db.commit()
        raised = None
        try:
            await service.create(data)
        except IntegrityError:  # other criteria say it
            raised = module.UserExists()
        except Exception as error:
            raised = error
        expect.that(
            isinstance(raised, module.UserExists),
            did="service.create(data), a second time",
            got=f"{type(raised).__name__} was raised" if raised else "nothing was raised",
            expected="UserExists",
            why="a script, and the handlers of this chapter, know a taken name by the class of the error",
            hint="raise UserExists, by this name: what it looks like in HTTP is its own affair",
            at=part_of(load, "users.service", "refuse_duplicates") or module.UserService.create,
        )
        endings.none(
            did="service.create(data), also for a name that is taken, and service.update(user, data)",
            at=module.UserService.create,
            why="what the caller has written in the same transaction would be saved, or lost, behind the caller's back",
        )
        expect.that(
            not rolled_back,
            did="service.create(data), for a name that is taken",
            got="the service calls `rollback`",
            expected="it raises, and leaves the transaction to its caller",
            why="the service would throw away also what its caller has written, and the caller would never know",
            hint="take the rollback out: the exception passes get_session, and closing the session rolls back",
            at=module.UserService.create,
        )

    async def test_the_hash(self, load, api, monkeypatch):
        """The hash of the password is stored, as before: by a sign-up and by a change"""

        async def hash_password(password):
            return f"hash of {password}"

        for name in ("core.security", "users.service"):
            load(name)
            monkeypatch.setattr(f"app.{name}.hash_password", hash_password, raising=False)
        user_id = await created(api, ADA)
        service = load("users.service").UserService
        reason = {"why": "nobody could sign in with this password", "hint": "keep the lines about the hash"}
        for body, password in ((None, ADA["password"]), ({"password": "Another Horse"}, "Another Horse")):
            reason["at"] = service.update if body else service.create
            if body is not None:
                expect.status(await api.patch(f"{USERS}/{user_id}", json=body), 200, **reason)
            count = await count_users(load, api.sessions, hashed_password=f"hash of {password}")
            expect.equal(count, 1, did=f'the users with the hash of "{password}"', **reason)

    async def test_the_app_goes_on(self, load, api):
        """After a 409 the next request works, and a change without a conflict too"""
        user_id = await created(api, ADA)
        await api.post(USERS, json=ADA)
        reason = {
            "why": "a request with good data would fail",
            "hint": "return what user_crud returns",
            "at": load("users.service").UserService.update,
        }
        answer = await api.patch(f"{USERS}/{user_id}", json={"full_name": "Ada Lovelace"})
        expect.status(answer, 200, **reason)
        expect.equal(expect.body(answer).get("full_name"), "Ada Lovelace", did="full_name in the answer", **reason)
        await created(api, BOB)


# ---------------------------------------------------------------------------------------------------------------- 6.6


SIGNED_UP = {
    "why": "a sign-up with good data would fail, or a client would not know that there is something new",
    "hint": "keep the decorator as it is, and return the user, as before",
}


class Welcomes:
    """Stands in the place of send_welcome: notes what it was given, and what was put on the list of tasks."""

    def __init__(self):
        self.given, self.tasks = [], []

    async def meanwhile(self):
        """Happen while a welcome is sent; a check puts its own function here."""

    async def sign_up(self, client, at, body=ADA):
        """Sign somebody up, and return the answer; a call where a function belongs is a wrong answer."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            answer = await client.post(USERS, json=body)
        called = [
            f"{self._kind(task)} on the list, which a call gave back" for task in self.tasks if not callable(task)
        ]
        for warning in caught:
            if "'send_welcome' was never awaited" in str(warning.message):
                called.append("send_welcome(…) was called, and nothing ran")
            else:
                warnings.warn(warning.message, stacklevel=1)
        expect.that(
            not called,
            did="what create_user puts on the list of background tasks",
            got=called[0] if called else "",
            expected="the function send_welcome, and its argument",
            why="FastAPI calls the function later; what a call gave back cannot be called, so nobody gets a welcome",
            hint="pass the function and its arguments to add_task, do not call it: no brackets behind its name",
            at=at,
        )
        return answer

    @staticmethod
    def _kind(task):
        return "a coroutine" if inspect.iscoroutine(task) else repr(task)


@pytest.fixture
def welcomes(load, monkeypatch):
    """A stand-in for send_welcome, wherever the router takes it from."""
    seen, make = Welcomes(), BackgroundTask.__init__

    async def send_welcome(*args, **values):
        seen.given.extend([*args, *values.values()])
        await seen.meanwhile()

    def note(task, function, *args, **values):
        seen.tasks.append(function)
        if inspect.iscoroutine(function):
            function.close()
        make(task, function, *args, **values)

    send_welcome.__qualname__ = "send_welcome"  # a warning says this name, and not one of the checks
    for name in ("users.notifications", "users.router"):
        load(name)
        monkeypatch.setattr(f"app.{name}.send_welcome", send_welcome, raising=False)
    monkeypatch.setattr(BackgroundTask, "__init__", note)
    return seen


@pytest.fixture
def route(load):
    """The learner's create_user, for `at=`."""
    return load("users.router").create_user


@exercise("6.6")
class TestAfterTheCommit:
    async def test_after_the_commit(self, load, open_api, welcomes, route):
        """When the welcome is sent, another session can see the user already"""
        seen = []
        async with open_api(RACE) as api:

            async def look():
                seen.append(await count_users(load, api.sessions, username="ada"))

            welcomes.meanwhile = look
            answer = await welcomes.sign_up(api, route)
            for _ in range(10):  # a task of its own, if the learner made one, needs a moment
                await asyncio.sleep(0 if seen else 0.01)
        expect.status(answer, 201, **SIGNED_UP, at=route)
        expect.equal(
            seen,
            [1],
            did="the users that the welcome sees, one number for each welcome",
            why="a task that looks the user up would find nobody; or no welcome is sent at all, or more than one",
            hint="put send_welcome on the list of background tasks once: it runs after the commit and the answer",
            at=route,
        )

    async def test_the_id(self, api, welcomes, route):
        """The welcome gets the id of the new user, and nothing else"""
        await welcomes.sign_up(api, route, BOB)
        welcomes.given.clear()
        answer = await welcomes.sign_up(api, route)
        expect.status(answer, 201, **SIGNED_UP, at=route)
        expect.equal(
            welcomes.given,
            [expect.body(answer).get("id")],
            did="what send_welcome was given",
            why="it must know who is welcomed, and an object of a session that is closed may be out of date",
            hint="the argument behind the function is the id of this new user, a plain number, and there is one task",
            at=route,
        )

    async def test_a_failed_commit(self, load, api, welcomes, route):
        """When the commit fails, no welcome is sent"""
        with full_disk(api):
            answer = await welcomes.sign_up(api, route)
        expect.status(answer, 500, **lost(load))
        expect.equal(
            welcomes.given,
            [],
            did="the welcomes that were sent, when the commit failed",
            why="somebody who is no user would get a welcome",
            hint="do not call send_welcome in the route; put it on the list of background tasks",
            at=route,
        )

    async def test_a_conflict(self, load, api, welcomes, route):
        """For a name that is taken no welcome is sent"""
        await welcomes.sign_up(api, route)
        welcomes.given.clear()
        expect_taken(load, await welcomes.sign_up(api, route))
        expect.equal(
            welcomes.given,
            [],
            did="the welcomes that were sent for a 409",
            why="somebody would be welcomed a second time, by a request that failed",
            hint="add the task after service.create",
            at=route,
        )

    async def test_the_client_does_not_wait(self, open_api, connect, welcomes, route):
        """The answer is sent before the welcome"""
        order = []

        async def note():
            order.append("welcome")

        welcomes.meanwhile = note
        async with open_api() as api:

            async def watched(scope, receive, send):
                async def pass_on(message):
                    if message["type"] == "http.response.body":
                        order.append("answer")
                    await send(message)

                await api.app(scope, receive, pass_on)

            async with connect(watched, raise_app_exceptions=False, lifespan=False) as client:
                client.headers.update(api.headers)
                answer = await welcomes.sign_up(client, route)
        expect.status(answer, 201, **SIGNED_UP, at=route)
        expect.equal(
            order,
            ["answer", "welcome"],
            did="the order of the answer and the welcome",
            why="people would wait for the mail server",
            hint="background.add_task: FastAPI runs the task when the answer is out",
            at=route,
        )

    async def test_the_work_of_others(self, api, welcomes, route, endings, broken_database):
        """The route commits nothing, and a fault of the database stays a 500, without a welcome"""
        endings.clear()
        await welcomes.sign_up(api, route)
        endings.none(
            did=f"POST {USERS}",
            at=route,
            why="who commits in a route saves half of a request, when what follows fails",
            hint="take the commit out: get_session commits before the answer, and the task runs after both",
        )
        welcomes.given.clear()
        with broken_database(api, "insert") as broken:
            answer = await welcomes.sign_up(api, route, BOB)
            broken.is_500(answer, at=route, hint="catch nothing in the route: what the service raises goes on")
        expect.equal(
            welcomes.given,
            [],
            did="the welcomes that were sent, when the database failed",
            why="somebody who is no user would get a welcome",
            hint="add the task after service.create",
            at=route,
        )

    async def test_same_answer(self, api, route):
        """The answer is the same as before: 201, the public fields, and 409 in the documentation"""
        answer = await api.post(USERS, json=ADA)
        expect.status(answer, 201, **SIGNED_UP, at=route)
        body = expect.body(answer)
        got = (body.get("username"), "hashed_password" in body) if isinstance(body, dict) else body
        expect.equal(
            got,
            ("ada", False),
            did="the answer: username, and whether a hash is shown",
            why="a client would miss what it had before, or read what nobody may see",
            hint="keep response_model",
            at=route,
        )
        paths = (await api.get("/api/v1/openapi.json")).json().get("paths", {})
        responses = paths.get(USERS, {}).get("post", {}).get("responses", {})
        expect.that(
            "409" in responses,
            did=f"the documentation of POST {USERS}",
            got=f"the statuses {', '.join(responses)}",
            expected="409 among them",
            why="who writes a client would not know that a name can be taken",
            hint="keep responses=error_responses(409) in the decorator",
            at=route,
        )
