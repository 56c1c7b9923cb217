"""Fixtures that the checks of several chapters share. Each is built from the learner's own code, by name."""

import gc
import logging
import sys
import time
import traceback
import warnings
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from course_checks.endings import Ending, Endings, frames_now
from course_checks.models import load_models, models_that_fit
from course_checks.outage import Outage, engine_of
from course_checks.people import People, sign_in
from course_checks.rows import Snapshot
from course_checks.statements import sent_by
from course_checks.visits import Quick, exists, running

PASSWORDS = 7  # the chapter


# The app logs the traceback of an unexpected error (chapter 06); the feedback names it without this in its panel.
logging.getLogger("app.core.middleware").addHandler(logging.NullHandler())


@pytest.fixture(autouse=True)
def _no_limits(monkeypatch):
    """Switch the rate limits of chapter 13 off: a check may try as often as it likes, unless it asks for them."""
    monkeypatch.setenv("RATE_LIMIT_ENABLED", "false")


@pytest.fixture
def load(load, request):
    """The engine's loader; in the chapters before passwords, hashing one takes no time."""
    chapter = request.node.get_closest_marker("exercise").args[0].split(".")[0]
    return Quick(load) if int(chapter) < PASSWORDS else load


@pytest.fixture
async def sessions(load):
    """A factory of sessions on a fresh in-memory database with every table (chapter 03).

    The database lives in one connection, so sessions take turns: end one (`async with`, commit, close)
    before another one, or a request, needs the database.
    """
    base, session_module = load_models(load), load("db.session")
    engine = session_module.make_engine("sqlite+aiosqlite://")
    try:
        with models_that_fit("make the tables of the models"):
            async with engine.begin() as connection:
                await connection.run_sync(base.metadata.create_all)
        yield session_module.make_session_factory(engine)
    finally:
        await engine.dispose()


@pytest.fixture
async def db(sessions):
    """An AsyncSession on a fresh in-memory database with every table (chapter 03)."""
    async with sessions() as session:
        yield session


@pytest.fixture
def statements(db):
    """The SQL that `db` has sent since the check began, a text for each statement; `clear()` it to begin again."""
    with sent_by(db) as sent:
        yield sent


@pytest.fixture
def broken_database():
    """Let the statements of a session, or of an app's requests, raise OperationalError while a block runs.

    `with broken_database(db) as broken:` breaks everything, `broken_database(client.sessions, "insert", "commit")`
    these kinds only. Inside: `await broken.passes(crud.get(db, 1), did="get(session, 1)", at=crud.get)`, or
    `broken.is_500(await api.get("/users"))`, on a client that does not raise (`api`, `visitor`).
    """

    @contextmanager
    def broken(source, *kinds):
        engine, outage = engine_of(source), Outage(kinds)
        event.listen(engine, "before_cursor_execute", outage.on_statement)
        event.listen(engine, "commit", outage.on_commit)
        try:
            yield outage
        finally:
            event.remove(engine, "before_cursor_execute", outage.on_statement)
            event.remove(engine, "commit", outage.on_commit)

    return broken


@pytest.fixture
def endings():
    """The commits and rollbacks that the learner's code asks for while the check runs: a list of `Ending`.

    What a check does by itself is not in it, nor a SAVEPOINT's end, nor what a failed flush rolls back. Read `kind`,
    `file` ("users/crud.py"), `function`, `line`; `endings.clear()` begins anew. After the learner's code has run,
    `endings.none(did="create(session, data)", at=crud.create)`; after a request too: get_session may commit.
    """
    found = Endings()

    def note(kind, session):
        if session.in_nested_transaction() or "app" not in sys.modules:
            return
        folder = str(Path(sys.modules["app"].__file__).parent)
        for frame in frames_now():
            path = frame.f_code.co_filename
            if frame.f_code.co_name == "_flush" and frame.f_globals.get("__name__") == "sqlalchemy.orm.session":
                return
            if Path(path).is_relative_to(folder):
                found.append(Ending(kind, frame, Path(path).relative_to(folder).as_posix()))
                return

    def committed(session):
        note("commit", session)

    def rolled_back(session):
        note("rollback", session)

    event.listen(Session, "after_commit", committed)
    event.listen(Session, "after_rollback", rolled_back)
    yield found
    event.remove(Session, "after_commit", committed)
    event.remove(Session, "after_rollback", rolled_back)


