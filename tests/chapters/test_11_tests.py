"""Checks of chapter 11: the learner's fixtures are probed, the learner's tests run on right and on broken apps."""

import ast
import re
from pathlib import Path

import pytest

from workbook import expect
from workbook.checks import exercise
from workbook.suite import Variant

SECONDS = 20  # for one run; on a quiet machine it is one
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


# ------------------------------------------------------------------------------------------- right apps and broken ones


class Trial:
    """The learner's test file on right apps, and then on broken ones.

    Args:
        path: the file, below `app`.
        rewritten: cells that say the same in another way; the result is the second right app.
        broken: cells by name; each text may hold several cells.
        name: what the exercise asks to write there.
    """

    def __init__(self, path, rewritten, broken, name):
        self.path, self.name = path, name
        self.right = [
            self._variant("the right app", ""),
            self._variant("the right app, written differently", rewritten),
        ]
        self.broken = {name: self._variant(name, cells) for name, cells in broken.items()}

    def _variant(self, name, text):
        cells = tuple(f"%%app {cell}" for cell in text.strip().split("%%app ")[1:])
        return Variant(name, cells=cells, paths=(self.path,), first_failure=True)

    def passes(self, suite, number):
        """Expect the tests to pass on a right app."""
        ran = suite.run(self.right, limit=SECONDS)[number]
        self._first_on(suite, self.right[:number])
        expect.that(
            ran.good,
            did=f"pytest app/{self.path}, on {ran.name}",
            got=ran.summary(),
            expected="every test passes, and there is at least one",
            why="a test that fails on a right app is a false alarm; soon nobody looks any more"
            if ran.first
            else "tests that do not run notice nothing",
            hint=self._repair(number, ran),
            fault=ran.fault,
        )

    def _first_on(self, suite, variants):
        """Expect the tests to pass on these apps before another one is tried."""
        if not all(ran.good for ran in suite.run(variants, limit=SECONDS)):
            raise expect.Wrong(did=f"not tried: app/{self.path} must pass on a right app first")

    def _repair(self, number, ran):
        if not ran.first:
            return f'run `pytest("app/{self.path}")` in the notebook: it says why nothing runs; names begin with test_'
        if number == 0:
            return "run pytest in the notebook; compare what the test asks for with the table above the exercise"
        return "compare `status_code`, `code` and values; not the words of `detail`, and not the app's source text"

    def catches(self, suite, load, name, *, row="", fault="", why, hint):
        """Expect the tests to fail on a broken app; before that, they must pass on the right ones.

        Args:
            row: the row of the table that is about it.
            fault: who can do what in this app.
        """
        self._first_on(suite, self.right)
        found = dict(zip(self.broken, suite.run(list(self.broken.values()), limit=SECONDS), strict=True))[name]
        if found.caught:
            return
        text = Path(load("tests").__file__).parents[1].joinpath(self.path).read_text("utf-8")
        at = getattr(load(self.path.removesuffix(".py").replace("/", ".")), self.name, None)
        names, silent = tests_of(text)
        if names == silent:
            raise expect.Wrong(
                did=f"pytest app/{self.path}, on apps with faults",
                got=f"nobody noticed: {' and '.join(silent)} without a single `assert`",
                expected="each test compares what came back with what should come back",
                why="a test without a question runs everything and notices nothing",
                hint="end the test with an `assert` that compares what came back with what is right",
                at=at,
            )
        raise expect.Wrong(
            did=f"pytest app/{self.path}, on an app with this fault",
            got=f"nobody noticed: {found.summary()}"
            + (f"; without an `assert`: {', '.join(silent)}" if silent else ""),
            expected=f"at least one test fails, because {fault}" if fault else "at least one test fails",
            why=why,
            hint=hint_for_a_row(text, row) if row and row in text else hint,
            at=at,
        )


