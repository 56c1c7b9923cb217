"""Checks of chapter 11, fixtures: an app that is started, an empty database, a factory of users."""

import re

from course_checks.suites import SECONDS
from workbook import expect
from workbook.checks import Variant, exercise

EXCEPTION = "begin with the exception: what does the line that it names need, and not get?"
PROBES = "tests/probe/test_probe.py"


# ------------------------------------------------------------------------------------------------------------- probes


def passes(suite, source, *tests, hooks="", hints=(), did, expected, why, hint):
    """Run our probes with the learner's fixtures, and expect some to pass; the message says what came back.

    Args:
        hooks: a conftest.py beside the probes.
        hints: pairs of a pattern in what came back, and the hint for it.
    """
    files = {PROBES: source, "tests/probe/conftest.py": hooks}
    ran = suite.run([Variant("probe", files=files, paths=(PROBES,))], limit=SECONDS)[0]
    for test in tests:
        name = f"{PROBES}::{test}"
        got, fault = (ran.messages.get(name) or ran.summary()).removeprefix("AssertionError: "), ran.faults.get(name)
        raised = fault is not None and not fault.summary.startswith("AssertionError")
        expect.that(
            ran.outcomes.get(name) == "passed",
            did=did,
            got=got,
            expected=expected,
            why=why,
            hint=next((one for pattern, one in hints if re.search(pattern, got)), EXCEPTION if raised else hint),
            fault=fault,
        )


AFTER = """
import pytest

SEEN = {}


@pytest.fixture(scope="session")
def seen():
    return SEEN


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item):
    things = dict(item.funcargs)
    yield
    if "built_app" in things:
        SEEN["ready"] = getattr(things["built_app"].state, "ready", None)
    if "client" in things:
        SEEN["closed"] = getattr(things["client"], "is_closed", None)
        SEEN.setdefault("clients", []).append(things["client"])
"""


STARTED = """
import httpx


def test_client(client):
    assert isinstance(client, httpx.AsyncClient), f"client is {type(client).__name__}"
    assert not client.is_closed, "the client is closed already"


async def test_path(client):
    answer = await client.get("/users/me")
    assert answer.status_code == 401, f"GET /users/me answered {answer.status_code}"


async def test_ready(client, built_app):
    assert built_app.state.ready is True, f"app.state.ready is {built_app.state.ready}"


async def test_same(app, client, built_app):
    assert app is built_app, f"app is {type(app).__name__}, and not built_app"
    built_app.title, built_app.openapi_schema = "probe", None
    answer = await client.get("/openapi.json")
    body = answer.json() if answer.status_code == 200 else {}
    title = body.get("info", {}).get("title")
    assert title == "probe", f"the client talks to another app: /openapi.json answered {answer.status_code}, {title!r}"


def test_base(client):
    base = str(client.base_url).rstrip("/")
    assert base == "http://test/api/v1", f"base_url is {base}"


async def test_database(client):
    body = {"email": "ada@example.com", "username": "ada", "password": "Correct horse"}
    answer = await client.post("/auth/register", json=body)
    assert answer.status_code == 201, f"POST /auth/register answered {answer.status_code}"


async def test_open(client, built_app):
    pass


def test_stopped(seen):
    assert "ready" in seen, "no test with `built_app` came to its end"
    assert seen["ready"] is False, f"after a test app.state.ready is {seen['ready']}"


def test_closed(seen):
    assert "closed" in seen, "no test with `client` came to its end"
    assert seen["closed"] is True, "after a test the client is still open"


def test_anew(client, seen):
    assert all(client is not one for one in seen.get("clients", [])), "two tests got one and the same client"
"""


