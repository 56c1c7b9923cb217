"""Fixtures that the checks of several chapters share. Each is built from the learner's own code, by name."""

import gc
import importlib
import importlib.util
import logging
import sqlite3
import sys
import time
import traceback
import warnings
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace, TracebackType

import greenlet
import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, configure_mappers

from workbook import diagnose, expect

SECRET_KEY = "k8Jd72hLq09ZxC4vBn6MwE3rTy5UiOpA"
PASSWORDS = 7  # the chapter
MODELS = ("users.models", "items.models", "auth.models")

# The app logs the traceback of an unexpected error (chapter 06); the feedback names it without this in its panel.
logging.getLogger("app.core.middleware").addHandler(logging.NullHandler())


@pytest.fixture(autouse=True)
def _no_limits(monkeypatch):
    """Switch the rate limits of chapter 13 off: a check may try as often as it likes, unless it asks for them."""
    monkeypatch.setenv("RATE_LIMIT_ENABLED", "false")


def exists(name):
    """Say whether the learner's package has this module by now; its parent may be missing too."""
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def load_models(load):
    """Import every model that the learner's package has by now, and return its `Base`."""
    base = load("db.base").Base
    folder = Path(importlib.import_module("app").__file__).parent
    for name in MODELS:
        if folder.joinpath(*name.split(".")).with_suffix(".py").is_file():
            load(name)
    with models_that_fit("connect the models with each other"):
        _ = [key.column for table in base.metadata.tables.values() for key in table.foreign_keys]
        configure_mappers()
    return base


class Quick:
    """A loader whose apps start quickly, also when they warm up their hashing by then (chapter 07)."""

    def __init__(self, load):
        self._load = load

    def __call__(self, name):
        """Import a module of the learner's package."""
        module = self._load(name)
        hash_cheaply()
        return module

    def fresh(self, name):
        """Import the whole package anew, as a new process would."""
        module = self._load.fresh(name)
        hash_cheaply()
        return module


@pytest.fixture
def load(load, request):
    """The engine's loader; in the chapters before passwords, hashing one takes no time."""
    chapter = request.node.get_closest_marker("exercise").args[0].split(".")[0]
    return Quick(load) if int(chapter) < PASSWORDS else load


NO_FIT = [
    ("passive_deletes", '"all" is a word of cascade, and passive_deletes is True or False'),
    ("cascade", "compare the words of cascade with the text, letter by letter"),
    ("", 'compare names and spelling: ForeignKey("users.id"), and back_populates on both ends'),
]


@contextmanager
def models_that_fit(did):
    """Turn what SQLAlchemy says of the models into a wrong answer."""
    try:
        yield
    except SQLAlchemyError as error:
        raise expect.Wrong(
            did=did,
            got=f"{type(error).__name__}: {' '.join(str(error).split())[:200]}",
            expected="every foreign key and every relationship finds its other end, and every table can be made",
            why="the app would fail at its first query",
            hint=next(hint for part, hint in NO_FIT if part in str(error)),
        ) from None


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
    sent = []

    def note(_connection, _cursor, statement, _parameters, _context, _many):
        sent.append(statement)

    engine = db.bind.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    yield sent
    event.remove(engine, "before_cursor_execute", note)


def engine_of(source):
    """Return the engine behind a session, a session factory, or a client with `sessions`."""
    source = getattr(source, "sessions", source)
    return (source.bind if isinstance(source, AsyncSession) else source.kw["bind"]).sync_engine


def kind_of(context, statement):
    """Return "insert", "update", "delete" or "select", whatever the statement begins with."""
    for name in ("insert", "update", "delete"):
        if getattr(context, f"is{name}", False) or statement.lstrip().lower().startswith(name):
            return name
    return "select"


class Outage:
    """A database whose statements fail, made by the fixture `broken_database`.

    Args:
        kinds: what fails: "select", "insert", "update", "delete", "commit"; everything when empty.
    """

    message = "disk I/O error"

    def __init__(self, kinds):
        self.kinds, self.failures = kinds, 0

    def on_statement(self, _connection, _cursor, statement, _parameters, context, _many):
        """Fail in place of a statement."""
        if self._fails(kind_of(context, statement)):
            self._fail(statement)

    def on_commit(self, connection):
        """Fail in place of a COMMIT; nothing of the transaction stays."""
        if self._fails("commit"):
            connection.connection.rollback()
            self._fail("COMMIT")

    def _fails(self, kind):
        return not self.kinds or kind in self.kinds

    def _fail(self, statement):
        self.failures += 1
        raise OperationalError(statement, {}, sqlite3.OperationalError(self.message))

    async def passes(self, call, *, did, at, hint="", why=""):
        """Expect that the OperationalError comes out of a coroutine of the learner's as it is."""
        try:
            found = await call
            got = f"it returned {expect.shown(found)}"
        except OperationalError:
            return
        except expect.Wrong:
            raise
        except Exception as error:
            got = f"it raised {diagnose.summary(error)}"
        raise expect.Wrong(
            did=f"{did}, while the database fails ({self._what()})",
            got=got,
            expected="the OperationalError of the database, as it is",
            why=why or "a broken database would look like a mistake of the person who asks, and nobody would repair it",
            hint=hint or "catch only the error that you expect, by its name, and around one call only",
            at=at,
        )

    def is_500(self, response, *, hint="", why="", at=None):
        """Expect that the app says that it is broken; a 4xx would blame the client."""
        if not self.failures:
            did, got = response.request.method + " " + response.request.url.path, "no statement that could fail"
            expected = f"it asks the database ({self._what()})"
            raise expect.Wrong(did=did, got=got, expected=expected, why=why, hint=hint, at=at)
        expect.status(
            response,
            500,
            why=why or f"the database failed ({self._what()}): the client did nothing wrong, and trying again may help",
            hint=hint or "catch only the error that you expect, by its name, and around one call only",
            at=at,
        )

    def _what(self):
        return f"{self.message} at each {' and '.join(self.kinds) or 'statement'}"


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


