"""Checks of chapter 06: what is answered is saved, and what goes wrong is told."""

import asyncio
import inspect
import logging
import sys
import typing
import warnings
from contextlib import contextmanager

import pytest
from fastapi import HTTPException
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from sqlalchemy import event, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session
from starlette.background import BackgroundTask

from workbook import expect
from workbook.checks import exercise

USERS = "/api/v1/users"
ADA = {"email": "ada@example.com", "username": "ada", "password": "Correct horse"}
BOB = {"email": "bob@example.com", "username": "bob", "password": "Correct horse"}
RACE = "sqlite+aiosqlite:///race.db"
SECRET = "hunter2"


@contextmanager
def full_disk(api):
    """Let every commit of the app fail."""

    def fail(_session):
        raise OSError("no space left on device")

    api.watched.alone = False
    event.listen(Session, "before_commit", fail)
    try:
        yield
    finally:
        event.remove(Session, "before_commit", fail)


async def count_users(load, sessions, **columns):
    """Count the stored users with these values, deleted ones too."""
    user = load("users.models").User
    async with sessions() as session:
        return await session.scalar(select(func.count()).select_from(user).filter_by(**columns))


def part_of(load, module, name):
    """Return a function of the learner's, for `at=`; None where it has another name."""
    load(module)
    return getattr(sys.modules[f"app.{module}"], name, None)


async def created(api, body):
    """Create a user; return the id."""
    answer = await api.post(USERS, json=body)
    expect.status(
        answer,
        201,
        why="a request with good data would fail",
        hint="return the user that user_crud.create gives, from the service and from the route",
    )
    return expect.body(answer)["id"]


def error_body(answer, status, code, **reason):
    """Expect the one error body; return it."""
    expect.status(answer, status, **reason)
    body = expect.body(answer, **reason)
    keys = set(body) if isinstance(body, dict) else set()
    missing = [name for name in ("detail", "code", "request_id") if name not in keys]
    expect.that(
        not missing,
        got=f"the body lacks {', '.join(missing)}: {expect.shown(body)}",
        expected="detail, code and request_id",
        response=answer,
        **reason,
    )
    for name, right, wanted in (
        ("detail", isinstance(body["detail"], str) and bool(body["detail"]), "a text"),
        ("code", body["code"] == code, repr(code)),
        ("request_id", body["request_id"] == answer.headers.get("X-Request-ID"), "the id of the header X-Request-ID"),
    ):
        expect.that(
            right is True,
            got=f"{name}: {expect.shown(body[name])}",
            expected=f"{name}: {wanted}",
            response=answer,
            **reason,
        )
    return body


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


# ---------------------------------------------------------------------------------------------------------------- 6.3

NAMES = {
    "UserNotFound": ("NotFound", 404, "user_not_found", "There is no such user."),
    "UserExists": ("Conflict", 409, "user_exists", "This e-mail or user name is already taken."),
}


def made(error_class):
    """Make an error as the service does, without arguments."""
    try:
        return error_class()
    except TypeError as error:
        raise expect.Wrong(
            did=f"{error_class.__name__}()",
            got=f"a TypeError: {error}",
            expected="an error",
            why="the service says `raise UserExists`: a 500 would be the answer",
            hint="raise it without arguments: code and detail are attributes of the class, and no __init__ is needed",
            at=error_class,
            sure=True,
        ) from None