@exercise("11.1", limit=25)
class TestStarted:
    def test_open_client(self, suite):
        """A test gets an open httpx client, whose paths begin below /api/v1"""
        passes(
            suite,
            STARTED,
            "test_client",
            "test_path",
            "test_base",
            "test_anew",
            hooks=AFTER,
            hints=(
                (
                    "could not be read",
                    "conftest.py raises or warns when it is imported: `pytest()` in the notebook says what",
                ),
                ("client is NoneType", "the fixture comes to its end without a `yield`, or yields nothing"),
                (
                    "is closed already",
                    "`return` leaves the block, and closes the client: `yield` stays in it",
                ),
                ("answered 404|base_url", "paths of tests begin below /api/v1: that is the client's `base_url`"),
                ("one and the same", "without a `scope` a fixture is made anew for each test"),
            ),
            did='a test with `client` sends `await client.get("/users/me")`',
            expected="an open client with the base_url http://test/api/v1; 401, because nobody is signed in",
            why="every test of this chapter sends its requests through this client",
            hint="a client is open inside its own `async with`, and there the `yield` belongs",
        )

    def test_lifespan(self, suite):
        """While a test runs, the app is started: its lifespan has run"""
        passes(
            suite,
            STARTED,
            "test_ready",
            hooks=AFTER,
            did="a test with `client` reads `app.state.ready`",
            expected="True",
            why="without the lifespan there is no database; the first query is a 500",
            hint="while the test runs, the fixture must be inside the lifespan's block: where does `yield` stand?",
        )

    def test_app(self, suite):
        """The client talks to `built_app`, with the settings of the tests"""
        passes(
            suite,
            STARTED,
            "test_same",
            hooks=AFTER,
            hints=(
                (
                    "app is NoneType|app is dict",
                    "the fixture yields the app itself: `lifespan_context(...)` gives none",
                ),
                ("app is ", "the fixture `app` yields `built_app` itself, in its started state"),
                (
                    "another app",
                    "the transport gets the fixture's `app`; app.main.app has other settings",
                ),
            ),
            did="a test with `app` and `client` compares both with `built_app`",
            expected="`app` is `built_app`, and the client's answers come from it",
            why="another app has other settings: your tests would write into a real database",
            hint="every app of a test is `built_app`: `app` yields it, and the client's transport gets it",
        )

    def test_register(self, suite):
        """A request reaches the database"""
        passes(
            suite,
            STARTED,
            "test_database",
            hooks=AFTER,
            did="a test with `client` signs up a user",
            expected="201",
            why="most tests need a user",
            hint="the database is opened by the lifespan: `client` must ask for `app`, which runs it",
        )

    def test_stopped(self, suite):
        """After a test the app is stopped, and the client is closed"""
        passes(
            suite,
            STARTED,
            "test_open",
            "test_stopped",
            "test_closed",
            hooks=AFTER,
            hints=(
                (
                    "app.state.ready",
                    "the app stops when its lifespan's block is left: is it, behind the `yield`?",
                ),
                (
                    "still open",
                    "the client is closed when its `async with` block is left, or by `aclose` behind the `yield`",
                ),
            ),
            did="look at the app and the client when a test is over",
            expected="app.state.ready is False, and the client is closed",
            why="what stays open from one test disturbs the next one, and connections run out",
            hint="what `async with` has opened is closed when its block is left, after the test",
        )


