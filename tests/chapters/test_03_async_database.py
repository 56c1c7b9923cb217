"""Checks of chapter 03: the async database."""

import asyncio
import importlib
import inspect
import sqlite3
import sys
import threading
import time as clock
from contextlib import AsyncExitStack, asynccontextmanager, closing, redirect_stdout
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from io import StringIO
from types import SimpleNamespace

import pytest
from sqlalchemy import Float, Index, MetaData, Numeric, UniqueConstraint, event, func, insert, select, text
from sqlalchemy import inspect as inspect_mapper
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import ArgumentError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, selectinload

from workbook import expect
from workbook.checks import exercise

MEMORY = "sqlite+aiosqlite://"
TOKYO = timezone(timedelta(hours=9))
SEVEN = datetime(2030, 1, 1, 7, tzinfo=TOKYO)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


class Checked(DeclarativeBase):
    """The base of a table of these checks."""


class Thing(Checked):
    """A row that has nothing to do with the learner's models."""

    __tablename__ = "things"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)


def is_missing_greenlet(error):
    """Say whether an error is a MissingGreenlet, also inside another one."""
    return error is not None and "MissingGreenlet" in f"{type(error).__name__} {error}"


def in_words(error):
    """Return an error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:150]}"


NO_ENGINE = [
    (
        "Invalid argument(s)",
        "create_engine knows no such argument: compare each name in the dict with the text, letter by letter",
    ),
    (
        "asynchronous events are not implemented",
        "an AsyncEngine has no events of its own: its inner half has, sync_engine",
    ),
]


def made_engine(load, url=MEMORY, **options):
    """Call the learner's make_engine; what is no async engine is a wrong answer."""
    make_engine = load("db.session").make_engine
    try:
        engine = make_engine(url, **options)
    except (TypeError, NotImplementedError) as error:
        expect.known(
            error,
            NO_ENGINE,
            did=f'make_engine("{url}")',
            expected="an AsyncEngine",
            why="without an engine the app does not start",
            at=make_engine,
        )
    if inspect.iscoroutine(engine):
        engine.close()
    expect.that(
        isinstance(engine, AsyncEngine),
        did=f'make_engine("{url}")',
        got=expect.with_article(type(engine).__name__),
        expected="an AsyncEngine",
        why="an engine of the other kind cannot be awaited: every query would stop all requests",
        hint="return create_async_engine(...), from an ordinary function",
        at=make_engine,
    )
    return engine


@asynccontextmanager
async def things(load, url=MEMORY, **options):
    """Give the learner's engine and session factory on a database with the table of these checks."""
    engine = made_engine(load, url, **options)
    make_factory = load("db.session").make_session_factory
    try:
        async with engine.begin() as connection:
            await connection.run_sync(Checked.metadata.create_all)
        factory = make_factory(engine)
        expect.that(
            isinstance(factory, async_sessionmaker),
            did="make_session_factory(engine)",
            got=expect.with_article(type(factory).__name__),
            expected="an async_sessionmaker",
            why="each request needs a new session whose queries can be awaited",
            hint="return async_sessionmaker(engine, ...): the factory itself, and the one of the async half",
            at=make_factory,
        )
        session = factory()
        expect.that(
            isinstance(session, AsyncSession) and session.bind is engine,
            did="make_session_factory(engine)()",
            got=f"{expect.with_article(type(session).__name__)} on {getattr(session, 'bind', None)}",
            expected="an AsyncSession on the engine",
            why="a session without the engine reaches no database, and an ordinary one cannot be awaited",
            hint="that factory belongs to an engine of an earlier call: make a new one each time, and keep none outside"
            if isinstance(getattr(session, "bind", None), AsyncEngine)
            else "return async_sessionmaker(engine, ...)",
            at=make_factory,
        )
        yield engine, factory
    finally:
        await engine.dispose()


# ---------------------------------------------------------------------------------------------------------------- 3.1


@exercise("3.1")
class TestEngine:
    async def test_readable_after_commit(self, load, quiet):
        """A stored object can be read after the commit"""
        async with things(load) as (_, factory), factory() as session:
            thing = Thing(name="lamp")
            session.add(thing)
            await session.commit()
            with quiet() as caught:
                assert (thing.id, thing.name) == (1, "lamp")
            expect.that(
                caught.error is None,
                did="await session.commit(), then thing.name",
                got="MissingGreenlet" if is_missing_greenlet(caught.error) else repr(caught.error),
                expected="'lamp'",
                why="a route that answers with the row it has saved would answer 500",
                hint="the commit expired the object: switch that off in the session factory, expire_on_commit",
                at=load("db.session").make_session_factory,
            )

    async def test_values_are_hidden(self, load):
        """A database error does not show the values of the query, not with echo=True either"""
        for options, hint in (
            ({}, "one of the engine's options hides the parameters"),
            ({"echo": True}, "they are hidden always: echo, for your own machine, does not decide it"),
        ):
            # the SQL that echo prints is no news to the learner
            with redirect_stdout(StringIO()):
                async with things(load, **options) as (_, factory), factory() as session:
                    session.add_all([Thing(name="Sesame"), Thing(name="Sesame")])
                    with pytest.raises(IntegrityError) as caught:
                        await session.flush()
            expect.that(
                "Sesame" not in str(caught.value),
                did=f"store the same unique value twice, print the error{', echo=True' * bool(options)}",
                got="the value stands in the error",
                expected="an error without the values",
                why="errors are written to logs, and with them addresses and password hashes",
                hint=hint,
                at=load("db.session").make_engine,
            )

    async def test_dead_connections(self, load, tmp_path):
        """A connection that died in the pool is replaced, not lent"""
        async with things(load, f"sqlite+aiosqlite:///{tmp_path}/test.db") as (engine, _):
            async with engine.connect() as connection:
                raw = await connection.get_raw_connection()
                driver = raw.driver_connection
            await driver.close()
            try:
                async with engine.connect() as connection:
                    await connection.execute(text("SELECT 1"))
            except Exception as error:
                raise expect.Wrong(
                    did="the pool's connection dies, the next request runs a query",
                    got=in_words(error),
                    expected="the query works, on a new connection",
                    why="after each restart of the database, requests fail until all old connections are used up",
                    hint="the engine's option pool_pre_ping",
                    at=load("db.session").make_engine,
                ) from None

    async def test_echo(self, load):
        """The parameter echo is passed on: no SQL is printed by default, and all of it with echo=True"""
        for options, echo in (({}, False), ({"echo": True}, True), ({"echo": False}, False), ({}, False)):
            engine = made_engine(load, **options)
            expect.equal(
                bool(engine.echo),
                echo,
                did=f"make_engine(url, {'echo=' + str(options['echo']) if options else ''}).echo".replace(", )", ")"),
                why="in production SQL in the log costs time and tells secrets; in development you miss it",
                hint="give the engine the value of the parameter echo",
                at=load("db.session").make_engine,
            )
            await engine.dispose()

    async def test_each_engine_has_its_own_options(self, load, tmp_path):
        """After an engine in memory, one on a file has a pool of the usual size again, also one of PostgreSQL"""
        addresses = (f"sqlite+aiosqlite:///{tmp_path}/test.db", "postgresql+asyncpg://ada:secret@127.0.0.1/app")
        for url in addresses:
            found = []
            for address in (url, MEMORY, url):
                engine = made_engine(load, address)
                found.append((engine.pool.size(), engine.sync_engine.hide_parameters))
                await engine.dispose()
            expect.equal(
                [size for size, _ in found],
                [5, 1, 5],
                did=f'pool sizes of make_engine("{url.partition(":")[0]}…"), of one in memory, of the first one again',
                why="after one database in memory, all requests of the app would wait for one connection",
                hint="make the dict inside make_engine: one dict for all keeps what one engine has put into it",
                at=load("db.session").make_engine,
            )
            expect.equal(
                [hidden for _, hidden in found],
                [True, True, True],
                did="hide_parameters of the three engines",
                why="the values would stand in the log where it matters most, in production",
                hint="fill the dict at once, above the branches: each engine gets it",
                at=load("db.session").make_engine,
            )

    async def test_options_of_every_database(self, load, tmp_path):
        """Dead connections are replaced and echo is passed on for each kind of database, PostgreSQL too"""
        at = load("db.session").make_engine
        for url in (f"sqlite+aiosqlite:///{tmp_path}/test.db", "postgresql+asyncpg://ada:secret@127.0.0.1/app", MEMORY):
            for echo in (False, True):
                engine = made_engine(load, url, echo=echo)
                found = engine.sync_engine.pool._pre_ping, bool(engine.echo)
                await engine.dispose()
                expect.equal(
                    found,
                    (True, echo),
                    did=f'pool_pre_ping and echo of make_engine("{url.partition("/")[0]}…", echo={echo})',
                    why="what protects the app on your machine would be missing in production, on another database",
                    hint="put every option that all databases share into the dict at once, above the branches",
                    at=at,
                )

    async def test_an_engine_for_each_call(self, load):
        """Each call makes a new engine with a database of its own"""
        async with things(load) as (first, factory):
            async with factory.begin() as session:
                session.add(Thing(name="lamp"))
            second = made_engine(load)
            try:
                async with second.begin() as connection:
                    await connection.run_sync(Checked.metadata.create_all)
                    count = await connection.scalar(select(func.count()).select_from(Thing))
            finally:
                await second.dispose()
            expect.that(
                first is not second and count == 0,
                did="make_engine(url) twice, a row stored by the first engine",
                got="both calls gave the same engine" if first is second else f"the second sees {count} row",
                expected="two engines, the second one's database is empty",
                why="an engine belongs to one event loop: shared by all tests, it fails in the second one",
                hint="make the engine inside make_engine; no engine at the top of the file",
                at=load("db.session").make_engine,
            )

    async def test_sessions(self, load):
        """The factory makes a new session at each call, on the given engine"""
        async with things(load) as (_, factory):
            expect.that(
                factory() is not factory(),
                did="factory = make_session_factory(engine); factory(); factory()",
                got="the same session twice",
                expected="two sessions",
                why="two requests in one session would commit each other's half-finished work",
                hint="return async_sessionmaker(engine, ...), not a session",
                at=load("db.session").make_session_factory,
            )
            other = made_engine(load)
            load("db.session").make_session_factory(other)
            expect.that(
                factory().bind is not other,
                did="make_session_factory(one), then make_session_factory(other): a session of the first factory",
                got="it is on the other engine",
                expected="it is on the engine that its factory was made for",
                why="a test that opens a second app would write into the database of the first one",
                hint="make a new factory in each call",
                at=load("db.session").make_session_factory,
            )
            await other.dispose()