@exercise("6.3")
class TestDomainErrors:
    def test_kind(self, load):
        """UserNotFound is a kind of NotFound, UserExists a kind of Conflict"""
        for name, (base, *_rest) in NAMES.items():
            found = getattr(load("users.exceptions"), name)
            expect.that(
                isinstance(found, type) and issubclass(found, getattr(load("core.exceptions"), base)),
                did=f"issubclass({name}, {base})",
                got="False",
                expected="True",
                why="the handler knows only DomainError and its kinds; and code may want to catch every NotFound",
                hint=f"class {name}({base}):",
                at=found,
            )

    def test_no_http_exception(self, load):
        """Neither is an HTTPException any more"""
        for name in NAMES:
            found = getattr(load("users.exceptions"), name)
            expect.that(
                not issubclass(found, HTTPException),
                did=f"issubclass({name}, HTTPException)",
                got="True",
                expected="False",
                why="FastAPI would answer by itself, without a code",
                hint="take HTTPException out of the brackets behind the name",
                at=found,
            )

    def test_values(self, load):
        """Each has its status, its code and its text"""
        for name, (_base, status, code, detail) in NAMES.items():
            found = getattr(load("users.exceptions"), name)
            reason = {
                "why": "clients decide by the code what to do, and show the text to people",
                "hint": "set `code` and `detail` in the class as the table has them, letter by letter; "
                "the status comes from the base class",
                "at": found,
            }
            error = made(found)
            got = tuple(getattr(error, field, "(missing)") for field in ("status_code", "code", "detail"))
            expect.equal(got, (status, code, detail), did=f"{name}(): status_code, code, detail", **reason)
            expect.equal(str(error), detail, did=f"str({name}())", **reason)

    def test_nothing_of_http(self, load):
        """An error that a script prints shows no status code"""
        for name, (_base, status, *_rest) in NAMES.items():
            found = getattr(load("users.exceptions"), name)
            shown = repr(made(found))
            expect.that(
                str(status) not in shown,
                did=f"repr({name}())",
                got=shown,
                expected=f"no {status} in it",
                why="a script has no client: it would show people a number that means nothing there",
                hint="an `__init__` is left over, which hands a status code on: take it out",
                at=found,
            )

    async def test_conflict(self, load, api):
        """A duplicate is a 409 with the code user_exists"""
        await created(api, ADA)
        error_body(
            await api.post(USERS, json=ADA),
            409,
            "user_exists",
            why="a program cannot tell this conflict from another one",
            hint='class UserExists(Conflict): with code = "user_exists"',
            at=load("users.exceptions").UserExists,
        )

    async def test_not_found(self, load, api):
        """Who raises UserNotFound anywhere gets a 404 with the code user_not_found"""

        @api.app.get("/probe")
        async def probe() -> None:
            raise load("users.exceptions").UserNotFound

        error_body(
            await api.get("/probe"),
            404,
            "user_not_found",
            why="a program cannot tell a missing user from a wrong address",
            hint='class UserNotFound(NotFound): with code = "user_not_found"',
            at=load("users.exceptions").UserNotFound,
        )

    async def test_script(self, load, db):
        """Without a server the service raises UserExists for a duplicate"""
        service, data = load("users.service").UserService(db), load("users.schemas").UserCreate(**ADA)
        await service.create(data)
        raised = None
        try:
            await service.create(data)
        except Exception as error:
            raised = type(error)
        expect.that(
            raised is load("users.exceptions").UserExists,
            did="service.create(data), a second time",
            got=f"a {raised.__name__}" if raised else "no exception",
            expected="a UserExists",
            why="a script could not tell a taken name from any other error",
            hint="raise it without arguments: code and detail are attributes of the class, and no __init__ is needed"
            if raised is TypeError
            else "keep the names of the classes: the service raises them",
            at=load("users.exceptions").UserExists,
        )


# ---------------------------------------------------------------------------------------------------------------- 6.4


@pytest.fixture
def http_handler(load):
    """The learner's answer for an HTTPException, for `at=`."""
    return part_of(load, "core.handlers", "handle_http_exception")


@pytest.fixture
def validation_handler(load):
    """The learner's answer for a malformed request, for `at=`."""
    return part_of(load, "core.handlers", "validation_response")


def list_of_errors(body, at):
    """Return `errors` of a body, each entry with a list in loc, and texts in msg and type."""
    errors = body.get("errors")
    expect.that(
        isinstance(errors, list) and all(isinstance(error, dict) for error in errors),
        did="errors in the body",
        got=expect.shown(errors) if "errors" in body else "there is none",
        expected="a list with a dict for each fault",
        why="a person would not hear which field is wrong",
        hint="hand the list to error_response by the name `errors`",
        at=at,
    )
    for error in errors:
        loc = error.get("loc")
        listed = isinstance(loc, list) and bool(loc)
        expect.that(
            listed and isinstance(error.get("msg"), str) and isinstance(error.get("type"), str),
            did="an entry of errors",
            got=expect.shown(error),
            expected="loc, a list such as ['body', 'email'], with the texts msg and type",
            why="a program finds the field by loc and decides by type, a person reads msg",
            hint='each entry needs the three keys: "loc", "msg" and "type"'
            if listed
            else "loc is a list of the steps to the field: hand it on as it is, and make no text of it",
            at=at,
        )
    return errors