@pytest.fixture
def snapshot():
    """Read all tables, by `await snapshot(db)` or `await snapshot(client.sessions)`, without a flush.

    `before = await snapshot(db)`, the learner's code, then
    `(await snapshot(db)).same(before, but=["users/1"], did="delete(session, user)", at=crud.delete)`.
    A name is a table ("items"), a row ("users/1"), or a value ("users/1/email"); `changes(before)` lists what differs.
    """

    async def read(connection):
        found = Snapshot()
        names = (await connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'"))).scalars().all()
        for name in names:
            for row in (await connection.execute(text(f'SELECT rowid AS "rowid ", * FROM "{name}"'))).mappings():
                found |= {f"{name}/{row['rowid ']}/{key}": value for key, value in row.items() if key != "rowid "}
        return found

    async def take(source):
        source = getattr(source, "sessions", source)
        if isinstance(source, AsyncSession):
            return await read(await source.connection())
        async with source() as session:
            return await read(await session.connection())

    return take


@pytest.fixture
def later(monkeypatch):
    """Move the clock of the learner's modules, and of python-jose, on: `later(minutes=31)`."""

    def move(**span):
        by, real = timedelta(**span), time.time

        class Moved(datetime):
            @classmethod
            def now(cls, tz=None):
                return datetime.now(tz) + by

            @classmethod
            def utcnow(cls):
                return datetime.now(UTC).replace(tzinfo=None) + by

        for name, module in list(sys.modules.items()):
            ours = name in ("app", "jose.jwt") or name.startswith("app.")
            if ours and vars(module).get("datetime") is datetime:
                monkeypatch.setattr(module, "datetime", Moved)
        monkeypatch.setattr(time, "time", lambda: real() + by.total_seconds())

    return move


@pytest.fixture
def quiet():
    """Give a context manager that catches what its block raises, as `caught.error`, or None.

    A MissingGreenlet leaves a coroutine of the database driver behind. It is collected here, so that the engine
    does not take it for a call of the learner's that lacks its `await`.
    """

    @contextmanager
    def catch():
        caught = SimpleNamespace(error=None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                yield caught
            except Exception as error:
                caught.error = error
                while error is not None:
                    traceback.clear_frames(error.__traceback__)
                    error = error.__cause__ or error.__context__
            if caught.error is not None:
                gc.collect()

    return catch


@pytest.fixture
def open_api(load, connect):
    """Open a client on an app of its own, by default with an empty in-memory database.

    `async with open_api() as api:` does.
    From the chapter on in which one can sign in, the client is signed in as an admin. `api.app` is the app,
    `api.sessions` its session factory. An unhandled exception is a 500, as a server would answer, and the feedback
    names it. `open_api(database_url="sqlite:///race.db")` gives requests connections of their own.
    """

    @asynccontextmanager
    async def open_one(database_url="sqlite+aiosqlite://"):
        async with running(load, connect, database_url) as client:
            if exists("app.auth"):
                await sign_in(load, client)
            yield client

    return open_one


@pytest.fixture
async def api(open_api):
    """A client on the app with an empty in-memory database; once there is `app.auth`, an admin's (chapter 05)."""
    async with open_api() as client:
        yield client


# ------------------------------------------------------------------------------------------ chapters 09 and later


@pytest.fixture
def open_visit(load, connect):
    """Give `async with open_visit() as visitor:` a client that nobody has signed in, on an app of its own.

    Like `open_api`, but the database stays empty: `visitor.app` is the app, `visitor.sessions` its session factory.
    """

    def open_one(database_url="sqlite+aiosqlite://", **values):
        return running(load, connect, database_url, **values)

    return open_one


@pytest.fixture
async def visitor(open_visit):
    """A client that nobody has signed in, on the learner's app with an empty in-memory database (chapter 09)."""
    async with open_visit() as client:
        yield client


@pytest.fixture
def people(load, visitor):
    """Users of the `visitor`'s app: `ada = await people.add("ada")`, and then `headers=ada.headers` signs her in."""
    return People(load, visitor)