def hint_for_a_row(text, row):
    """Choose the hint where the table has the row, and still nobody notices: the comparison lets it pass."""
    asserted = [node for one in ast.walk(ast.parse(text)) if isinstance(one, ast.Assert) for node in ast.walk(one.test)]
    if any(isinstance(node, ast.In) for node in asserted):
        return "`in` is content with any of the three: compare who asked with what this person should get, by `==`"
    if row.startswith(("DELETE", "PATCH", "POST")):
        return f'the row "{row}" is there: do all three ask, and the admin, whose request changes something, last?'
    return f'the row "{row}" is there: is each of the three statuses compared, exactly, with that of the row?'


def tests_of(text):
    """Return the names of a file's tests, and of those that ask nothing: no `assert`, not even in what they call."""
    functions = [one for one in ast.walk(ast.parse(text)) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
    asking = {"raises", "fail", "raise_for_status"}
    for _ in functions:
        asking |= {one.name for one in functions if any(_asks(node, asking) for node in ast.walk(one))}
    names = [one.name for one in functions if one.name.startswith("test_")]
    return names, [name for name in names if name not in asking]


def _asks(node, asking):
    called = getattr(node, "id", getattr(node, "attr", ""))
    return isinstance(node, ast.Assert | ast.Raise) or called in asking


# The same rules, said in another way; and other words for people.
REWRITTEN = '''
%%app users/permissions.py --merge
def has_permission(user: User, *permissions: str) -> bool:
    """Say whether the user has all these permissions."""
    allowed = ROLE_PERMISSIONS.get(user.role, frozenset())
    return user.is_superuser or all(one in allowed for one in permissions)

%%app users/models.py --merge
class User(TimestampMixin, SoftDeleteMixin, Base):
    @validates("email", "username")
    def fold_case(self, _key: str, value: str) -> str:
        """Store lower case only."""
        return "".join(letter.lower() for letter in value)

%%app auth/dependencies.py --merge
async def get_current_active_user(user: Annotated[User, Depends(get_current_user)]) -> User:
    """Return the current user, unless the account is switched off."""
    if user.is_active:
        return user
    raise InactiveUser

%%app items/service.py --merge
from sqlalchemy import true


class ItemService:
    def visible(self) -> list[ColumnElement[bool]]:
        """Return the condition of what this user may see."""
        everything = has_permission(self.user, Permission.MANAGE_ITEMS)
        return [true() if everything else Item.owner_id == self.user.id]

%%app db/session.py --merge
async def get_session(request: Request) -> AsyncIterator[AsyncSession]:
    """Give a request its own session; commit, unless an error says otherwise."""
    async with request.app.state.session_factory() as session:
        try:
            yield session
        except Exception as error:
            if getattr(error, "keep_changes", False):
                await session.commit()
            else:
                await session.rollback()
            raise
        else:
            await session.commit()

%%app auth/exceptions.py --merge
class InvalidCredentials(NotAuthenticated):
    detail = "We do not know this combination of name and secret."

class InactiveUser(DomainError):
    detail = "Somebody has switched this account off."

class InvalidRefreshToken(NotAuthenticated):
    detail = "Please sign in again."

%%app users/exceptions.py --merge
class UserExists(Conflict):
    detail = "Choose another name or address."

class LastAdmin(Conflict):
    detail = "Somebody must stay."

class UserNotFound(NotFound):
    detail = "Nobody is called that."

%%app items/exceptions.py --merge
class ItemNotFound(NotFound):
    detail = "Nothing is here."

%%app core/exceptions.py --merge
class Forbidden(DomainError):
    detail = "That is for others."
'''

ACCESS = Trial(
    "tests/test_access.py",
    REWRITTEN,
    {
        "list": """
%%app users/permissions.py --merge
ROLE_PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.ADMIN: frozenset(Permission),
    Role.USER: frozenset({Permission.READ_USERS}),
}
""",
        "create": '''
%%app users/router.py --merge
from fastapi import Request

from app.auth.dependencies import TokenIssuerDep, get_current_user
from app.core.exceptions import Forbidden
from app.db.session import SessionDep
from app.users.permissions import has_permission


async def refuse_users(request: Request, tokens: TokenIssuerDep, session: SessionDep) -> None:
    """Look at who is signed in, and forget those who are not."""
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if token and not has_permission(
        await get_current_user(token, tokens, session), Permission.WRITE_USERS
    ):
        raise Forbidden


WhoIsSignedIn = Annotated[None, Depends(refuse_users)]


@router.post("", response_model=UserPublic, status_code=status.HTTP_201_CREATED)
async def create_user(
    data: UserCreate, service: UserServiceDep, background: BackgroundTasks, _: WhoIsSignedIn
) -> User:
    """Create a user."""
    return await service.create(data)
''',
        "delete": '''
%%app users/router.py --merge
@router.delete("/{user_id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_user(user: UserById, service: UserServiceDep, me: CurrentUser) -> None:
    """Delete a user."""
    await service.delete(user)
''',
        "exists": '''
%%app users/dependencies.py --merge
async def visible_user_id(
    user_id: UserId, current_user: CurrentUser, service: UserServiceDep
) -> User:
    """Return yourself, or for admins anybody."""
    user = await service.get(user_id)
    if user_id != current_user.id and not has_permission(current_user, Permission.READ_USERS):
        raise Forbidden
    return user
''',
        "change": '''
%%app items/router.py --merge
from app.auth.dependencies import CurrentUser
from app.db.session import SessionDep
from app.items.crud import item_crud
from app.items.exceptions import ItemNotFound


@router.patch("/{item_id}", response_model=ItemPublic)
async def update_item(
    item_id: int, data: ItemUpdate, session: SessionDep, user: CurrentUser
) -> Item:
    """Change the fields that are sent."""
    item = await item_crud.get(session, item_id)
    if item is None:
        raise ItemNotFound
    return await item_crud.update(session, item, data)
''',
        "update": '''
%%app users/router.py --merge
@router.patch("/{user_id}", response_model=UserPublic)
async def update_user(
    user: UserById, data: AdminUserUpdate, service: UserServiceDep, me: CurrentUser
) -> User:
    """Change the fields that are sent."""
    return await service.update(user, data)
''',
        "read": '''
%%app items/router.py --merge
from app.auth.dependencies import CurrentUser
from app.db.session import SessionDep
from app.items.crud import item_crud
from app.items.exceptions import ItemNotFound


@router.get("/{item_id}", response_model=ItemPublic)
async def read_item(item_id: int, session: SessionDep, user: CurrentUser) -> Item:
    """Read one item."""
    item = await item_crud.get(session, item_id)
    if item is None:
        raise ItemNotFound
    return item
''',
        "remove": '''
%%app items/router.py --merge
from app.auth.dependencies import CurrentUser
from app.db.session import SessionDep
from app.items.crud import item_crud
from app.items.exceptions import ItemNotFound


@router.delete("/{item_id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_item(item_id: int, session: SessionDep, user: CurrentUser) -> None:
    """Delete an item."""
    item = await item_crud.get(session, item_id)
    if item is None:
        raise ItemNotFound
    await item_crud.delete(session, item)
''',
        "help": '''
%%app items/service.py --merge
class ItemService:
    def visible(self) -> list[ColumnElement[bool]]:
        """Return the condition of what this user may see."""
        return [Item.owner_id == self.user.id]
''',
    },
    "test_access",
)


@exercise("11.4", limit=25)
class TestAccess:
    @pytest.fixture(autouse=True)
    def in_memory(self, monkeypatch):
        """Give every app a database in memory: eleven apps run here, and a table needs no file."""
        monkeypatch.setenv("TEST_DATABASE_URL", "sqlite://")

    def test_right(self, suite):
        """Your table passes on a right app"""
        ACCESS.passes(suite, 0)

    def test_rewritten(self, suite):
        """Your table passes on a right app that is written differently"""
        ACCESS.passes(suite, 1)

    def test_list(self, suite, load):
        """Caught: every user of the app can read the e-mail addresses of all others"""
        ACCESS.catches(
            suite,
            load,
            "list",
            row="GET /users",
            fault="a user can read the list of all users",
            why="one permission too many for a role is a leak of everybody's data",
            hint="try what a user gets who asks for all users",
        )

    def test_create(self, suite, load):
        """Caught: strangers make accounts for other people"""
        ACCESS.catches(
            suite,
            load,
            "create",
            row="POST /users",
            fault="a visitor can make a user",
            why="a route that lost its guard works well, for everybody",
            hint="try what a visitor and a user get who make a user",
        )

    def test_update(self, suite, load):
        """Caught: Ada is angry with Bob, and now Bob has another name and another address"""
        ACCESS.catches(
            suite,
            load,
            "update",
            row="PATCH /users/{bob}",
            fault="a user can change another user",
            why="with another e-mail address, and perhaps another password, the account belongs to somebody else",
            hint="try what a user gets who changes another user",
        )

    def test_delete(self, suite, load):
        """Caught: Ada is angry with Bob, and now Bob has no account"""
        ACCESS.catches(
            suite,
            load,
            "delete",
            row="DELETE /users/{bob}",
            fault="a user can delete another user",
            why="being signed in is not the same as being allowed",
            hint="try what a user gets who deletes another user",
        )

    def test_exists(self, suite, load):
        """Caught: somebody counts your customers, by trying one number after the other"""
        ACCESS.catches(
            suite,
            load,
            "exists",
            row="GET /users/{bob}",
            fault="a user who reads another user gets a 403",
            why="a 403 says: there is such a user; a 404 says nothing",
            hint="try what a user gets who reads another user, and compare the exact status: 404",
        )

    def test_read(self, suite, load):
        """Caught: Bob's diary was read by somebody else"""
        ACCESS.catches(
            suite,
            load,
            "read",
            row="GET /items/{item}",
            fault="a user can read somebody else's item",
            why="ids are small numbers: whoever tries 1, 2, 3 and so on reads everything",
            hint="try what a user gets who reads the item of another user",
        )

    def test_change(self, suite, load):
        """Caught: the price of Bob's item was changed by somebody else"""
        ACCESS.catches(
            suite,
            load,
            "change",
            row="PATCH /items/{item}",
            fault="a user can change somebody else's item",
            why="reading was guarded and changing was not; this is the most frequent hole in web APIs",
            hint="try what a user gets who changes the item of another user: the user must not be its owner",
        )

    def test_remove(self, suite, load):
        """Caught: Bob's item is gone, and Bob did not delete it"""
        ACCESS.catches(
            suite,
            load,
            "remove",
            row="DELETE /items/{item}",
            fault="a user can delete somebody else's item",
            why="what is deleted cannot be read again to see what it was",
            hint="try what a user gets who deletes the item of another user",
        )

    def test_help(self, suite, load):
        """Caught: support cannot help, because an admin does not see what the customer sees"""
        ACCESS.catches(
            suite,
            load,
            "help",
            row="GET /items/{item}",
            fault="an admin cannot see somebody else's item",
            why="a guard that keeps out the right people is a fault as well",
            hint="try what an admin gets for somebody else's item, and send the admin's headers",
        )


COMPLAINTS = Trial(
    "tests/test_complaints.py",
    REWRITTEN,
    {
        "twin": '''
%%app users/models.py --merge
class User(TimestampMixin, SoftDeleteMixin, Base):
    @validates("email", "username")
    def fold_case(self, _key: str, value: str) -> str:
        """Store the value as it comes."""
        return value

%%app users/schemas.py --merge
Email = Annotated[EmailStr, AfterValidator(str.strip)]
''',
        "hash": """
%%app users/schemas.py --merge
class UserPublic(BaseModel):
    hashed_password: str
""",
        "dismissed": '''
%%app auth/dependencies.py --merge
async def get_current_active_user(user: Annotated[User, Depends(get_current_user)]) -> User:
    """Return the current user."""
    return user
''',
        "refresh": '''
%%app auth/tokens.py --merge
from contextlib import suppress

from app.core.security import InvalidToken


@dataclass(frozen=True)
class TokenIssuer:
    def read(self, token: str, token_type: TokenType) -> TokenClaims:
        """Return the claims of a valid token."""
        with suppress(InvalidToken):
            return decode_token(token, self.key, TokenType.REFRESH)
        return decode_token(token, self.key, token_type)
''',
        "pen": '''
%%app items/service.py --merge
class ItemService:
    async def get_page(self, page: ItemPage) -> tuple[list[Item], int]:
        """Return one page of items, and how many there are in all."""
        where = [item_crud.matches(page.q)] if page.q else []
        items = await item_crud.get_multi(
            self.session, skip=page.skip, limit=page.limit, sort=page.sort, where=where
        )
        return items, await item_crud.count(self.session, where=where)
''',
        "admin": '''
%%app users/service.py --merge
class UserService:
    @asynccontextmanager
    async def _keeping_an_admin(self, user: User) -> AsyncIterator[None]:
        """Let every change pass."""
        yield
''',
        "known": '''
%%app auth/service.py --merge
class UnknownUser(InvalidCredentials):
    """Nobody has this name."""

    detail = "There is no account with this name."


class AuthService:
    async def login(self, identifier: str, password: str) -> TokenPair:
        """Sign in by e-mail or user name."""
        user = await user_crud.get_by_identifier(self.session, identifier)
        if user is None:
            raise UnknownUser
        valid, _ = await verify_password(password, user.hashed_password)
        if not valid:
            raise InvalidCredentials
        if not user.is_active:
            raise InactiveLogin
        return await self._start_session(user)
''',
        "lost": '''
%%app db/session.py --merge
async def get_session(request: Request) -> AsyncIterator[AsyncSession]:
    """Give a request its own session; what makes something new is committed."""
    async with request.app.state.session_factory() as session:
        yield session
        if request.method == "POST":
            await session.commit()
''',
    },
    "TestComplaints",
)


@exercise("11.5", limit=25)
class TestComplaints:
    def test_right(self, suite):
        """Your tests pass on a right app"""
        COMPLAINTS.passes(suite, 0)

    def test_rewritten(self, suite):
        """Your tests pass on a right app that is written differently, with other words for people"""
        COMPLAINTS.passes(suite, 1)

    def test_twin(self, suite, load):
        """Caught, letter 1: one person has two accounts, and the orders are in the other one"""
        COMPLAINTS.catches(
            suite,
            load,
            "twin",
            why="a telephone begins every word with a capital letter; people do not notice",
            hint="the address is the same, the spelling is not, and nothing else may be the reason for the 409",
        )

    def test_hash(self, suite, load):
        """Caught, letter 2: an answer holds enough to guess a password at home"""
        COMPLAINTS.catches(
            suite,
            load,
            "hash",
            why="who has the hash can try a million passwords, and your server never notices",
            hint="ask what an answer must NOT hold; `answer.text` is the whole body",
        )

    def test_dismissed(self, suite, load):
        """Caught, letter 3: he was switched off in the morning, and read everything in the afternoon"""
        COMPLAINTS.catches(
            suite,
            load,
            "dismissed",
            why="a token lives for 30 minutes or more; switching off must work at once",
            hint="`make_user(is_active=False)` has headers; a request with them is a 400",
        )

    def test_refresh(self, suite, load):
        """Caught, letter 4: a stolen refresh token opens everything for 14 days"""
        COMPLAINTS.catches(
            suite,
            load,
            "refresh",
            why="an access token is short-lived on purpose; this makes all tokens long-lived",
            hint="send the refresh token of a sign-up in the Authorization header: 401",
        )

    def test_pen(self, suite, load):
        """Caught, letter 5: in my list is somebody else's pen"""
        COMPLAINTS.catches(
            suite,
            load,
            "pen",
            why="what one may not read alone, one may not read in a list either",
            hint="one user makes an item, another one asks for GET /items",
        )

    def test_admin(self, suite, load):
        """Caught, letter 6: nobody in the company can manage users any more"""
        COMPLAINTS.catches(
            suite,
            load,
            "admin",
            why="only somebody with access to the database can repair this",
            hint="let the only admin delete the own account: 409",
        )

    def test_known(self, suite, load):
        """Caught, letter 7: a stranger finds out who is a customer"""
        COMPLAINTS.catches(
            suite,
            load,
            "known",
            why="the two answers differ, so a list of addresses can be tried one by one",
            hint="sign in twice with a wrong password, once as somebody who exists; compare `code` and `detail`",
        )

    def test_lost(self, suite, load):
        """Caught, letter 8: a change was confirmed, and on the next day it was gone"""
        COMPLAINTS.catches(
            suite,
            load,
            "lost",
            why="the answer came from memory, the database knows nothing",
            hint="the answer to the change is no proof: who asks on the next day sends a second request",
        )


GAPS = Trial(
    "tests/test_gaps.py",
    REWRITTEN,
    {
        "copied": '''
%%app db/session.py --merge
async def get_session(request: Request) -> AsyncIterator[AsyncSession]:
    """Give a request its own session, and commit when the route has returned."""
    async with request.app.state.session_factory() as session:
        yield session
        await session.commit()
''',
        "old": '''
%%app auth/service.py --merge
class AuthService:
    async def login(self, identifier: str, password: str) -> TokenPair:
        """Sign in by e-mail or user name; never say which of the two was wrong."""
        user = await user_crud.get_by_identifier(self.session, identifier)
        valid, _ = await verify_password(password, user.hashed_password if user else None)
        if user is None or not valid:
            raise InvalidCredentials
        if not user.is_active:
            raise InactiveLogin
        return await self._start_session(user)
''',
        "reset": '''
%%app users/service.py --merge
class UserService:
    async def update(self, user: User, data: UserUpdate) -> User:
        """Change what was sent; a new password is stored as a hash."""
        values = {}
        if isinstance(data, AdminUserUpdate) and data.password is not None:
            values["hashed_password"] = await hash_password(data.password)
        async with self._keeping_an_admin(user):
            with refuse_duplicates():
                await user_crud.update(self.session, user, data, **values)
        if not user.is_active:
            await login_session_crud.end_all(self.session, user.id)
        return user
''',
    },
    "TestGaps",
)


@exercise("11.6", limit=25)
class TestGaps:
    def test_right(self, suite):
        """Your tests pass on a right app"""
        GAPS.passes(suite, 0)

    def test_rewritten(self, suite):
        """Your tests pass on a right app that is written differently"""
        GAPS.passes(suite, 1)

    def test_copied(self, suite, load):
        """Caught, place 1: a thief with a copied token stays signed in, although the copy was noticed"""
        GAPS.catches(
            suite,
            load,
            "copied",
            why="the 401 was given, but what it should change was rolled back",
            hint="the 401 for the copy is right on this app, too: what must not work any more after it?",
        )

    def test_old(self, suite, load):
        """Caught, place 2: years after the cost was raised, the old cheap hashes are still there"""
        GAPS.catches(
            suite,
            load,
            "old",
            why="sign-in is the only moment in which the app knows the password",
            hint="the answer to the sign-in is the same on both apps: the difference is in the row",
        )

    def test_reset(self, suite, load):
        """Caught, place 3: an admin sets a new password, and the thief is still signed in"""
        GAPS.catches(
            suite,
            load,
            "reset",
            why="people change a password because somebody else knows it",
            hint="the change works on this app, too: what did the thief have before it, and what is it worth now?",
        )