# ---------------------------------------------------------------------------------------------------------------- 3.2


def diary(load):
    """Return the learner's db.base, imported anew, and a model that uses its Base and its mixin."""
    try:
        base = load.fresh("db.base")
    except ArgumentError as error:
        expect.known(
            error,
            [
                (
                    "schema argument to be a string",
                    "MetaData takes the convention by its name: the first argument is another one",
                )
            ],
            did="import app.db.base",
            expected="a MetaData with the naming convention",
            why="no model could be imported, so the app would not start",
        )
    expect.that(
        isinstance(base.Base.metadata, MetaData),
        did="Base.metadata",
        got=repr(base.Base.metadata),
        expected="a MetaData",
        why="without it nobody knows which tables there are",
        hint="Base needs a class attribute `metadata`: a MetaData with the naming convention",
        at=base.Base,
    )

    class Entry(base.TimestampMixin, base.Base):
        __tablename__ = "diary_entries"

        id: Mapped[int] = mapped_column(primary_key=True)
        words: Mapped[str] = mapped_column(unique=True)
        at: Mapped[datetime | None]

    return base, Entry


@asynccontextmanager
async def written(base):
    """Give sessions on a plain engine, with the tables of a Base; nothing of exercise 3.1 is needed."""
    engine = create_async_engine(MEMORY)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(base.Base.metadata.create_all)
        yield async_sessionmaker(engine, expire_on_commit=False)
    finally:
        await engine.dispose()


@asynccontextmanager
async def timed_diary(load):
    """Give the learner's db.base, a model that has both times of its mixin, and a session."""
    base, entry = diary(load)
    for name in ("created_at", "updated_at"):
        column_of(entry, name)
    async with written(base) as sessions, sessions() as session:
        yield base, entry, session


async def there_and_back(load, time):
    """Store a time and read it in another session."""
    base, entry = diary(load)
    async with written(base) as sessions:
        async with sessions() as session:
            session.add(entry(words="one", at=time))
            await saved(session, base.TimestampMixin, f"store a row with the time {time and time.isoformat()}")
        async with sessions() as session:
            return await session.scalar(select(entry.at))


def column_of(model, name):
    """Return a column of a model; a missing one is a wrong answer."""
    columns = model.__table__.columns
    expect.that(
        not isinstance(getattr(model, name, None), tuple),
        did=f"the columns of {model.__tablename__}",
        got=f"{name} is a tuple, because its line ends with a comma",
        expected=f"a column {name}",
        why="the table would not have the column, and what a person sends for it would be lost",
        hint="take the comma away: one stands at the end of a line inside brackets only",
        at=model,
    )
    expect.that(
        name in columns,
        did=f"the columns of {model.__tablename__}",
        got=f"no column {name}; there are {', '.join(columns.keys())}",
        expected=f"a column {name}",
        why="what a person sends for it would be lost, or raise a TypeError",
        hint=f"write `{name}: Mapped[...] = mapped_column(...)` in the class",
        at=model,
    )
    return columns[name]


@pytest.fixture
def in_tokyo(monkeypatch):
    """Run on a machine whose own time zone is not UTC, where the system knows how."""
    monkeypatch.setenv("TZ", "JST-9")
    if hasattr(clock, "tzset"):
        clock.tzset()
    yield
    monkeypatch.undo()
    if hasattr(clock, "tzset"):
        clock.tzset()