@exercise("6.4")
class TestOneBody:
    async def test_unknown_path(self, api, http_handler):
        """An unknown path is a 404 with the code not_found"""
        error_body(
            await api.get("/api/v1/nowhere"),
            404,
            "not_found",
            why="a client needs two ways to read errors, and cannot tell this one from others by its code",
            hint="answer with error_response, which builds the one body; the code comes from CODES",
            at=http_handler,
        )

    async def test_wrong_method(self, api, http_handler):
        """A wrong method is a 405 with the code method_not_allowed, and keeps its header Allow"""
        answer = await api.put(USERS)
        error_body(
            answer,
            405,
            "method_not_allowed",
            why="a client cannot tell a wrong method from a wrong address",
            hint="CODES has a code for each status",
            at=http_handler,
        )
        expect.header(
            answer,
            "Allow",
            "GET, POST",
            why="the standard asks for it: it says which methods there are",
            hint="hand `headers` on to error_response",
            at=http_handler,
        )

    async def test_any_http_exception(self, api, http_handler):
        """Any other HTTPException keeps status, text and headers, with the code http_error"""

        @api.app.get("/probe")
        async def probe() -> None:
            raise HTTPException(418, "short and stout", {"X-Tea": "green"})

        reason = {"why": "what a library wants to tell the client would be lost", "at": http_handler}
        answer = await api.get("/probe")
        hint = "the status is the error's own; for one that CODES lacks, the text names one code for all"
        body = error_body(answer, 418, "http_error", hint=hint, **reason)
        expect.equal(body["detail"], "short and stout", did="detail", hint="hand error.detail on as text", **reason)
        expect.header(
            answer, "X-Tea", "green", hint="the dict `headers` is ready: hand it on, whatever it holds", **reason
        )

    async def test_every_status(self, api, http_handler):
        """Each status has the code that CODES has for it, and http_error where CODES has none"""

        @api.app.get("/probe/{status}")
        async def probe(status: int) -> None:
            raise HTTPException(status, "a text")

        known = {401: "not_authenticated", 403: "forbidden", 404: "not_found", 422: "validation_error"}
        for status, code in {**known, 418: "http_error", 451: "http_error", 508: "http_error"}.items():
            body = error_body(
                await api.get(f"/probe/{status}"),
                status,
                code,
                why="a program decides by the code what to do",
                hint="CODES has the codes of some statuses; for all others there is one code, and nothing is stored",
                at=http_handler,
            )
            expect.equal(body["detail"], "a text", did="detail", hint="hand the detail on", at=http_handler)

    async def test_a_400_of_a_route(self, api, http_handler):
        """A 400 that a route raises is no unreadable body: it keeps its text, with the code bad_request"""

        @api.app.post("/probe")
        async def probe(data: dict[str, str]) -> None:
            raise HTTPException(400, "the shop is closed")

        answer = await api.post("/probe", json={})
        expect.status(
            answer,
            400,
            why="the client would be told that its body cannot be read, and never hear the reason",
            hint="keep the first lines of handle_http_exception as they are given",
            at=http_handler,
        )
        reason = {
            "why": "what the route wants to tell the client would be lost",
            "hint": "take the code from CODES, and the text from error.detail",
            "at": http_handler,
        }
        body = error_body(answer, 400, "bad_request", **reason)
        expect.equal(body["detail"], "the shop is closed", did="detail", **reason)

    async def test_detail_is_text(self, api, http_handler):
        """A detail that is no text becomes text, and loses nothing"""

        @api.app.get("/probe")
        async def probe() -> None:
            raise HTTPException(418, {"tea": "green"})

        reason = {
            "why": "a client would have to look at the type before it can show the detail, or would miss the reason",
            "hint": "make a text of error.detail, whatever it is: str(error.detail)",
            "at": http_handler,
        }
        body = error_body(await api.get("/probe"), 418, "http_error", **reason)
        expect.that(
            "green" in body["detail"],
            did="the detail {'tea': 'green'}",
            got=expect.shown(body["detail"]),
            expected="a text with all that stands in it",
            **reason,
        )

    async def test_validation(self, api, validation_handler):
        """A malformed request is a 422 with the code validation_error, and errors names every field"""
        body = error_body(
            await api.post(USERS, json={"email": "ada"}),
            422,
            "validation_error",
            why="a client would have to read this error in another way than all others",
            hint="answer with error_response: the table names the code, and the list of faults is one more field",
            at=validation_handler,
        )
        entries = list_of_errors(body, validation_handler)
        fields = sorted(str(error["loc"][-1]) for error in entries)
        expect.equal(
            fields,
            ["email", "password", "username"],
            did="the fields that errors names",
            why="a person would repair one field, send again, and only then hear of the next",
            hint="build the list in a loop over errors, an entry for each fault: errors=public",
            at=validation_handler,
        )

    async def test_the_password_stays_here(self, api, validation_handler):
        """A refused password is not in the answer"""
        for body in (ADA | {"password": "hunter2hunter2"}, [ADA | {"password": SECRET}]):
            answer = await api.post(USERS, json=body)
            reason = {
                "hint": "build new dicts with loc, msg and type; leave input and ctx here",
                "at": validation_handler,
            }
            expect.status(answer, 422, why="a person would not hear what to change about the password", **reason)
            expect.that(
                SECRET not in answer.text,
                got=expect.shown(answer.text),
                expected="an answer without the password",
                why="it would stand in the logs of every proxy on the way, and people use a password elsewhere too",
                response=answer,
                **reason,
            )

    async def test_unreadable(self, api, http_handler, validation_handler):
        """A body that is no JSON, or no text, is a 422 too"""
        for content, at in ((b"{", validation_handler), (b'"\xff"', http_handler), (b"", validation_handler)):
            answer = await api.post(USERS, content=content, headers={"Content-Type": "application/json"})
            error_body(
                answer,
                422,
                "validation_error",
                why="a malformed request must look the same, however it is malformed",
                hint="keep the lines that are given: they hand a 400 of the framework to validation_response",
                at=at,
            )

    async def test_half_a_character(self, api, http_handler):
        """A detail that quotes half a character can be answered"""

        @api.app.get("/probe")
        async def probe() -> None:
            raise HTTPException(418, "\ud800 is no tea")

        error_body(
            await api.get("/probe"),
            418,
            "http_error",
            why="some bytes in a request would be enough for a 500",
            hint="answer with error_response, which can write everything",
            at=http_handler,
        )

    async def test_own_errors(self, load, api):
        """Your own errors still come: 404 user_not_found, 409 user_exists"""
        reason = {
            "why": "your own errors would lose their code",
            "hint": "leave handle_domain_error as it is",
            "at": part_of(load, "core.handlers", "handle_domain_error"),
        }
        await created(api, ADA)
        error_body(await api.get(f"{USERS}/987654"), 404, "user_not_found", **reason)
        error_body(await api.post(USERS, json=ADA), 409, "user_exists", **reason)

    async def test_loc_msg_type(self, api, validation_handler):
        """Each entry of errors has loc, msg and type as they came, and no other key"""
        came = [
            {
                "loc": ("body", "price"),
                "msg": "Value error, no",
                "type": "value_error",
                "ctx": {"error": ValueError(SECRET)},
            },
            {"loc": ("body", "tags", 3), "msg": "too many", "type": "too_long", "input": SECRET, "seen": SECRET},
            {"loc": ("query", "limit"), "msg": "too small", "type": "greater_than_equal", "url": "https://e.example"},
            {"loc": ("query", "limit"), "msg": "no number", "type": "int_parsing"},
        ]

        @api.app.get("/probe")
        async def probe() -> None:
            raise RequestValidationError(came)

        for _ in "twice":
            answer = await api.get("/probe")
            body = error_body(
                answer,
                422,
                "validation_error",
                why="a fault of another kind would be a 500",
                hint="take loc, msg and type from each dict, and nothing else: what else is in it may be no JSON",
                at=validation_handler,
            )
            entries = list_of_errors(body, validation_handler)
            keys = sorted({key for error in entries for key in error} - {"loc", "msg", "type"})
            expect.that(
                not keys,
                did="the keys of the entries in errors",
                got=f"also {', '.join(keys)}",
                expected="loc, msg and type",
                why="a new version of Pydantic may add a key that must not go out; send what you name yourself",
                hint="build a new dict from the three keys; do not take keys out of the old one",
                at=validation_handler,
            )
            expect.equal(
                entries,
                [{"loc": list(error["loc"]), "msg": error["msg"], "type": error["type"]} for error in came],
                did="errors, for four faults",
                why="a program looks for the field in loc and reads type, a person reads msg",
                hint="hand on loc, msg and type as they are: the whole loc, and the words of the error"
                if len(entries) == len(came)
                else "one entry for each of these faults, and no other: begin with a new list in each call",
                at=validation_handler,
            )


