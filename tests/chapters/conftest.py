"""Fixtures that the checks of several chapters share. Each is built from the learner's own code, by name."""

import gc
import importlib
import traceback
import warnings
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import configure_mappers

from workbook import expect

MODELS = ("users.models", "items.models", "auth.models")


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
            gc.collect()

    return catch