EMPTY = """
from sqlalchemy import Column, ForeignKey, Integer, Table, func, select

from app.db.models import Base

# tables of a later year: a loose one, and one whose rows refer to users
LOOSE = Table("aaa_probe", Base.metadata, Column("id", Integer, primary_key=True))
CHILD = Table("zzz_probe", Base.metadata, Column("user_id", ForeignKey("users.id"), primary_key=True))
USERS = Base.metadata.tables["users"]
BODY = {"email": "ada@example.com", "username": "ada", "password": "Correct horse"}


def test_nothing_of_yesterday(left):
    assert left("users") == 0, f"the test asks for nothing, and there are rows of an earlier run: {left('users')}"


async def test_a_row(app):
    await fill(app, USERS.insert().values(email="a@example.com", username="a", hashed_password="none"))


def test_asks_for_nothing(left):
    assert left("users") == 0, "a test that asks for no fixture of yours finds the rows of the test before"


async def count(app, table):
    async with app.state.session_factory() as session:
        return await session.scalar(select(func.count()).select_from(table))


async def fill(app, statement):
    async with app.state.session_factory.begin() as session:
        await session.execute(statement)


async def test_user_comes(client):
    assert (await client.post("/auth/register", json=BODY)).status_code == 201


async def test_user_is_gone(app):
    found = await count(app, USERS)
    assert found == 0, f"the test before left rows in users: {found}"


async def test_loose_comes(app):
    await fill(app, LOOSE.insert().values(id=1))


async def test_loose_is_gone(app):
    found = await count(app, LOOSE)
    assert found == 0, f"the test before left rows in a table that is new: {found}"


async def test_child_comes(app, client):
    answer = await client.post("/auth/register", json=BODY)
    assert answer.status_code == 201, f"signing up answered {answer.status_code}"
    await fill(app, CHILD.insert().values(user_id=answer.json()["user"]["id"]))


async def test_child_is_gone(app):
    found = await count(app, CHILD), await count(app, USERS)
    assert found == (0, 0), f"the test before left rows: {found[0]} that refer to a user, and {found[1]} users"
"""


NOT_SENT = (("got <bound method", "`delete` is a method of the table: brackets make the statement"),)


# rows that an earlier run has left, and a way to count rows that asks for none of the learner's fixtures
LEFT = """
import pytest
from sqlalchemy import create_engine, func, insert, make_url, select, text

from app.db.models import Base

ROW = {"email": "yesterday@example.com", "username": "yesterday", "hashed_password": "none"}


@pytest.fixture(scope="session")
def engine(settings):
    made = create_engine(make_url(settings.database_url).set(drivername="sqlite"))
    yield made
    made.dispose()


@pytest.fixture(scope="session", autouse=True)
def yesterday(engine):
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(Base.metadata.tables["users"]), ROW)


@pytest.fixture
def left(engine):
    def count(table):
        with engine.connect() as connection:
            return connection.scalar(text(f"SELECT count(*) FROM {table}"))

    return count
"""


@exercise("11.2", limit=25)
class TestEmpty:
    def test_before(self, suite):
        """The tables are emptied before a test: what an earlier run has left disturbs no first test"""
        passes(
            suite,
            EMPTY,
            "test_nothing_of_yesterday",
            hooks=LEFT,
            hints=NOT_SENT,
            did="an earlier run has left a user; the first test counts the users",
            expected="no users",
            why="a run that was interrupted leaves rows, and then the first test fails",
            hint=self.hint_for_rows_of_yesterday(suite),
        )

    @staticmethod
    def hint_for_rows_of_yesterday(suite):
        """Choose the hint by whether a later test finds empty tables."""
        files = {PROBES: EMPTY, "tests/probe/conftest.py": LEFT}
        ran = suite.run([Variant("probe", files=files, paths=(PROBES,))], limit=SECONDS)[0]
        if ran.outcomes.get(f"{PROBES}::test_asks_for_nothing") == "passed":
            return "what stands behind a `yield` runs after the test: empty the tables before it"
        return "is the fixture used by every test, and are its deletions committed?"

    def test_every_test(self, suite):
        """It works for a test that asks for nothing, too"""
        passes(
            suite,
            EMPTY,
            "test_a_row",
            "test_asks_for_nothing",
            hooks=LEFT,
            hints=NOT_SENT,
            did="one test stores a row, the next one asks for no fixture of yours",
            expected="no rows",
            why="a test that must remember to ask for an empty database will forget it one day",
            hint="`autouse=True` makes every test use the fixture; and what it deletes must be committed",
        )

    def test_users(self, suite):
        """A user of one test is gone in the next one"""
        passes(
            suite,
            EMPTY,
            "test_user_comes",
            "test_user_is_gone",
            hooks=LEFT,
            hints=NOT_SENT,
            did="one test signs up a user, the next one counts the users",
            expected="no users",
            why="a test that sees yesterday's rows passes alone and fails in company",
            hint="three things are needed: a statement for each table, somebody who sends it, and a commit at the end",
        )

    def test_all_tables(self, suite):
        """Every table is emptied, also one that your app gets later"""
        passes(
            suite,
            EMPTY,
            "test_loose_comes",
            "test_loose_is_gone",
            hooks=LEFT,
            hints=NOT_SENT,
            did="one test stores a row in a table that is new in Base.metadata, the next one counts",
            expected="no rows",
            why="whoever adds a table will not think of this fixture",
            hint="Base.metadata knows every table that there is, also those that come later: is one skipped?",
        )

    def test_order(self, suite):
        """Rows that refer to a user are deleted before the user"""
        passes(
            suite,
            EMPTY,
            "test_child_comes",
            "test_child_is_gone",
            hooks=LEFT,
            hints=NOT_SENT,
            did="one test stores a row that refers to a user, the next one counts both",
            expected="no rows, and no error",
            why="the database refuses to delete a row that another one still needs; then every test fails",
            hint="the tables are sorted so that they can be made: for deleting, the order is the opposite",
        )