# ---------------------------------------------------------------------------------------------------------------- 6.5


class Records(logging.Handler):
    """Collects what the app logs."""

    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        """Keep a record."""
        self.records.append(record)


@contextmanager
def logged():
    """Collect what the app logs in the block."""
    handler, logger = Records(), logging.getLogger("app")
    logger.addHandler(handler)
    try:
        yield handler.records
    finally:
        logger.removeHandler(handler)


def message_of(record):
    """Return a log record's message, or what is wrong with it."""
    try:
        return record.getMessage()
    except (TypeError, ValueError) as error:
        return f"(the message cannot be built: {error})"


def text_of(record):
    """Return a log record's message, and the values that came with it; nothing else of one that cannot be built."""
    message = message_of(record)
    return message if "cannot be built" in message else f"{message} {vars(record)}"


def id_in(answer):
    """Return the request id of an error's body; an empty text, which is in every message, where there is none."""
    body = answer.json() if "json" in answer.headers.get("content-type", "") else {}
    return str(body.get("request_id", "")) if isinstance(body, dict) else ""


def middleware_of(app):
    """Return the learner's middleware, for `at=`; None where it has another name."""
    found = [entry.cls for entry in app.user_middleware if entry.cls.__name__ == "RequestIdMiddleware"]
    return found[0].__call__ if found else None


