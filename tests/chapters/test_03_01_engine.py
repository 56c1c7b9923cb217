"""Checks of chapter 03, the engine and the base: connections, sessions, and times with their zone."""

import asyncio
import time as clock
from contextlib import asynccontextmanager, redirect_stdout
from datetime import UTC, datetime, timedelta, timezone
from io import StringIO

import pytest
from sqlalchemy import Index, MetaData, func, select, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import ArgumentError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from course_checks.samples import MEMORY
from course_checks.tables import column_of, is_missing_greenlet, made_engine, saved
from course_checks.words import in_words
from workbook import expect
from workbook.checks import exercise

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