FACTORY = """
import inspect

import pytest

from app.auth.dependencies import get_current_user, get_token_issuer
from app.auth.tokens import TokenIssuer
from app.core.security import pwd_context
from app.db.base import utc_now
from app.users.models import User
from app.users.schemas import Role


async def me(client, person):
    answer = await client.get("/users/me", headers=person.headers)
    return answer.status_code, answer.json()


async def row(app, person):
    async with app.state.session_factory() as session:
        found = await session.get(User, person.id)
    assert found is not None, f"no user has the id {person.id!r}: was it committed?"
    return found


async def test_committed(app, client, make_user):
    await row(app, await make_user("ada"))


async def test_named(app, client, make_user):
    ada = await make_user("ada")
    found = await row(app, ada)
    assert (found.username, ada.username) == ("ada", "ada"), f"stored as {found.username!r}, Person {ada.username!r}"
    assert found.email == "ada@example.com", f"the address is {found.email!r}"


async def test_headers(client, make_user):
    await make_user("bob")
    ada = await make_user("ada")
    status, body = await me(client, ada)
    assert status == 200, f"GET /users/me with the headers answered {status}"
    assert body["username"] == "ada", f"the headers belong to {body['username']!r}"


async def test_unnamed(make_user):
    names = [(await make_user()).username for _ in range(2)]
    assert names == ["user1", "user2"], f"the user names are {names}"


async def test_named_between(make_user):
    names = [(await make_user(name)).username for name in ("ada", "", "bob", "")]
    assert names == ["ada", "user1", "bob", "user2"], f"with names, and without, the users are called {names}"


async def test_fresh_values(app, make_user):
    await make_user("root", role=Role.ADMIN, full_name="Root", is_active=False)
    found = await row(app, await make_user("ada"))
    values = (found.role, found.full_name, found.is_active)
    assert values == (Role.USER, None, True), f"after an admin with a full name, the next user has {values}"


async def test_counts_anew(make_user):
    name = (await make_user()).username
    assert name == "user1", f"in the next test the first name is {name!r}"


async def test_columns(app, client, make_user):
    root = await make_user("root", role=Role.ADMIN, full_name="Root", email="boss@example.com")
    found = await row(app, root)
    values = (found.role, found.full_name, found.email)
    assert values == (Role.ADMIN, "Root", "boss@example.com"), f"the row has {values}"


async def test_hash_column(app, make_user):
    old = pwd_context.copy(bcrypt__rounds=5).hash("x")
    found = await row(app, await make_user(hashed_password=old))
    assert found.hashed_password == old, "the column hashed_password is not the one that was asked for"


async def test_inactive(client, make_user):
    status, body = await me(client, await make_user("eve", is_active=False))
    assert status == 400, f"GET /users/me answered {status} ({body.get('code')})"


async def test_gone(client, make_user):
    status, body = await me(client, await make_user("gone", deleted_at=utc_now()))
    assert status == 401, f"GET /users/me answered {status} ({body.get('code')})"


async def test_password(client, make_user):
    await make_user("ada")
    answer = await client.post("/auth/login", data={"username": "ada", "password": "Correct horse"})
    assert answer.status_code == 200, f"the sign-in with PASSWORD answered {answer.status_code}"


async def test_override(client, app, make_user, override, settings):
    ada = await make_user("ada")
    other = settings.secret_key.__class__("another-key-Zx81qQw7LmN4bVc2TyU9")
    override(get_token_issuer, TokenIssuer(settings.model_copy(update={"secret_key": other})))
    status, _ = await me(client, ada)
    assert status == 401, f"with the issuer of another key, the old token answered {status}"


async def given(app, dependency):
    assert dependency in app.dependency_overrides, "app.dependency_overrides does not hold the dependency"
    value = app.dependency_overrides[dependency]()
    return await value if inspect.isawaitable(value) else value


async def test_override_value(app, override):
    value = {"calls": []}
    override(get_token_issuer, value)
    found = await given(app, get_token_issuer)
    assert found is value, "the dependency gives a copy of the value, and not the value"
    override(get_current_user, None)
    assert await given(app, get_current_user) is None, "override(dependency, None) gives something else than None"
    assert await given(app, get_token_issuer) is value, "a second override has taken the place of the first one"
    override(get_token_issuer, 2)
    found = await given(app, get_token_issuer)
    assert found == 2, f"overridden twice, the dependency gives {found!r} in place of the newer value"
    override(get_token_issuer, list)
    found = await given(app, get_token_issuer)
    assert found is list, f"a value that can be called was called: the dependency gives {found!r}"


async def test_override_is_over(client, app, make_user):
    left = [getattr(one, "__name__", "") for one in app.dependency_overrides]
    assert not left, f"app.dependency_overrides still has {left}"
    status, _ = await me(client, await make_user("ada"))
    assert status == 200, f"GET /users/me answered {status}"
"""