@exercise("3.2")
@pytest.mark.usefixtures("in_tokyo")
class TestTimes:
    async def test_aware_and_in_utc(self, load):
        """Seven o'clock in Tokyo comes back as 22:00 in UTC, aware"""
        back = await there_and_back(load, SEVEN)
        expect.that(
            isinstance(back, datetime) and back.tzinfo is not None,
            did=f"store {SEVEN.isoformat()}, read it back",
            got=f"{back!r}, a naive time",
            expected="an aware time in UTC",
            why="a naive time cannot be compared with an aware one, and each client reads it as its own time",
            hint="label what comes back in process_result_value, and give Base the type_annotation_map",
            at=load("db.base").UtcDateTime,
        )
        utc_type = load("db.base").UtcDateTime
        sent = utc_type().process_bind_param(SEVEN, sqlite.dialect())
        expect.equal(
            back.isoformat(),
            "2029-12-31T22:00:00+00:00",
            did=f"store {SEVEN.isoformat()}, read it back on a machine in Tokyo",
            why="an appointment would move by nine hours",
            hint="coming out: a naive time of SQLite is UTC; astimezone would take it for the machine's own time"
            if sent is not None and sent.isoformat() == "2029-12-31T22:00:00+00:00"
            else "going in: astimezone(UTC) keeps the instant; replace only sticks another label on it",
            at=utc_type.process_result_value if sent == SEVEN else utc_type.process_bind_param,
        )

    async def test_nothing_is_cut_off(self, load):
        """The instant comes back as it was, to the microsecond"""
        time = SEVEN.replace(second=59, microsecond=123456)
        back = await there_and_back(load, time)
        expect.equal(
            back.isoformat() if isinstance(back, datetime) else back,
            "2029-12-31T22:00:59.123456+00:00",
            did=f"store {time.isoformat()}, read it back",
            why="two events of one second could not be put in order any more, and what was stored is not what was sent",
            hint="bring it to UTC, and change nothing else of the time",
            at=load("db.base").UtcDateTime.process_bind_param,
        )

    async def test_naive_times_are_refused(self, load):
        """A time without a zone is refused when it is stored, and the message says so"""
        did = "store datetime(2030, 1, 1, 7), which is naive"
        with expect.raising(
            Exception,
            says="time zone",
            did=did,
            why="nobody can know which instant it means; the row would be wrong for ever",
            hint="in process_bind_param: refuse the value yourself, and say that the time has no time zone",
            at=load("db.base").UtcDateTime,
        ) as caught:
            await there_and_back(load, datetime(2030, 1, 1, 7))
        expect.that(
            isinstance(getattr(caught.value, "orig", caught.value), ValueError),
            did=did,
            got=in_words(caught.value),
            expected="a ValueError of yours",
            why="another error says that the program is broken; this one says that the value is",
            hint="write the test `if value.tzinfo is None` yourself, and raise ValueError",
            at=load("db.base").UtcDateTime,
        )

    async def test_no_time_stays_no_time(self, load):
        """A column that may be empty keeps None"""
        try:
            back = await there_and_back(load, None)
        except expect.Wrong:
            raise
        except Exception as error:
            if isinstance(getattr(error, "orig", error), NotImplementedError):
                raise
            raise expect.Wrong(
                did="store None in a column Mapped[datetime | None]",
                got=in_words(error),
                expected="None is stored",
                why="a user who was never deleted has no time of deletion",
                hint="both methods begin with `if value is None: return None`",
                at=load("db.base").UtcDateTime,
            ) from None
        expect.equal(
            back,
            None,
            did="store None, read it back",
            why="a user who was never deleted would have a time of deletion",
            hint="both methods begin with `if value is None: return None`",
            at=load("db.base").UtcDateTime,
        )

    def test_an_aware_result(self, load):
        """An aware time from another database is brought to UTC"""
        utc_type = load("db.base").UtcDateTime
        back = utc_type().process_result_value(SEVEN, sqlite.dialect())
        expect.equal(
            back.isoformat() if isinstance(back, datetime) else back,
            "2029-12-31T22:00:00+00:00",
            did=f"process_result_value({SEVEN.isoformat()})",
            why="PostgreSQL gives times in the zone of the connection; replace would move them by hours",
            hint="label only what is naive; bring the rest to UTC with astimezone",
            at=utc_type,
        )

    def test_constraints_have_names(self, load):
        """Constraints and indexes get their names by the convention"""
        base, entry = diary(load)
        Index(None, entry.__table__.c.at)
        names = {one.name for one in entry.__table__.constraints} | {one.name for one in entry.__table__.indexes}
        wanted = {"pk_diary_entries", "uq_diary_entries_words", "ix_diary_entries_at"}
        expect.that(
            wanted <= names,
            did="a table with a primary key, a unique column and an index",
            got=f"the names {', '.join(sorted(str(name) for name in names))}",
            expected=f"the names {', '.join(sorted(wanted))}",
            why="a migration can change only what has a name, the same name in every database",
            hint="give NAMING_CONVENTION to the MetaData of Base",
            at=base.Base,
        )

    async def test_new_rows_have_times(self, load, quiet):
        """A new row has the present time in created_at and updated_at, each row its own"""
        async with timed_diary(load) as (base, entry, session):
            found = []
            for number, pause in enumerate((0.01, 1.1, 0)):
                row = entry(words=str(number))
                session.add(row)
                with quiet() as caught:
                    await session.commit()
                    found.append((row.created_at, row.updated_at))
                self.is_fine(caught.error, base)
                for time in found[-1]:
                    self.is_now(time, base)
                if number and found[0][0] != found[-1][0] and found[0][1] != found[-1][1]:
                    return
                await asyncio.sleep(pause)
            raise expect.Wrong(
                did="store a row, wait, store another one",
                got="both have the same time",
                expected="each row has the time at which it was stored",
                why="every user would be born at the moment when the server was started",
                hint="hand the function over without brackets, default=utc_now: it is called for each row",
                at=base.TimestampMixin,
            )

    @staticmethod
    def is_fine(error, base):
        """Expect that a row could be stored and its times read."""
        if error is None:
            return
        if isinstance(getattr(error, "orig", error), NotImplementedError):
            raise error
        raise expect.Wrong(
            did="store a row, read its created_at and updated_at after the commit",
            got="MissingGreenlet" if is_missing_greenlet(error) else in_words(error),
            expected="two times",
            why="each answer that shows them would be a 500",
            hint="make all of them with utc_now: it is aware, and Python knows its value at once",
            at=base.TimestampMixin,
        ) from None

    @staticmethod
    def is_now(time, base):
        """Expect an aware time of this minute."""
        expect.that(
            isinstance(time, datetime) and time.tzinfo is not None and abs(time - datetime.now(UTC)).seconds < 60,
            did="the times of a new row",
            got=repr(time),
            expected="the present time, aware, in UTC",
            why="people would see a wrong time, or the answer would fail",
            hint="both columns have the type Mapped[datetime], and utc_now as their default",
            at=base.TimestampMixin,
        )

    async def test_a_change_is_noticed(self, load, quiet):
        """A change sets updated_at anew and leaves created_at; both are readable after the commit"""
        async with timed_diary(load) as (base, entry, session):
            row = entry(words="old", created_at=LONG_AGO, updated_at=LONG_AGO)
            session.add(row)
            await saved(session, base.TimestampMixin, "store a row of 2020")
            row.words = "new"
            await session.commit()
            with quiet() as caught:
                times = row.created_at, row.updated_at
                later = await self.changed_again(session, row, times[1])
            expect.that(
                caught.error is None,
                did="change a row, commit, read its updated_at",
                got="MissingGreenlet" if is_missing_greenlet(caught.error) else repr(caught.error),
                expected="the present time",
                why="every PATCH would answer 500: only the database knows the value, and an attribute cannot wait",
                hint="make the value in Python, with utc_now (or fetch it at once with eager_defaults)",
                at=base.TimestampMixin,
            )
        self.is_changed(times, base)
        expect.that(
            later != times[1],
            did="updated_at after a change, and after another one a second later",
            got="both have the same time",
            expected="each change has its own time",
            why="all changes would be as old as the server",
            hint="hand the function over without brackets, behind onupdate= too: it is called for each change",
            at=base.TimestampMixin,
        )

    @staticmethod
    async def changed_again(session, row, first):
        """Change a row until its updated_at moves, for a second at most; return it."""
        for number, pause in enumerate((0.01, 1.1)):
            await asyncio.sleep(pause)
            row.words = f"newer {number}"
            await session.commit()
            if row.updated_at != first:
                break
        return row.updated_at

    def is_changed(self, times, base):
        """Expect the old created_at and a new updated_at."""
        expect.equal(
            times[0],
            LONG_AGO,
            did="created_at of a row of 2020, after a change today",
            why="nobody could tell any more when an account was made",
            hint="created_at has a default, and no onupdate",
            at=base.TimestampMixin,
        )
        expect.that(
            times[1] != LONG_AGO,
            did="updated_at of a row of 2020, after a change today",
            got="still 2020",
            expected="the present time",
            why="a client that asks for what is new since yesterday would never see the change",
            hint="updated_at needs onupdate= beside default=",
            at=base.TimestampMixin,
        )
        self.is_now(times[1], base)


# ---------------------------------------------------------------------------------------------------------------- 3.3


def person(load, name="ada", leave=(), **columns):
    """Return one of the learner's users, not stored yet; a class that takes no such column is a wrong answer."""
    user = load("users.models").User
    values = {"email": f"{name}@example.com", "username": name, "full_name": name, "hashed_password": "!"}
    values |= {"is_active": True} | columns
    for column in values.keys() - {"items"}:
        column_of(user, column)
    row = user(**{column: value for column, value in values.items() if column not in leave})
    for name in {"email", "username"} - set(leave):
        expect.that(
            getattr(row, name) is not None or values[name] is None,
            did=f"User({name}={expect.shown(values[name])}, ...).{name}",
            got="None",
            expected=expect.shown(str(values[name]).lower()),
            why="the value is lost, so nobody could sign up",
            hint="`fold_case` must return the value: what it returns is what is stored",
            at=user,
        )
    return row


async def saved(db, model, did):
    """Commit; a refusal by the database is a wrong answer."""
    try:
        await db.commit()
    except IntegrityError as error:
        raise expect.Wrong(
            did=did,
            got=in_words(error).partition("[SQL")[0].strip(),
            expected="it is stored",
            why="a good request would be answered with a 500",
            hint=hint_on_refusal(error),
            at=model,
        ) from None


def hint_on_refusal(error):
    """Return what to do about a row that the database refused: the message names the column."""
    text = str(error)
    name = text.partition("constraint failed: ")[2].split("\n")[0].split(",")[0].rpartition(".")[2]
    if "NOT NULL" in text:
        return f"{name} got no value: the column needs a default, or it may be missing, `| None`"
    if "UNIQUE" in text:
        return f"{name} refuses a second row with the same value: is it unique in the text, too?"
    return "compare the columns with the text: what may be missing, and what has a default"


async def refused(db, model, values, did, **reason):
    """Expect that the database refuses a row; the values go in without the model's validators."""
    try:
        await db.execute(insert(model.__table__).values(**values))
    except IntegrityError:
        await db.rollback()
        return
    except Exception as error:
        raise expect.Wrong(did=did, got=in_words(error), expected="an IntegrityError", at=model, **reason) from None
    raise expect.Wrong(did=did, got="the row was stored", expected="an IntegrityError", at=model, **reason)


def length_is(model, name, length):
    """Expect the length of a text column."""
    kind = column_of(model, name).type
    expect.equal(
        getattr(kind, "length", None),
        length,
        did=f"the length of {model.__tablename__}.{name}, a {type(kind).__name__}",
        why="PostgreSQL keeps this bound: a shorter one refuses good values, none lets a book in",
        hint=f"mapped_column(String({length}), ...)",
        at=model,
    )


MISSPELLED = "a name in the brackets is misspelled, or belongs into other brackets: compare it with the text"
A_TYPE_FIRST = "the first argument of mapped_column is a type of the database; a default stands behind its name"
NO_MODEL = [
    ("got True", A_TYPE_FIRST),
    ("got False", A_TYPE_FIRST),
    (
        "__table_args__ value must be a tuple",
        "round brackets alone make no tuple, the comma does: put one behind the last argument of __table_args__",
    ),
    ("Invalid cascade option(s)", "a word in cascade is misspelled: compare them with the text, letter by letter"),
    ("got 'ondelete'", "ondelete is an option of the foreign key: it stands inside the brackets of ForeignKey"),
    ("Additional arguments should be named", MISSPELLED),
    ("Unknown arguments", MISSPELLED),
    ("unexpected keyword argument", MISSPELLED),
]


