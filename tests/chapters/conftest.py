"""Fixtures that the checks of several chapters share. Each is built from the learner's own code, by name."""

import gc
import importlib
import importlib.util
import logging
import sys
import traceback
import warnings
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import configure_mappers

from workbook import diagnose, expect

SECRET_KEY = "k8Jd72hLq09ZxC4vBn6MwE3rTy5UiOpA"
PASSWORDS = 7  # the chapter
MODELS = ("users.models", "items.models", "auth.models")

# The app logs the traceback of an unexpected error (chapter 06); the feedback names it without this in its panel.
logging.getLogger("app.core.middleware").addHandler(logging.NullHandler())


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
            hint='compare names and spelling: ForeignKey("users.id"), and back_populates on both ends',
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
    """An app that remembers the newest exception that nobody handled, or that a handler of last resort has logged."""

    def __init__(self, app):
        self.app, self.error = app, None

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
    watched, logger = Watched(app), logging.getLogger("app.core.middleware")
    logger.addFilter(watched.note)
    try:
        async with (
            app.router.lifespan_context(app),
            connect(watched, raise_app_exceptions=False, lifespan=False) as client,
        ):
            client.app, client.sessions = app, app.state.session_factory
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