async def visit_broken(api, path="/broken"):
    """Add routes with a bug, and visit one of them; return the answer."""

    @api.app.get("/broken")
    @api.app.get("/100%s")
    async def broken() -> None:
        raise RuntimeError(f"cannot reach postgresql://admin:{SECRET}@db")

    try:
        return await api.get(path)
    except AssertionError:  # the client's way to say that an app has sent nothing
        raise expect.Wrong(
            did="GET /broken, a route with a bug",
            got="the app ended, and no answer was sent",
            expected="500 Internal Server Error",
            why="the client waits, and then hears that the connection broke",
            hint="an answer is sent when it is called, and awaited: `await answer(scope, receive, send_with_id)`",
            at=middleware_of(api.app),
        ) from None


def add_stream(app):
    """Add a route that fails when half of the answer is sent."""

    async def parts():
        yield b"half"
        raise RuntimeError("too late")

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(parts())


async def raw_get(app, path, send=None):
    """Send a GET without a client in between; return the messages and the exception that came out.

    Args:
        send: takes the messages in place of the list.
    """
    sent = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }

    waiting = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive():
        return waiting.pop() if waiting else await asyncio.Event().wait()

    async def note(message):
        sent.append(message)

    try:
        await app(scope, receive, send or note)
    except Exception as error:
        return sent, error
    return sent, None