def imported(load, name):
    """Import a module of models; what stops SQLAlchemy before there is a table is a wrong answer, and named."""
    try:
        load(name)
    except (SQLAlchemyError, TypeError) as error:
        expect.known(
            error,
            NO_MODEL,
            did=f"import app.{name}",
            expected="a class with its columns",
            why="the app could not start: each of its modules needs the tables",
        )


@exercise("3.3")
class TestUsers:
    @pytest.fixture(autouse=True)
    def user_is_a_class(self, load):
        """Name what stops the learner's class before there is a table."""
        imported(load, "users.models")

    async def test_stored_and_read(self, load, db):
        """A user is stored and read back, active and with the role user by default"""
        db.add(person(load, leave=("is_active",), full_name="Ada Lovelace"))
        await saved(db, load("users.models").User, "store a user with e-mail address, user name, full name and hash")
        user = load("users.models").User
        names = ("email", "username", "full_name", "hashed_password", "is_active")
        found = (await db.execute(select(*(column_of(user, name) for name in names)))).one()
        expect.equal(
            dict(zip(names, found, strict=True)),
            {
                "email": "ada@example.com",
                "username": "ada",
                "full_name": "Ada Lovelace",
                "hashed_password": "!",
                "is_active": True,
            },
            did="store User(email=..., username=..., full_name=..., hashed_password=...), read it back",
            why="what a person chose at sign-up would be lost",
            hint='a full name stays as it was typed: @validates names "email" and "username", and no other column'
            if found[2] == "ada lovelace"
            else "write the five columns of the table; is_active has default=True",
            at=user,
        )

    async def test_inactive(self, load, db):
        """is_active=False is stored as False"""
        user = load("users.models").User
        db.add(person(load, is_active=False))
        await saved(db, user, "store an inactive user")
        expect.equal(
            await db.scalar(select(user.is_active)),
            False,
            did="store User(..., is_active=False), read it back",
            why="somebody who was locked out could come back in",
            hint="is_active: Mapped[bool], with default=True",
            at=user,
        )

    async def test_full_name_may_be_missing(self, load, db):
        """A user without full_name is stored"""
        db.add(person(load, leave=("full_name",)))
        await saved(db, load("users.models").User, "store a user without full_name")

    async def test_required(self, load, db):
        """The database refuses a user without e-mail address, user name or password hash, or neither active nor not"""
        user = load("users.models").User
        names = ("email", "username", "hashed_password", "is_active")
        for name in names:
            column_of(user, name)
        now = datetime.now(UTC)
        full = {"email": "a@x.example", "username": "ada", "hashed_password": "!", "created_at": now, "updated_at": now}
        for name in names:
            await refused(
                db,
                user,
                full | {name: None},
                f"INSERT a user whose {name} is NULL",
                why="nobody could log in to such an account, and code that reads it would fail",
                hint=f"the annotation of {name} has no None",
            )

    async def test_what_two_may_share(self, load, db):
        """Two users may have the same full name, and the same hash"""
        user = load("users.models").User
        db.add_all([person(load, name, full_name="Ada Lovelace") for name in ("ada", "eve")])
        await saved(db, user, "store two users with the same full name and hash")

    async def test_unique_in_any_case(self, load, db):
        """b@x and B@x are one address, b and B are one user name: the second is refused by the database"""
        user = load("users.models").User
        pairs = (
            ("email", person(load, "b", email="b@x.example"), person(load, "c", email="B@X.example")),
            ("username", person(load, "d"), person(load, "e", username="D")),
        )
        for name, first, second in pairs:
            db.add(first)
            await saved(db, user, "store a user")
            db.add(second)
            try:
                await db.flush()
            except IntegrityError:
                await db.rollback()
                continue
            stored = list(await db.scalars(select(getattr(user, name))))
            raise expect.Wrong(
                did=f"store two users, the {name} of one in lower case, of the other in upper case",
                got=f"both were stored: {', '.join(repr(one) for one in stored)}",
                expected="an IntegrityError for the second one",
                why=f"two people, or one person twice, would share one {name}, and log in to either account",
                hint="unique=True for the column, and fold_case returns the value in lower case",
                at=user,
            )

    async def test_folded_at_a_change(self, load, db):
        """A new address of an old user is stored in lower case, too"""
        row, user = person(load), load("users.models").User
        db.add(row)
        await saved(db, user, "store a user")
        row.email, row.username = "Ada@NEW.example", "ADA"
        await saved(db, user, "change a user's e-mail address and user name")
        expect.equal(
            tuple((await db.execute(select(user.email, user.username))).one()),
            ("ada@new.example", "ada"),
            did='user.email = "Ada@NEW.example"; user.username = "ADA"; commit',
            why="the person could not log in any more: the search is for the lower case",
            hint='fold_case returns the value in lower case, and @validates names "email" and "username"',
            at=user,
        )

    async def test_folded_as_the_schemas_do(self, load, db):
        """Lower case is that of str.lower, as in the schemas: ß stays ß"""
        user = load("users.models").User
        db.add(person(load, email="Groß@Example.com", username="GROßE"))
        await saved(db, user, "store a user")
        expect.equal(
            tuple((await db.execute(select(user.email, user.username))).one()),
            ("groß@example.com", "große"),
            did='store User(email="Groß@Example.com", username="GROßE", ...), read it back',
            why="the log-in looks for what the schemas make of the text, str.lower, and would not find this person",
            hint="str.lower, not casefold: the schemas and the table must agree",
            at=user,
        )

    def test_lengths(self, load):
        """Text columns have the lengths of the table"""
        user = load("users.models").User
        for name, length in (("email", 320), ("username", 50), ("full_name", 100), ("hashed_password", 255)):
            length_is(user, name, length)

    def test_fast_search(self, load):
        """A search by e-mail address or user name uses an index"""
        user = load("users.models").User
        table = user.__table__
        covered = [next(iter(one.columns)).name for one in [*table.indexes, *table.constraints] if list(one.columns)]
        for name in ("email", "username"):
            expect.that(
                name in covered,
                did=f"the indexes of users for {name}",
                got="none begins with it",
                expected="a unique index",
                why="each log-in would read the whole table",
                hint="index=True, beside unique=True",
                at=user,
            )


# ---------------------------------------------------------------------------------------------------------------- 3.4


def thing(load, leave=(), **columns):
    """Return one of the learner's items, not stored yet."""
    item = load("items.models").Item
    values = {"title": "Lamp", "description": "It shines.", "url": "https://example.com/lamp"}
    values |= {"price": Decimal("9.90")} | columns
    for column in values:
        column_of(item, column)
    return item(**{column: value for column, value in values.items() if column not in leave})


async def stored_owner(load, db, **columns):
    """Store a user, and return it."""
    owner = person(load, **columns)
    db.add(owner)
    await saved(db, type(owner), "store a user")
    return owner