@exercise("11.3", limit=25)
class TestFactory:
    def test_stored(self, suite):
        """`make_user("ada")` stores Ada, committed, with her address, and returns her as a Person"""
        passes(
            suite,
            FACTORY,
            "test_committed",
            did='ada = await make_user("ada")',
            expected="a row that another session finds by the Person's id",
            why="a row that is not committed is not there for the request that follows",
            hint="a session forgets at its end what was not committed; one from `session_factory.begin()` commits",
        )
        passes(
            suite,
            FACTORY,
            "test_named",
            did='ada = await make_user("ada")',
            expected="a row `ada` with ada@example.com, and a Person with this name",
            why="a test that signs in as `ada`, or looks for ada@example.com, finds nobody",
            hint="the name goes into the row, into NAME@example.com and into the Person",
        )

    def test_signed_in(self, suite):
        """The headers sign in this user"""
        passes(
            suite,
            FACTORY,
            "test_headers",
            did="GET /users/me with `ada.headers`",
            expected="200, and Ada",
            why="a test acts as somebody; as the wrong one, it proves the wrong thing",
            hint='{"Authorization": f"Bearer {token}"}; the token is for user.id, read after the session\'s block',
        )

    def test_names(self, suite):
        """Without a name the users are user1, user2, and in each test the count begins anew"""
        passes(
            suite,
            FACTORY,
            "test_unnamed",
            did="await make_user(), twice",
            expected="user1, user2",
            why="a test that needs three users should not have to find names",
            hint="`numbers` counts: each `next(numbers)` is one more than the last one",
        )
        passes(
            suite,
            FACTORY,
            "test_named_between",
            did='await make_user("ada"), make_user(), make_user("bob"), make_user()',
            expected="ada, user1, bob, user2",
            why="the names of a test's users would depend on how many others have names of their own",
            hint="take the next number only for a user without a name",
        )
        passes(
            suite,
            FACTORY,
            "test_counts_anew",
            did="await make_user(), in the next test",
            expected="user1",
            why="the names in one test would depend on how many users the tests before it have made",
            hint="count with `numbers`, which the fixture makes anew for each test",
        )

    def test_columns(self, suite):
        """Columns that the test names go before the usual values"""
        hint = "the usual values first, and over them those of `columns`: in `a | b` the values of `b` win"
        passes(
            suite,
            FACTORY,
            "test_columns",
            did="await make_user(..., role=Role.ADMIN, full_name=..., email=...)",
            expected="a row with exactly these values",
            why="an admin who is stored as a user makes a test prove the opposite",
            hint=hint,
        )
        passes(
            suite,
            FACTORY,
            "test_hash_column",
            did="await make_user(hashed_password=...)",
            expected="a row with exactly this hash",
            why="a test of an old hash would test a new one, and pass",
            hint=hint,
        )
        passes(
            suite,
            FACTORY,
            "test_fresh_values",
            did='an admin with a full name, and then await make_user("ada")',
            expected="a user with the usual values",
            why="what one user was given would be in the next one, too",
            hint="make the usual values anew at each call: one dict for all calls keeps what was put into it",
        )

    def test_inactive(self, suite):
        """Somebody who is switched off or deleted has a token too: 400 and 401"""
        passes(
            suite,
            FACTORY,
            "test_inactive",
            did="GET /users/me with the headers of `await make_user(is_active=False)`",
            expected="400 inactive_user: the token is good, the account is not",
            why="the token of somebody who was dismissed is the very case that you want to test",
            hint="a log-in refuses them: a token is only signed, by TokenIssuer, and asks nobody",
        )
        passes(
            suite,
            FACTORY,
            "test_gone",
            did="GET /users/me with the headers of `await make_user(deleted_at=...)`",
            expected="401: there is nobody behind the token any more",
            why="the token of somebody who was deleted is a case that you want to test, too",
            hint="a log-in refuses them: a token is only signed, by TokenIssuer, and asks nobody",
        )

    def test_password(self, suite):
        """The password of a user is PASSWORD, stored as a hash"""
        passes(
            suite,
            FACTORY,
            "test_password",
            did="POST /auth/login as a user that the factory made",
            expected="200",
            why="tests of signing in need users too",
            hint="the column holds a hash: hash_password makes one of PASSWORD, and must be awaited",
        )

    def test_override(self, suite):
        """`override` puts a value in the place of a dependency"""
        passes(
            suite,
            FACTORY,
            "test_override",
            did="override(get_token_issuer, an issuer with another key), then a request with an older token",
            expected="401: the app reads tokens with the other issuer",
            why="a test could not replace what it cannot control: for an expired token it would have to wait",
            hint="FastAPI calls what stands in a dependency's place: a function, which gives the value",
        )
        passes(
            suite,
            FACTORY,
            "test_override_value",
            did="override a dependency, and look at what it gives",
            expected="the very value that the test has, and the newest one",
            why="a test changes its object, to play a later moment, and the app would not see it",
            hint="give the value itself, at the time when the dependency is asked",
        )

    def test_override_ends(self, suite):
        """In the next test the override is gone"""
        passes(
            suite,
            FACTORY,
            "test_override_is_over",
            did="look at app.dependency_overrides in the next test, and send a request",
            expected="no overrides",
            why="built_app lives for the whole run: every later test would meet a faked app",
            hint="who takes the override back? `monkeypatch` does, for what it has set itself",
        )