@exercise("6.5")
class TestUnexpected:
    async def test_one_body(self, api):
        """An unexpected exception is a 500 with the body of every error, code internal_error, and the id as a header"""
        answer, at = await visit_broken(api), middleware_of(api.app)
        past = "json" in answer.headers.get("content-type", "") and "X-Request-ID" not in answer.headers
        expect.that(
            not past,
            got="no header X-Request-ID",
            expected="the header X-Request-ID, with the id that stands in the body",
            why="who reads headers only, such as a proxy or a log, cannot connect the answer with your log",
            hint="the answer went past the function that adds the header: which of the two `send` was it given?",
            response=answer,
            at=at,
        )
        error_body(
            answer,
            500,
            "internal_error",
            why="a client cannot read a bare text as JSON, and has no id to ask about",
            hint="make the answer with unexpected_error, and send it in the `except` block: call it, and await it",
            at=at,
        )

    async def test_the_exception_ends_here(self, open_api):
        """When an answer was sent, the exception is over: it does not rise out of the app a second time"""
        async with open_api() as api:

            @api.app.get("/broken")
            async def broken() -> None:
                raise RuntimeError("too bad")

            sent, error = await raw_get(api.app, "/broken")
        starts = [message["status"] for message in sent if message["type"] == "http.response.start"]
        expect.that(
            error is None or starts != [500],
            did="GET /broken, a route with a bug",
            got=f"the answer {starts}, and then {type(error).__name__} rose out of the app",
            expected="the answer, and nothing behind it",
            why="the server logs the same fault a second time, and may cut the connection under the answer",
            hint="raise only if the answer has started before you; who has sent an answer is done",
            at=middleware_of(api.app),
        )

    async def test_nothing_leaks(self, api):
        """Neither body nor headers show anything of the exception"""
        answer = await visit_broken(api)
        said = f"{answer.text} {dict(answer.headers)}"
        shown = [word for word in (SECRET, "RuntimeError", "Traceback", "postgresql") if word in said]
        expect.that(
            not shown and answer.status_code == 500,
            got=f"{answer.status_code} with {', '.join(shown)}",
            expected="500 without a word of the exception",
            why="messages of exceptions hold addresses, passwords and statements",
            hint="answer with unexpected_error, which has a text of its own",
            at=middleware_of(api.app),
            response=answer,
        )

    async def test_log(self, api):
        """The log has one error with the request id, the path and the traceback"""
        with logged() as records:
            answer = await visit_broken(api)
        errors = [record for record in records if record.levelno >= logging.ERROR]
        reason = {
            "hint": "`logger.exception` of this module takes a text with a %s for each value: method, path, request_id",
            "response": answer,
            "at": middleware_of(api.app),
        }
        lost = "the client can tell you an id, and you find nothing under it"
        expect.that(len(errors) == 1, got=f"{len(errors)} errors in the log", expected="one error", why=lost, **reason)
        record, request_id = errors[0], answer.headers.get("X-Request-ID") or id_in(answer)
        text = text_of(record)
        which = "you would not know which request it was that failed"
        for what, word, why in (("request id", request_id, lost), ("path", "/broken", which), ("method", "GET", which)):
            expect.that(
                word in text,
                got=f"the message: {message_of(record)}",
                expected=f"the {what}, {word}",
                why=why,
                **reason,
            )
        with logged() as records:
            answer = await visit_broken(api, "/100%25s")
        found = [text_of(record) for record in records if record.levelno >= logging.ERROR]
        expect.that(
            any("/100%s" in one for one in found),
            did="GET /100%25s, a path with a percent sign, and a bug",
            got=", ".join(message_of(record) for record in records) or "no error in the log",
            expected="the path, /100%s",
            why="a stranger chooses the path, and with it what your log loses",
            **reason,
        )
        cause = record.exc_info[1] if record.exc_info else None
        expect.that(
            isinstance(cause, RuntimeError),
            got="the record has no traceback",
            expected="the traceback of the exception",
            why="you would know that it failed, and not where",
            hint="logger.exception in the except block adds the traceback; logger.error does not",
            response=answer,
            at=middleware_of(api.app),
        )

    async def test_the_client_is_gone(self, open_api):
        """When the answer cannot be sent any more, the log has the exception all the same"""
        async with open_api() as api:

            @api.app.get("/broken")
            async def broken() -> None:
                raise RuntimeError("too bad")

            async def gone(_message):
                raise OSError("the client is gone")

            with logged() as records:
                await raw_get(api.app, "/broken", gone)
        expect.that(
            any(record.exc_info and "too bad" in str(record.exc_info[1]) for record in records),
            did="GET /broken, a route with a bug, while the client hangs up",
            got="no error in the log",
            expected="the error of the route",
            why="whoever finds a fault and hangs up would leave no trace of it",
            hint="the order of the text: first the log, then the answer",
            at=middleware_of(api.app),
        )

    async def test_a_cancelled_request(self, open_api):
        """A request that is cancelled is no error of the app: it stays cancelled, and nothing is answered"""
        async with open_api() as api:

            @api.app.get("/broken")
            async def broken() -> None:
                raise asyncio.CancelledError

            sent, error = [], None
            try:
                sent, error = await raw_get(api.app, "/broken")
            except asyncio.CancelledError as cancelled:
                error = cancelled
        expect.that(
            isinstance(error, asyncio.CancelledError) and not sent,
            did="GET /broken, a request that the server cancels",
            got="a 500" if sent else repr(error),
            expected="the CancelledError goes on",
            why="a server that stops could not end its requests",
            hint="catch Exception: what is above it, such as CancelledError, is not for you",
            at=middleware_of(api.app),
        )

    async def test_a_stream_breaks_off(self, open_api):
        """When the answer has begun, the exception goes on, and no second answer is sent"""
        async with open_api() as api:
            add_stream(api.app)
            with logged() as records:
                sent, error = await raw_get(api.app, "/stream")
        starts = [message["status"] for message in sent if message["type"] == "http.response.start"]
        expect.that(
            error is not None and starts == [200],
            did="GET /stream, a route that fails when half of the answer is sent",
            got=f"{'an exception' if error else 'no exception'}, and the answers {starts}",
            expected="an exception, and the answers [200]",
            why="the client would take half of a file for the whole, or find a second answer inside the first",
            hint="when the answer has started, the only way left is to raise",
            at=middleware_of(api.app),
        )
        expect.that(
            "too late" in str(error),
            did="GET /stream, the exception that goes on to the server",
            got=f"{type(error).__name__}: {error}",
            expected="the exception of the route, RuntimeError: too late",
            why="the server's log would name another fault than the one that happened",
            hint="`raise` without a name raises the same exception again",
            at=middleware_of(api.app),
        )
        expect.that(
            any(record.levelno >= logging.ERROR for record in records),
            did="GET /stream, the log",
            got="no error",
            expected="an error",
            why="nobody would ever hear of it",
            hint="log first, then look at `started`",
            at=middleware_of(api.app),
        )

    async def test_expected_errors(self, api):
        """Errors that the app means to give stay as they are, and are no errors in the log"""
        reason = {
            "why": "a client would hear that the server is broken, where the request was wrong",
            "hint": "leave the handlers alone: only what they did not handle arrives at the middleware",
            "at": middleware_of(api.app),
        }
        with logged() as records:
            error_body(await api.get(f"{USERS}/987654"), 404, "user_not_found", **reason)
            error_body(await api.get("/api/v1/nowhere"), 404, "not_found", **reason)
            error_body(await api.post(USERS, json={}), 422, "validation_error", **reason)
        errors = [message_of(record) for record in records if record.levelno >= logging.ERROR]
        expect.that(not errors, did="the log", got=", ".join(errors), expected="no error", **reason)

    async def test_success(self, api):
        """A request that works is answered as before, with its own request id"""
        first, second = await api.get("/health"), await api.get("/health")
        at = middleware_of(api.app)
        expect.json(
            first, {"status": "ok"}, why="nothing would work any more", hint="change only the except block", at=at
        )
        expect.that(
            "X-Request-ID" in first.headers and first.headers["X-Request-ID"] != second.headers.get("X-Request-ID"),
            got="no id, or the same id twice",
            expected="an id of its own for each request",
            why="the id that a client tells you would lead to nothing, or to somebody else's request",
            hint="change only the except block",
            response=second,
            at=at,
        )


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