@exercise("3.4")
class TestItems:
    @pytest.fixture(autouse=True)
    def item_is_a_class(self, load):
        """Name what stops the learner's class before there is a table."""
        imported(load, "items.models")

    async def test_stored_and_read(self, load, db):
        """An item is stored and read back, its price as an exact Decimal"""
        owner = await stored_owner(load, db)
        wanted = {
            "title": "Lamp",
            "description": "It shines.",
            "url": "https://example.com/lamp",
            "price": Decimal("9.90"),
            "owner_id": owner.id,
        }
        item = load("items.models").Item
        db.add(thing(load, **wanted))
        await saved(db, item, "store an item with all its values")
        row = (await db.execute(select(*(column_of(item, name) for name in wanted)))).one()
        expect.equal(
            dict(zip(wanted, row, strict=True)),
            wanted,
            did="store an item, read it back",
            why="what the owner wrote would be lost, or the price would be a binary fraction",
            hint="compare the columns with the table; the price is Mapped[Decimal], with a Numeric",
            at=item,
        )

    def test_price(self, load):
        """The price has ten digits, two of them behind the point"""
        item = load("items.models").Item
        kind = column_of(item, "price").type
        expect.that(
            isinstance(kind, Numeric) and not isinstance(kind, Float),
            did="the type of items.price",
            got=expect.with_article(type(kind).__name__),
            expected="a Numeric",
            why="a Float counts in binary fractions: a sum of prices would be wrong by a cent",
            hint="the table names the type for money, with its two numbers",
            at=item,
        )
        expect.equal(
            (getattr(kind, "precision", None), getattr(kind, "scale", None), getattr(kind, "asdecimal", None)),
            (10, 2, True),
            did="digits, digits behind the point, exact: the type of items.price",
            why="PostgreSQL rounds to the scale: a price would lose its cents, or gain some",
            hint="Numeric takes two numbers: all digits first, then those behind the point",
            at=item,
        )
        said = str(inspect.get_annotations(item).get("price", ""))
        expect.that(
            "Decimal" in said or "float" not in said,
            did="the annotation of items.price",
            got=said,
            expected="Mapped[Decimal]",
            why="what reads the annotation, your editor or a colleague, would take the price for a binary fraction",
            hint="the database counts exactly, and gives a Decimal: say so in the annotation",
            at=item,
        )

    async def test_optional(self, load, db):
        """Description and address may be missing, and may be long"""
        owner = await stored_owner(load, db)
        item = load("items.models").Item
        db.add(thing(load, leave=("description", "url"), owner_id=owner.id))
        await saved(db, item, "store an item without description and url")
        for name in ("description", "url"):
            length = getattr(column_of(item, name).type, "length", None)
            expect.that(
                length is None or length >= 2000,
                did=f"the length of items.{name}",
                got=str(length),
                expected="2000 or more, or no bound",
                why="the schema accepts 2000 characters; PostgreSQL would refuse them with a 500",
                hint="Text has no bound",
                at=item,
            )
        length_is(item, "title", 200)

    async def test_required(self, load, db):
        """The database refuses an item without title, price or owner"""
        owner = await stored_owner(load, db)
        item, now = load("items.models").Item, datetime.now(UTC)
        values = {"title": "Lamp", "price": Decimal(1), "owner_id": owner.id, "created_at": now, "updated_at": now}
        for name in ("title", "price", "owner_id"):
            column_of(item, name)
            await refused(
                db,
                item,
                values | {name: None},
                f"INSERT an item whose {name} is NULL",
                why="an item without it cannot be shown, sold or found by its owner",
                hint=f"the annotation of {name} has no None",
            )
            await refused(
                db,
                item,
                {column: value for column, value in values.items() if column != name},
                f"INSERT an item without a word about its {name}",
                why="code that forgets it would store an item that nobody named, or that costs nothing",
                hint=f"{name} has no default in the table of the text: take it away",
            )

    async def test_what_two_may_share(self, load, db):
        """Two items of one owner may be alike, and made in the same moment"""
        owner, now = await stored_owner(load, db), datetime.now(UTC)
        db.add_all([thing(load, owner_id=owner.id, created_at=now) for _ in range(2)])
        await saved(db, load("items.models").Item, "store two items of one owner that are alike")

    def test_index(self, load):
        """One index covers owner_id and then created_at"""
        item = load("items.models").Item
        found = [[column.name for column in one.columns] for one in item.__table__.indexes]
        found += [[c.name for c in one.columns] for one in item.__table__.constraints if type(one) is UniqueConstraint]
        names = [str(one.name) for one in item.__table__.indexes]
        taken = [name for name in names if name in item.__table__.columns]
        expect.that(
            any(columns[:2] == ["owner_id", "created_at"] for columns in found),
            did="the indexes of items",
            got=" and ".join(f"({', '.join(columns)})" for columns in found) or "none",
            expected="(owner_id, created_at), in this order",
            why='"my newest items" would read the items of everybody, and sort them',
            hint=f'the first argument of Index is its name, and "{taken[0]}" stands there: write None in front of it'
            if taken
            else "one Index in __table_args__ names both columns: that of the owner first, then that of the time",
            at=item,
        )
        expect.that(
            all(name.startswith("ix_items") for name in names),
            did="the names of the indexes of items",
            got=", ".join(names),
            expected="names by the convention, such as ix_items_owner_id_created_at",
            why="a migration finds an index by its name",
            hint="give Index the name None: the convention makes it",
            at=item,
        )

    async def test_owner(self, load, db):
        """item.owner is the user, and user.items leads to the item"""
        owner = await stored_owner(load, db)
        item, user = load("items.models").Item, load("users.models").User
        db.add(thing(load, owner_id=owner.id))
        await saved(db, item, "store an item")
        db.expunge_all()
        row = await db.scalar(select(item).options(selectinload(item.owner)))
        found = getattr(row.owner, "id", None), row.id
        db.expunge_all()
        back = await db.scalar(select(user).options(selectinload(user.items)))
        expect.equal(
            (found[0], [one.id for one in back.items]),
            (owner.id, [found[1]]),
            did="item.owner.id, and the ids of user.items",
            why="an item would show up with a wrong owner",
            hint='keep owner = relationship(back_populates="items"), and the foreign key "users.id"',
            at=item,
        )

    async def test_gone_with_the_owner(self, load, sessions):
        """When the owner's row is deleted, the database deletes the items"""
        item, user = load("items.models").Item, load("users.models").User
        engine = create_async_engine(MEMORY)
        event.listen(engine.sync_engine, "connect", lambda raw, _: raw.cursor().execute("PRAGMA foreign_keys=ON"))
        try:
            async with engine.begin() as connection:
                await connection.run_sync(load("db.base").Base.metadata.create_all)
            async with AsyncSession(engine) as session:
                session.add(person(load, items=[thing(load)]))
                await saved(session, item, "store a user with an item")
                await expect_cascade(session, item, user)
        finally:
            await engine.dispose()


async def expect_cascade(session, item, user):
    """Expect that DELETE FROM users removes the items by the foreign key's own rule."""
    reason = {
        "expected": "the items go with their owner",
        "why": "an owner with items could never be deleted, or leaves items that belong to nobody",
        "hint": "the foreign key needs the rule of the table: its argument ondelete",
        "at": item,
    }
    try:
        await session.execute(text("DELETE FROM users"))
    except IntegrityError as error:
        raise expect.Wrong(did="DELETE FROM users", got=in_words(error), **reason) from None
    left = await session.scalar(select(func.count()).select_from(item))
    expect.that(left == 0, did="DELETE FROM users, count the items", got=f"{left} item is left", **reason)


# ---------------------------------------------------------------------------------------------------------------- 3.5


async def pragma(connection):
    """Ask a connection whether foreign keys are checked."""
    return await connection.scalar(text("PRAGMA foreign_keys"))


def hint_on_pragma(enable):
    """Return what to look at: does the function do its work, when somebody calls it?"""
    with closing(sqlite3.connect(":memory:")) as connection:
        try:
            enable(connection, None)
        except sqlite3.Error as error:
            return f"SQLite says of the statement: {error}"
        on = connection.execute("PRAGMA foreign_keys").fetchone()[0]
    if on:
        return "enable_foreign_keys works, but nobody calls it: let the engine's event do that"
    return "the statement changes nothing: SQLite ignores a PRAGMA that it does not know, so mind the spelling"