class Ending:
    """A commit or a rollback, and the frame of the learner's that asked for it."""

    def __init__(self, kind, frame, file):
        self.kind, self.file, self.function, self.line = kind, file, frame.f_code.co_name, frame.f_lineno
        self.place = TracebackType(None, frame, frame.f_lasti, frame.f_lineno)

    def __str__(self):
        return f"a {self.kind} in app/{self.file}, line {self.line}, in {self.function}"


class Endings(list):
    """The commits and rollbacks that the learner's code asked for, by the fixture `endings`, in their order."""

    hints = {  # noqa: RUF012 - nobody changes them
        "commit": "take the commit out: the caller commits, when all that belongs together is done",
        "rollback": "take the rollback out: the caller decides what becomes of its other changes",
    }

    def none(self, *, did, at=None, by=("db/session.py",), why="", hint=""):
        """Expect no commit and no rollback, except in the files `by` of the learner's, whose work it is."""
        strange = next((one for one in self if one.file not in by), None)
        if strange is not None:
            raise expect.Wrong(
                did=did,
                got=str(strange),
                expected="nothing is committed and nothing rolled back here",
                why=why or "half of a request's work would be stored, or lost, before the caller can decide",
                hint=hint or self.hints[strange.kind],
                at=at,
                error=Exception().with_traceback(strange.place),
            )


def frames_now():
    """Yield the running frames, innermost first, also those on the other side of SQLAlchemy's greenlets."""
    frame, running = sys._getframe(1), greenlet.getcurrent()
    while running is not None:
        while frame is not None:
            yield frame
            frame = frame.f_back
        running = running.parent
        frame = running.gr_frame if running is not None else None


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


class Snapshot(dict):
    """What the database holds: a value for each "users/1/email", by the fixture `snapshot`."""

    def changes(self, before):
        """Return the paths that differ; a row that came or went is named once, as "users/1"."""
        rows = [{path.rpartition("/")[0] for path in one} for one in (before, self)]
        moved = rows[0] ^ rows[1]
        return sorted(moved) + sorted(
            path
            for path in before.keys() | self.keys()
            if path.rpartition("/")[0] not in moved and before.get(path) != self.get(path)
        )

    def same(self, before, *, did, but=(), at=None, why="", hint=""):
        """Expect that nothing is different from before, except what `but` names: tables, rows, or values of one row."""
        strange = [
            path for path in self.changes(before) if not any(path == one or path.startswith(f"{one}/") for one in but)
        ]
        if not strange:
            return
        path = strange[0]
        kind = "was changed" if path in before and path in self else "is gone" if self._has(before, path) else "is new"
        raise expect.Wrong(
            did=did,
            got=f"{path} {kind}: {expect.shown(before[path])} became {expect.shown(self[path])}"
            if kind == "was changed"
            else f"{path} {kind}",
            expected=f"nothing else changes than {', '.join(but)}" if but else "nothing changes",
            why=why or "what nobody asked for is changed, and nobody notices for a long time",
            hint=hint,
            at=at,
        )

    @staticmethod
    def _has(snapshot, row):
        return any(path.startswith(f"{row}/") for path in snapshot)


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


class Watched:
    """An app that remembers the newest exception that nobody handled, or that a handler of last resort has logged.

    `alone` says that an answer depends on its request alone; a check that stores rows or breaks something sets it to
    False, and then no request is offered for replay, except one that is malformed on any app.
    """

    def __init__(self, app):
        self.app, self.error, self.alone = app, None, True

    async def __call__(self, scope, receive, send):
        """Pass a request on."""
        if scope["type"] == "http":
            self.error = None
        try:
            await self.app(scope, receive, send)
        except Exception as error:
            self.error = error
            raise

    def note(self, record):
        """Remember the exception of a log record; a logging filter that lets everything pass."""
        if record.exc_info and record.exc_info[1] is not None:
            self.error = record.exc_info[1]
        return True

    async def tell(self, response):
        """Show in the feedback, in place of the body of a 500, which exception it was and where it rose."""
        exchange = response.extensions.get("workbook.exchange")
        if response.status_code == 500 and self.error is not None and exchange is not None:
            exchange.response_body = diagnose.summary(self.error) + self._place()
        self.error = None  # it may hold a coroutine that lacks its `await`: the engine looks for that when it is gone
        if exchange is not None:
            exchange.replay = exchange.replay and (self.alone or response.status_code == 422)
        if response.is_success and response.request.method != "GET":
            self.alone = False

    def _place(self):
        frames = [frame for frame in traceback.extract_tb(self.error.__traceback__) if "/app/" in frame.filename]
        return f" (app/{frames[-1].filename.rpartition('/app/')[2]}:{frames[-1].lineno})" if frames else ""