@exercise("3.5")
class TestForeignKeys:
    @pytest.fixture(autouse=True)
    async def listens(self, load):
        """Name what stops the learner's engine before there is a connection."""
        await made_engine(load).dispose()

    async def test_unknown_owner(self, load, db):
        """An item of an owner who does not exist is refused"""
        db.add(thing(load, owner_id=999))
        enable = load("db.session").enable_foreign_keys
        with expect.raising(
            IntegrityError,
            did="store an item with owner_id=999",
            why="the item would belong to nobody, and PostgreSQL would refuse what your tests accepted",
            hint="the listener is an ordinary function, `def` without `async`: nobody awaits it"
            if inspect.iscoroutinefunction(enable)
            else hint_on_pragma(enable),
            at=enable,
        ):
            await db.flush()

    async def test_not_for_postgresql(self, load):
        """An engine of PostgreSQL hears of nothing new: it always checks"""
        url = "postgresql+asyncpg://ada:secret@127.0.0.1/app"
        mine, plain = made_engine(load, url), create_async_engine(url)
        found = [len(list(engine.sync_engine.pool.dispatch.connect)) for engine in (mine, plain)]
        for engine in (mine, plain):
            await engine.dispose()
        expect.that(
            found[0] == found[1],
            did='make_engine("postgresql+asyncpg://…"): the listeners for "connect"',
            got="one more than an engine has by itself",
            expected="none of yours",
            why="PostgreSQL knows no PRAGMA: each new connection would fail, and with it the request",
            hint="listen on the engine of SQLite only, where the text says",
            at=load("db.session").make_engine,
        )

    async def test_every_connection(self, load, tmp_path):
        """Foreign keys are checked on every connection of the pool"""
        engine = made_engine(load, f"sqlite+aiosqlite:///{tmp_path}/test.db")
        try:
            async with engine.connect() as one, engine.connect() as two, engine.connect() as three:
                found = [await pragma(connection) for connection in (one, two, three)]
        finally:
            await engine.dispose()
        expect.equal(
            found,
            [1, 1, 1],
            did="PRAGMA foreign_keys, on three connections at once",
            why="under load, when the pool opens more connections, some requests would store broken rows",
            hint='listen to the event "connect" of engine.sync_engine: it comes for each connection',
            at=load("db.session").make_engine,
        )

    async def test_items_go_with_their_owner(self, load, db):
        """DELETE FROM users takes the items of the user along"""
        item = load("items.models").Item
        db.add(person(load, items=[thing(load)]))
        await saved(db, item, "store a user with an item")
        await db.execute(text("DELETE FROM users"))
        left = await db.scalar(select(func.count()).select_from(item))
        expect.equal(
            left,
            0,
            did="DELETE FROM users, count the items",
            why="items of nobody would stay for ever; a new user with the same id would inherit them",
            hint="the cascade is a part of the foreign key: it works only when foreign keys are checked",
            at=load("db.session").make_engine,
        )

    async def test_no_other_engine(self, load):
        """Only the engine of make_engine listens, no other one"""
        await made_engine(load).dispose()
        other = create_async_engine(MEMORY)
        try:
            async with other.connect() as connection:
                found = await pragma(connection)
        finally:
            await other.dispose()
        expect.equal(
            found,
            0,
            did="PRAGMA foreign_keys on an engine that make_engine did not make",
            why="a listener on all engines would send the PRAGMA to PostgreSQL too, which refuses it",
            hint="listen on the sync_engine of the engine that comes in, not on the class Engine",
            at=getattr(load("db.session"), "check_foreign_keys", load("db.session").make_engine),
        )

    async def test_a_refused_pragma(self, load):
        """When the PRAGMA fails, its error goes on: no connection is lent that does not check"""

        class Cursor:
            def execute(self, statement, *_):
                raise sqlite3.OperationalError("disk I/O error")

            def close(self):
                pass

            def __enter__(self):
                return self

            def __exit__(self, *_):
                return None

        class Connection:
            cursor, execute = Cursor, Cursor.execute

        enable = load("db.session").enable_foreign_keys
        try:
            if inspect.iscoroutine(made := enable(Connection(), None)):
                made.close()  # another check says that it is no ordinary function
                return
        except Exception:
            return
        raise expect.Wrong(
            did="enable_foreign_keys(connection, record), while the PRAGMA raises an OperationalError",
            got="nothing was raised",
            expected="the OperationalError goes on, and the pool lends no such connection",
            why="on this connection items of nobody could be stored, and no message would tell you",
            hint="catch nothing around the PRAGMA; `finally` closes the cursor after an error, too",
            at=enable,
        )

    async def test_the_cursor_is_closed(self, load):
        """The cursor is closed after the PRAGMA"""
        executed, closed = [], []

        class Cursor:
            def execute(self, statement, *_):
                executed.append(statement)

            def close(self):
                closed.append(True)

            def __enter__(self):
                return self

            def __exit__(self, *_):
                self.close()

        class Connection:
            def cursor(self):
                return Cursor()

            def execute(self, statement, *_):  # the driver's shortcut: the cursor is its own
                executed.append(statement)
                closed.append(True)
                return SimpleNamespace(close=lambda: None)

        enable = load("db.session").enable_foreign_keys
        if inspect.iscoroutine(made := enable(Connection(), None)):
            made.close()
        expect.that(
            len(executed) == 1 and len(closed) == 1,
            did="enable_foreign_keys(connection, record)",
            got=f"{len(executed)} statements, {len(closed)} cursors closed",
            expected="one statement, and its cursor closed",
            why="an open cursor keeps the connection busy",
            hint="use one cursor for the one statement, and close it when that is done",
            at=enable,
        )


# ---------------------------------------------------------------------------------------------------------------- 3.6


async def ada_with_items(load, db, count=2):
    """Store a user with items, and let the session forget all of them."""
    db.add(person(load, items=[thing(load, title=f"Lamp {number}") for number in range(count)]))
    await db.commit()
    db.expunge_all()
    return load("users.models").User, load("items.models").Item


def hint_on_cascade(user):
    """Return what the cascade of user.items lacks, or that something else is at fault."""
    cascade = inspect_mapper(user).relationships["items"].cascade
    if not cascade.delete and cascade.delete_orphan:
        return '"delete-orphan" speaks of what is taken out of the list only: what goes with the user is in "all"'
    if not cascade.delete:
        return "the session tries to keep the items without an owner: tell it by cascade that they belong to their user"
    if not cascade.delete_orphan:
        return 'cascade="all, delete-orphan": "all" alone does not delete what is taken out of the list'
    return "the cascade is there; keep the foreign key of 3.4 with its ondelete, and back_populates"


@exercise("3.6")
class TestRelationship:
    @pytest.fixture(autouse=True)
    def user_is_a_class(self, load):
        """Name what stops the learner's class before there is a relationship."""
        imported(load, "items.models")
        imported(load, "users.models")

    async def test_forgotten_items(self, load, db, quiet):
        """Reading user.items that were not loaded raises an error that names items"""
        user, _ = await ada_with_items(load, db)
        ada = await db.scalar(select(user))
        with quiet() as caught:
            got = repr(ada.items)
        reason = {
            "did": "ada = await session.scalar(select(User)); ada.items",
            "expected": "an error that names User.items",
            "at": user,
        }
        expect.that(
            not is_missing_greenlet(caught.error),
            got="MissingGreenlet, which does not say what was read",
            why="the mistake shows only when the line is reached, and its message does not help",
            hint='lazy="raise" in the relationship',
            **reason,
        )
        expect.that(
            caught.error is not None and "items" in str(caught.error),
            got=in_words(caught.error) if caught.error else got,
            why="a list that is empty though there are items is a lie; one that is always loaded costs a query",
            hint='lazy="raise" in the relationship; the query that needs items asks for them with selectinload',
            **reason,
        )

    async def test_one_statement(self, load, db, statements):
        """select(User) alone sends one statement"""
        user, _ = await ada_with_items(load, db)
        statements.clear()
        await db.scalar(select(user))
        expect.that(
            len(statements) == 1 and "items" not in statements[0],
            did="select(User)",
            got=f"{len(statements)} statement{'s' * (len(statements) > 1)}: {'; '.join(statements)[-160:]}",
            expected="one SELECT from users",
            why="each log-in would load all the items of the user, which nobody asked for",
            hint='lazy="raise" loads nothing; lazy="selectin" and "joined" always load',
            at=user,
        )

    async def test_loaded_items(self, load, db, statements):
        """selectinload(User.items) loads the items of all users with two statements"""
        user, _ = await ada_with_items(load, db)
        db.add(person(load, "eve"))
        await db.commit()
        db.expunge_all()
        statements.clear()
        found = list(await db.scalars(select(user).options(selectinload(user.items)).order_by(user.id)))
        titles = [sorted(one.title for one in row.items) for row in found]
        expect.that(
            titles == [["Lamp 0", "Lamp 1"], []] and len(statements) == 2,
            did="select(User).options(selectinload(User.items)), two users",
            got=f"{titles} with {len(statements)} statements",
            expected="[['Lamp 0', 'Lamp 1'], []] with 2 statements",
            why="a list of users with their items would be wrong or slow",
            hint="keep the annotation Mapped[list[Item]], and back_populates with the name of the other end",
            at=user,
        )

    async def test_delete(self, load, db, statements, quiet):
        """session.delete(user) sends one DELETE, and the items are gone"""
        user, item = await ada_with_items(load, db)
        await db.delete(await db.scalar(select(user)))
        statements.clear()
        with quiet() as caught:
            await db.commit()
        expect.that(
            caught.error is None,
            did="session.delete(user); commit",
            got=in_words(caught.error) if caught.error else "",
            expected="the user and the items are deleted",
            why="a user with items could never be deleted",
            hint=hint_on_cascade(user),
            at=user,
        )
        sent = [one.split()[0] for one in statements]
        expect.that(
            sent == ["DELETE"],
            did="session.delete(user); commit",
            got=f"the statements {', '.join(sent)}",
            expected="one DELETE",
            why="for a user with a million items, all of them would be loaded first",
            hint="passive_deletes=True leaves items that are not loaded to the database",
            at=user,
        )
        left = await db.scalar(select(func.count()).select_from(item))
        expect.equal(
            left,
            0,
            did="count the items of a deleted user",
            why="items of nobody would stay for ever",
            hint="keep ondelete of 3.4",
            at=user,
        )

    async def test_delete_with_loaded_items(self, load, db, quiet):
        """A user whose items are loaded is deleted with them, and nobody else's items are"""
        user, item = await ada_with_items(load, db)
        db.add(person(load, "eve", items=[thing(load, title="Desk")]))
        await db.commit()
        db.expunge_all()
        ada = await db.scalar(select(user).where(user.username == "ada").options(selectinload(user.items)))
        with quiet() as caught:
            await db.delete(ada)
            await db.commit()
        left = [] if caught.error else list(await db.scalars(select(item.title)))
        expect.that(
            caught.error is None and left == ["Desk"],
            did="load a user with the items, session.delete(user); commit",
            got=in_words(caught.error) if caught.error else f"the items {left} are left",
            expected="the user's items are gone, the others stay",
            why="whether a user can be deleted would hang on what was read before",
            hint=hint_on_cascade(user),
            at=user,
        )

    async def test_removed_item(self, load, db, quiet):
        """An item that is taken out of user.items is deleted; the others stay"""
        user, item = await ada_with_items(load, db)
        ada = await db.scalar(select(user).options(selectinload(user.items)))
        with quiet() as caught:
            for one in [one for one in ada.items if one.title == "Lamp 0"]:
                ada.items.remove(one)
            await db.commit()
        left = [] if caught.error else list(await db.scalars(select(item.title)))
        expect.that(
            caught.error is None and left == ["Lamp 1"],
            did="user.items.remove(item); commit",
            got=in_words(caught.error) if caught.error else f"the items {left}",
            expected="the item is deleted, the other one stays",
            why="an item without an owner cannot be stored, so the request would be a 500",
            hint=hint_on_cascade(user),
            at=user,
        )

    async def test_both_ends(self, load, db):
        """user.items and item.owner are two ends of the same thing"""
        ada, lamp = person(load), thing(load)
        ada.items.append(lamp)
        expect.that(
            lamp.owner is ada,
            did="user.items.append(item); item.owner",
            got=repr(lamp.owner),
            expected="the user",
            why="before the commit, your code would see an item without an owner",
            hint='keep back_populates="owner"',
            at=type(ada),
        )
        db.add(ada)
        await db.commit()
        expect.equal(
            lamp.owner_id,
            ada.id,
            did="session.add(user), with an item in user.items; commit; item.owner_id",
            why="the item would belong to nobody",
            hint='the cascade "all" stores the items together with their user',
            at=type(ada),
        )


# ---------------------------------------------------------------------------------------------------------------- 3.7


def slow_copy(monkeypatch, load, seconds=1.0):
    """Put a copy in the learner's module that goes on only when the event loop lives; return what it saw."""
    backup = load("db.backup").backup
    module = importlib.import_module("app.db.backup")
    seen = {"calls": [], "alive": threading.Event(), "was_alive": None, "finished": False}

    def copy(source, target):
        seen["calls"].append((source, target))
        seen["was_alive"] = seen["alive"].wait(seconds)
        threading.Event().wait(0.05)
        seen["finished"] = True

    copy.__qualname__ = "copy_database"  # a TypeError about its arguments names it
    monkeypatch.setattr(module, "copy_database", copy)
    return backup, seen


def noted_copy(monkeypatch):
    """Note the calls of the learner's copy_database, which works as before; return the list of them."""
    module, calls = importlib.import_module("app.db.backup"), []
    copy_database = module.copy_database

    def copy(source, target):
        calls.append((source, target))
        copy_database(source, target)

    copy.__qualname__ = "copy_database"  # a TypeError about its arguments names it
    monkeypatch.setattr(module, "copy_database", copy)
    return calls


async def sign_of_life(seen):
    """Tell the copy that the event loop runs while it works."""
    while not seen["calls"]:
        await asyncio.sleep(0.001)
    seen["alive"].set()


HANDED_OVER = "copy_database is handed over: its name without brackets, then source and target, each behind a comma"
NOT_THE_THREAD = [
    ("'NoneType' object is not callable", f"the copy was made before there was a thread. {HANDED_OVER}"),
    ("required positional argument", HANDED_OVER),
    ("object function can't be used in 'await'", "a name alone calls nothing: put brackets behind to_thread"),
    ("object method can't be used in 'await'", "a name alone calls nothing: put brackets behind it"),
    ("can't be used in 'await'", "copy_database is an ordinary function: await the thread that runs it"),
]


async def backed_up(backup, source, target):
    """Call the learner's backup; brackets or arguments in the wrong place are named."""
    try:
        return await backup(source, target)
    except TypeError as error:
        expect.known(
            error,
            NOT_THE_THREAD,
            did="await backup(source, target)",
            expected="copy_database(source, target) runs in a thread",
            why="there would be no backup, or nobody would get an answer while it is made",
            at=backup,
        )


@exercise("3.7")
class TestBackup:
    async def test_a_copy(self, load, tmp_path, monkeypatch):
        """The backup is a complete copy, and its place is returned"""
        source, target = tmp_path / "app.db", tmp_path / "copy.db"
        with closing(sqlite3.connect(source)) as connection:
            connection.execute("CREATE TABLE things (name TEXT)")
            connection.executemany("INSERT INTO things VALUES (?)", [("lamp",), ("desk",)])
            connection.commit()
        backup = load("db.backup").backup
        calls = noted_copy(monkeypatch)
        got = await backed_up(backup, source, target)
        expect.equal(
            got,
            target,
            did="await backup(source, target)",
            why="the caller would not know where the copy is",
            hint="return target",
            at=backup,
        )
        with closing(sqlite3.connect(target)) as connection:
            names = connection.execute("SELECT name FROM sqlite_master").fetchall()
            rows = connection.execute("SELECT count(*) FROM things").fetchone()[0] if names else 0
        await asyncio.sleep(0 if calls else 0.05)  # a task that nobody awaits begins now
        expect.that(
            bool(calls),
            did="await backup(source, target): the calls of copy_database",
            got="none",
            expected="one call",
            why="you would learn on the day of the accident that there is no backup",
            hint="its name alone calls nothing: hand copy_database and its two arguments to a thread, and await it",
            at=backup,
        )
        expect.equal(
            rows,
            2,
            did="count the rows of the copy, out of 2",
            why="you would learn on the day of the accident that the backup is empty",
            hint="first the source, then the target; and await the end of the thread",
            at=backup,
        )

    async def test_others_go_on(self, load, monkeypatch):
        """While the copy is made, the event loop runs other code"""
        backup, seen = slow_copy(monkeypatch, load)
        life = asyncio.create_task(sign_of_life(seen))
        try:
            await asyncio.wait_for(backed_up(backup, "source", "target"), 5)
            for _ in range(100):
                if seen["finished"]:
                    break
                await asyncio.sleep(0.01)
        finally:
            life.cancel()
        expect.equal(
            seen["calls"],
            [("source", "target")],
            did='await backup("source", "target"): the calls of copy_database',
            why="there would be no copy, or one over the original",
            hint="hand over copy_database without brackets, then its arguments: first the source, then the target",
            at=backup,
        )
        expect.that(
            seen["was_alive"] is True,
            did="a request arrives while copy_database works",
            got="the event loop stood still until the copy was complete",
            expected="the loop goes on",
            why="no user gets an answer while a backup is made",
            hint="run the function in a thread: await asyncio.to_thread(...)",
            at=backup,
        )

    async def test_complete(self, load, monkeypatch):
        """The function returns only when the copy is complete"""
        backup, seen = slow_copy(monkeypatch, load)
        seen["alive"].set()
        await backed_up(backup, "source", "target")
        expect.that(
            seen["finished"] is True,
            did="await backup(source, target)",
            got="it returned before copy_database was done",
            expected="it returns after the copy",
            why="the caller would send away a file that is half written",
            hint="put `await` before asyncio.to_thread(...): it waits for the thread, and blocks nobody",
            at=backup,
        )

    async def test_as_long_as_it_takes(self, load, monkeypatch):
        """A copy that takes an hour is waited for, too"""
        backup, seen = slow_copy(monkeypatch, load, seconds=20)
        loop = asyncio.get_running_loop()
        running = asyncio.ensure_future(backed_up(backup, "source", "target"))
        while not seen["calls"] and not running.done():
            await asyncio.sleep(0.001)
        now = loop.time
        monkeypatch.setattr(loop, "time", lambda: now() + 3600, raising=False)
        for _ in range(20):
            await asyncio.sleep(0)
        seen["alive"].set()
        got = "another error"
        try:
            await running
        except (TimeoutError, asyncio.CancelledError):
            got = "it gave up, while the copy was being made"
        except expect.Wrong:
            raise
        else:
            got = "" if seen["finished"] else "it returned before copy_database was done"
        expect.that(
            not got,
            did="await backup(source, target), where the copy takes an hour",
            got=got,
            expected="it returns the target when the copy is complete",
            why="a large database could never be copied",
            hint="wait for the thread without a limit of time: the text names none",
            at=backup,
        )

    async def test_every_error(self, load, monkeypatch):
        """Whatever goes wrong in the copy is raised, a full disk too"""
        backup, module = load("db.backup").backup, importlib.import_module("app.db.backup")
        for error in (sqlite3.OperationalError("database or disk is full"), PermissionError("no access")):

            def copy(source, target, error=error):
                raise error

            copy.__qualname__ = "copy_database"
            monkeypatch.setattr(module, "copy_database", copy)
            name = expect.with_article(type(error).__name__)
            with expect.raising(
                type(error),
                did=f"await backup(source, target), while copy_database raises {name}",
                why="everybody would believe that there is a backup",
                hint="await the thread, and catch nothing: its error comes back to you",
                at=backup,
            ):
                await backed_up(backup, "source", "target")

    async def test_errors(self, load, tmp_path):
        """An error of the copy reaches the caller"""
        backup = load("db.backup").backup
        got = "nothing was raised"
        try:
            await backed_up(backup, tmp_path / "none.db", tmp_path / "copy.db")
        except FileNotFoundError:
            return
        except expect.Wrong:
            raise
        except Exception as error:
            got = in_words(error)
        raise expect.Wrong(
            did="await backup() of a file that does not exist",
            got=got,
            expected="a FileNotFoundError",
            why="everybody would believe that there is a backup",
            hint="await the thread, and catch nothing: its error comes back to you",
            at=backup,
        )