def hash_cheaply():
    """Lower the cost of passwords, which the start of an app pays too, so that a check takes no time (chapter 07)."""
    context = getattr(sys.modules.get("app.core.security"), "pwd_context", None)
    if context is not None:
        try:
            context.update(bcrypt__rounds=4)
        except ValueError:  # the learner's own context sets a bound, and this would lie outside
            context.update(bcrypt__default_rounds=4, bcrypt__min_rounds=4, bcrypt__max_rounds=4)


@asynccontextmanager
async def running(load, connect, database_url="sqlite+aiosqlite://", **values):
    """Run an app of its own, and give a client on it that nobody has signed in: `client.app`, `client.sessions`.

    An unhandled exception is a 500, as a server would answer, and the feedback names it.
    """
    settings = load("core.config").Settings(database_url=database_url, secret_key=SECRET_KEY, **values)
    app = load("main").create_app(settings)
    hash_cheaply()  # after the first import: until then `app` could be another package
    postman = sys.modules.get("app.outbox.postman")
    if postman is not None:
        postman.POLL_SECONDS = 3600.0  # he comes when he is called, and not between a check's statements (chapter 13)
    watched, logger = Watched(app), logging.getLogger("app.core.middleware")
    logger.addFilter(watched.note)
    try:
        async with (
            app.router.lifespan_context(app),
            connect(watched, raise_app_exceptions=False, lifespan=False) as client,
        ):
            client.app, client.sessions, client.watched = app, app.state.session_factory, watched
            client.event_hooks["response"].append(watched.tell)
            yield client
    finally:
        logger.removeFilter(watched.note)


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


async def sign_in(load, client):
    """Store an admin and sign in by a token; where that is not possible yet, the client stays a visitor."""
    name = "workbook-admin"
    try:
        admin = load("users.schemas").Role.ADMIN
        user = load("users.models").User(email=f"{name}@example.com", username=name, hashed_password="none", role=admin)
        async with client.sessions.begin() as session:
            session.add(user)
            await session.flush()
            id = user.id
        client.headers["Authorization"] = f"Bearer {People(load, client).token(id)}"
    except Exception:  # noqa: S110 - the way to sign in is not built yet, and then no route asks for it
        pass


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


class People:
    """Users stored behind the routes' back, and access tokens for them, so that a check needs no log-in.

    Args:
        load: the fixture.
        client: a client with `sessions`, whose app signs with SECRET_KEY.
    """

    password = "Correct horse"

    def __init__(self, load, client):
        self._load, self._client = load, client

    async def add(self, name, **columns):
        """Store a user called `name`, with the password "Correct horse"; return id, username, email and headers."""
        hashed = await self._load("core.security").hash_password(self.password)
        columns = {"email": f"{name}@example.com", "username": name, "hashed_password": hashed} | columns
        async with self._client.sessions() as session:
            user = self._load("users.models").User(**columns)
            session.add(user)
            await session.commit()
            made = SimpleNamespace(id=user.id, username=user.username, email=user.email, headers={})
        made.headers = {"Authorization": f"Bearer {self.token(made.id)}"}
        return made

    async def admin(self, name="root"):
        """Store an admin."""
        return await self.add(name, role=self._load("users.schemas").Role.ADMIN)

    async def change(self, person, **columns):
        """Change columns of a stored user."""
        async with self._client.sessions() as session:
            user = await session.get(self._load("users.models").User, person.id)
            for name, value in columns.items():
                setattr(user, name, value)
            await session.commit()

    async def stored(self, person):
        """Return a user's row as it is in the database now."""
        async with self._client.sessions() as session:
            return await session.get(self._load("users.models").User, person.id)

    def token(self, user_id, *, kind="access", key=SECRET_KEY, minutes=30):
        """Sign a token, as the app does."""
        security, now = self._load("core.security"), datetime.now(UTC)
        return security.create_token(
            key,
            security.TokenType(kind),
            user_id=user_id,
            session_id=security.new_token_id(),
            jti=security.new_token_id(),
            expires=now + timedelta(minutes=minutes),
        )


@pytest.fixture
def people(load, visitor):
    """Users of the `visitor`'s app: `ada = await people.add("ada")`, and then `headers=ada.headers` signs her in."""
    return People(load, visitor)