# ---------------------------------------------------------------------------------------------------------------- 3.8


def new_app(load, database_url=MEMORY):
    """Make an app with a database of its own."""
    settings = load("core.config").Settings(database_url=database_url)
    return load("main").create_app(settings)


def factory_of(app, lifespan):
    """Return the app's session factory; a missing one is a wrong answer."""
    factory = getattr(app.state, "session_factory", None)
    expect.that(
        isinstance(factory, async_sessionmaker),
        did="start the app, app.state.session_factory",
        got=f"a {type(factory).__name__}" if factory is not None else "there is none",
        expected="the session factory",
        why="no route could reach the database",
        hint="what `async with open_database(...)` gives behind `as` belongs into app.state",
        at=lifespan,
    )
    return factory


NOT_ENTERED = [
    ("'function' object does not support", "open_database is called: put brackets with the app's settings behind it"),
    ("the asynchronous context manager protocol", "`async with` needs what open_database returns: call it"),
    ("context manager protocol", "opening and closing must be awaited: write `async with` in place of `with`"),
    ("can't be used in 'await'", "open_database is a block: enter it with `async with`, not with `await`"),
    ("required positional argument: 'settings'", "give open_database the settings of this app"),
]


@asynccontextmanager
async def started(app, lifespan):
    """Run an app; a start that takes open_database for something else is named."""
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(app.router.lifespan_context(app))
        except TypeError as error:
            expect.known(
                error,
                NOT_ENTERED,
                did="start the app",
                expected="it starts, with its database open",
                why="an app that does not start answers nobody",
                at=lifespan,
            )
        yield


async def users_in(factory, lifespan):
    """Count the users; an error of the database is a wrong answer."""
    try:
        async with factory() as session:
            return await session.scalar(text("SELECT count(*) FROM users"))
    except Exception as error:
        raise expect.Wrong(
            did="start the app, SELECT count(*) FROM users",
            got=in_words(error).partition("[SQL")[0].strip(),
            expected="a number: the tables are there",
            why="the first request would be answered with a 500",
            hint="`yield` stands inside the block of `async with`: behind the block the database is closed",
            at=lifespan,
        ) from None


@asynccontextmanager
async def kept_alive():
    """Let no generator that begins in the block be closed by Python's garbage collector: closing is the app's work."""
    before = sys.get_asyncgen_hooks()

    def begins(generator):
        KEPT.append(generator)
        before.firstiter(generator)

    sys.set_asyncgen_hooks(firstiter=begins, finalizer=before.finalizer)
    try:
        yield
    finally:
        sys.set_asyncgen_hooks(*before)


KEPT = []


def noting(app, becomes_ready):
    """Call a function whenever app.state.ready becomes True, before it does."""

    class State(type(app.state)):
        def __setattr__(self, name, value):
            if name == "ready" and value is True:
                becomes_ready()
            super().__setattr__(name, value)

    object.__setattr__(app.state, "__class__", State)


@exercise("3.8")
class TestLifespan:
    async def test_open_while_it_serves(self, load):
        """While the app serves, its session factory reaches the database, and the tables are there"""
        app, lifespan = new_app(load), load("main").lifespan
        async with started(app, lifespan):
            factory = factory_of(app, lifespan)
            expect.equal(
                await users_in(factory, lifespan),
                0,
                did="start the app on an empty database, SELECT count(*) FROM users",
                why="the app would show users of another database",
                hint="open the database with the settings of this app",
                at=lifespan,
            )

    async def test_own_settings(self, load, tmp_path):
        """Each app opens the database of its own settings"""
        lifespan = load("main").lifespan
        one, two = (new_app(load, f"sqlite:///{tmp_path}/{name}.db") for name in ("one", "two"))
        async with started(one, lifespan), started(two, lifespan):
            found = [str(factory_of(app, lifespan).kw["bind"].url).rpartition("/")[2] for app in (one, two)]
        expect.equal(
            found,
            ["one.db", "two.db"],
            did="start two apps, with the databases one.db and two.db",
            why="a test that asks for an empty database would write into the real one",
            hint="use app.state.settings, not get_settings()",
            at=lifespan,
        )

    async def test_closed_at_the_end(self, load, tmp_path):
        """The database is closed and the app not ready when it stops, also after an error, which comes out"""
        lifespan = load("main").lifespan
        for ending in ("a normal stop", "an error"):
            app, raised = new_app(load, f"sqlite:///{tmp_path}/app.db"), False
            try:
                async with kept_alive(), started(app, lifespan):
                    factory = factory_of(app, lifespan)
                    await users_in(factory, lifespan)
                    if ending == "an error":
                        raise ZeroDivisionError
            except ZeroDivisionError:
                raised = True
            expect.equal(
                app.state.ready,
                False,
                did=f"{ending}, then app.state.ready",
                why="requests would be sent to an app that is gone",
                hint="`finally` runs after an error, too: keep the old lines, one step further in",
                at=lifespan,
            )
            expect.that(
                raised is (ending == "an error"),
                did=f"{ending} while the app serves",
                got="the error is swallowed",
                expected="it comes out of the lifespan",
                why="the server would take the crash for a good end",
                hint="catch nothing in lifespan: `finally` is enough",
                at=lifespan,
            )
            engine = factory.kw["bind"]
            left = engine.pool.checkedin()
            await engine.dispose()
            expect.equal(
                left,
                0,
                did=f"{ending}, then the connections that are still open",
                why="each restart would leave connections behind, until the database takes no more",
                hint="`async with open_database(...)` closes it, whatever happens; keep `yield` inside",
                at=lifespan,
            )

    async def test_ready(self, load):
        """The app is ready while it serves, and not before or after"""
        app, lifespan = new_app(load), load("main").lifespan
        found = [app.state.ready]
        async with started(app, lifespan):
            found.append(app.state.ready)
        found.append(app.state.ready)
        expect.equal(
            found,
            [False, True, False],
            did="app.state.ready before, during and after the lifespan",
            why="requests would be sent to an app that cannot answer them",
            hint="keep the lines with app.state.ready, inside the block",
            at=lifespan,
        )

    async def test_ready_last(self, load):
        """When the app becomes ready, its session factory is there; when it starts again, a new one"""
        lifespan, app, seen = load("main").lifespan, new_app(load), []
        noting(app, lambda: seen.append(isinstance(getattr(app.state, "session_factory", None), async_sessionmaker)))
        async with started(app, lifespan):
            first = factory_of(app, lifespan)
        expect.that(
            all(seen) and bool(seen),
            did="start the app: app.state.session_factory at the moment when app.state.ready becomes True",
            got="there is none yet",
            expected="the session factory",
            why="a request of this moment would be answered with a 500",
            hint="first the session factory, then ready: in the order of the text",
            at=lifespan,
        )
        async with started(app, lifespan):
            expect.that(
                factory_of(app, lifespan) is not first and await users_in(factory_of(app, lifespan), lifespan) == 0,
                did="start the same app a second time, app.state.session_factory",
                got="that of the first time",
                expected="a new one, on an open database",
                why="the database of the first time is closed",
                hint="keep nothing outside: each start stores what its own block gives behind `as`",
                at=lifespan,
            )

    async def test_not_ready_without_database(self, load):
        """An app whose database cannot be opened is never ready"""
        app, lifespan = new_app(load, "sqlite:////no/such/folder/app.db"), load("main").lifespan
        seen = []
        noting(app, lambda: seen.append(True))
        try:
            async with app.router.lifespan_context(app):
                seen.append("started")
        except Exception:  # noqa: S110 - that it does not start is right
            pass
        expect.that(
            True not in seen and "started" not in seen,
            did="start the app with a database that cannot be opened",
            got="it started" if "started" in seen else "it was ready for a moment",
            expected="it does not start",
            why="requests would be sent to an app that cannot answer them",
            hint="first open the database, then say that the app is ready; catch no error",
            at=lifespan,
        )
