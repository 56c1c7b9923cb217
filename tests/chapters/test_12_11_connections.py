"""Checks of chapter 12, connections: a pool, a log of slow queries, and a database that is away."""

import asyncio
import contextlib
import logging
import re
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool

from course_checks import revisions
from course_checks.logs import Records
from course_checks.people import SECRET_KEY
from course_checks.samples import MEMORY
from workbook import expect
from workbook.checks import exercise

NEEDS = ("postgres",)

# fixtures
_quiet = revisions._quiet

NOBODY = "postgresql+asyncpg://ada:secret@127.0.0.1:1/app"  # an engine connects at its first query, and not before


def pool_of(engine):
    """Return a pool's size, overflow and seconds to wait."""
    pool = engine.pool
    if not isinstance(pool, QueuePool):
        return type(pool).__name__, "none", "no"
    return pool.size(), pool._max_overflow, pool._timeout


def made(make_engine, url, **pool):
    """Make an engine; a dictionary that was handed on as one argument is named."""
    try:
        return make_engine(url, **pool)
    except (AttributeError, TypeError) as error:
        words = ", ".join(f"{name}={value}" for name, value in pool.items())
        hint = "`pool` is a dictionary of arguments: two stars spread it out in the call, as with `options`"
        mistakes = [("'dict' object has no attribute '_dialect'", hint)]
        expect.known(error, mistakes, did=f"make_engine(…, {words})", expected="an engine", at=make_engine)


@exercise("12.11", limit=20)
class TestPool:
    def test_handed_on(self, load):
        """make_engine hands pool_size, max_overflow and pool_timeout on; without them, SQLAlchemy's own stay"""
        make_engine = load("db.session").make_engine
        for given, expected in (
            ({"pool_size": 2, "max_overflow": 1, "pool_timeout": 3}, (2, 1, 3)),
            ({"pool_size": 7, "max_overflow": 0, "pool_timeout": 0.5}, (7, 0, 0.5)),
            ({}, (5, 10, 30)),
        ):
            words = ", ".join(f"{name}={value}" for name, value in given.items())
            size, overflow, seconds = expected
            expect.that(
                pool_of(made(make_engine, NOBODY, **given)) == expected,
                did=f'make_engine("postgresql+asyncpg://…"{", " if given else ""}{words}): its pool',
                got=pool_in_words(make_engine(NOBODY, **given)),
                expected=f"a pool of {size} + {overflow} that waits {seconds} seconds",
                why="four processes with a pool that nobody can set can use up all connections of the server",
                hint="what `pool` has collected is spread out in the call of create_async_engine",
                at=make_engine,
            )

    async def test_sqlite(self, load, tmp_path):
        """SQLite keeps its own rules, whatever is handed over: one connection in memory, checked foreign keys"""
        make_engine = load("db.session").make_engine
        pool = {"pool_size": 9, "max_overflow": 9, "pool_timeout": 1}
        for url in (MEMORY, f"sqlite+aiosqlite:///{tmp_path}/pool.db"):
            engine = make_engine(url, **pool)
            if url == MEMORY:
                expect.equal(
                    (engine.pool.size(), engine.pool._max_overflow),
                    (1, 0),
                    did='make_engine("sqlite+aiosqlite://", pool_size=9, …): size and overflow of its pool',
                    why="an in-memory database lives in its connection: a second one would be another, empty database",
                    hint="below the `if` about SQLite, nothing needs `pool`",
                    at=make_engine,
                )
            plain = pool_of(make_engine(url))
            expect.that(
                pool_of(engine) == plain,
                did=f"make_engine({url.partition('/')[0]}//…, pool_size=9, max_overflow=9, pool_timeout=1): its pool",
                got=pool_in_words(engine),
                expected=f"as without these three, a pool of {plain[0]} + {plain[1]} that waits {plain[2]} seconds",
                why="these numbers are made for a server; what suits SQLite is decided below",
                hint="hand `pool` on in the one line for the databases that are not SQLite",
                at=make_engine,
            )
            async with engine.connect() as connection:
                found = (await connection.exec_driver_sql("PRAGMA foreign_keys")).scalar()
            await engine.dispose()
            expect.equal(
                found,
                1,
                did=f"make_engine({url.partition('/')[0]}//…, pool_size=9), then PRAGMA foreign_keys",
                why="items could belong to nobody",
                hint="what follows the `if` about SQLite stays as it was",
                at=make_engine,
            )

    def test_options_stay(self, load):
        """The other options stay: hide_parameters, pool_pre_ping, echo"""
        make_engine = load("db.session").make_engine
        engine = made(make_engine, NOBODY, echo=True, pool_size=2)
        found = {
            "hide_parameters": engine.sync_engine.hide_parameters,
            "pool_pre_ping": engine.pool._pre_ping,
            "echo": bool(engine.echo),
        }
        engine.sync_engine.echo = False
        for name, value in found.items():
            expect.that(
                value is True,
                did=f"make_engine(…, echo=True, pool_size=2): {name}",
                got="it is off",
                expected="it is on, as before",
                why="hashes would stand in the log, or dead connections be handed out",
                hint="`**options` stays in the call; the pool comes beside it",
                at=make_engine,
            )

    async def test_two_loops(self, load, postgres):
        """Each call makes an engine of its own, so that the app can be started in two event loops"""
        make_engine = load("db.session").make_engine
        engines = [make_engine(postgres), make_engine(postgres)]
        expect.that(
            engines[0] is not engines[1],
            did="make_engine(url), called twice",
            got="the same engine, twice",
            expected="two engines",
            why="two tests with a loop each, or two apps in one process, would break each other",
            hint="an engine belongs to the loop that opened its connections: make one at each call, keep none",
            at=make_engine,
        )

        async def use():
            engine = make_engine(postgres)
            async with engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
            return engine

        engines = [await use()]
        try:
            await asyncio.to_thread(asyncio.run, use())
            engines.append(await use())
        except (RuntimeError, DBAPIError) as error:
            raise expect.Wrong(
                did="make_engine(url) in this event loop, and again in another one; a query with each",
                got=f"{type(error).__name__}: {' '.join(str(getattr(error, 'orig', error)).split())[-160:]}",
                expected="both work",
                why="two tests with a loop each, or two apps in one process, would break each other",
                hint="an engine belongs to the loop that opened its connections: make one at each call, keep none",
                at=make_engine,
                error=error,
                sure=True,
            ) from None
        finally:
            for engine in engines:
                await engine.dispose()

    async def test_settings(self, load, postgres):
        """The app's pool is the one of its settings; who gets no connection in time hears it"""
        module = load("db.session")
        values = {"database_pool_size": 2, "database_max_overflow": 1, "database_pool_timeout": 0.3}
        settings = load("core.config").Settings(database_url=postgres, secret_key=SECRET_KEY, **values)
        async with module.open_database(settings) as sessions, contextlib.AsyncExitStack() as stack:
            engine = sessions.kw["bind"]
            expect.that(
                pool_of(engine) == (2, 1, 0.3),
                did="open_database(Settings(database_pool_size=2, database_max_overflow=1, …)): its pool",
                got=pool_in_words(engine),
                expected="a pool of 2 + 1 that waits 0.3 seconds",
                why="the numbers of each place stand in its settings",
                hint="open_database hands them over; does make_engine hand them on?",
                at=module.make_engine,
            )
            for _ in range(3):
                await stack.enter_async_context(engine.connect())
            with expect.raising(
                PoolTimeout,
                did="take a fourth connection from a pool of 2 + 1",
                why="more connections would be opened than the server has",
                at=module.make_engine,
            ):
                await engine.connect()


def pool_in_words(engine):
    """Say what a pool is."""
    size, overflow, seconds = pool_of(engine)
    return f"a pool of {size} + {overflow} that waits {seconds} seconds"


@asynccontextmanager
async def slow_log(load, seconds=0.2, kind=MEMORY):
    """Give an engine whose slow statements are logged, another one, and the records; `nap(s)` is an SQL function."""
    module, noted = load("db.slow_queries"), Records()
    engines = [load("db.session").make_engine(kind) for _ in range(2)]
    for engine in engines:

        def add(connection, _record):
            connection.run_async(lambda raw: raw.create_function("nap", 1, time.sleep))

        event.listen(engine.sync_engine, "connect", add)
    module.log_slow_queries(engines[0], seconds)
    logger = logging.getLogger("app")
    level = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addHandler(noted)
    try:
        yield engines[0], engines[1], noted.records
    finally:
        logger.removeHandler(noted)
        logger.setLevel(level)
        for engine in engines:
            await engine.dispose()


async def nap(engine, seconds, secret="x", more=""):
    """Run a statement that takes some time, with parameters."""
    async with engine.connect() as connection:
        await connection.execute(text(f"SELECT nap(:seconds), :secret{more}"), {"seconds": seconds, "secret": secret})


SLOW_LINE = "one line for each slow statement, by logger.warning"


async def about_silence(load):
    """Say why a slow statement that runs alone leaves no line: the hint, or nothing where there is one."""
    elsewhere = Records()
    logging.root.addHandler(elsewhere)
    try:
        async with slow_log(load) as (engine, _other, records):
            await nap(engine, 0.3)
            if records:
                return ""
            if any(record.name == "root" for record in elsewhere.records):
                return "`logging.warning` writes to the root logger: the `logger` of this file has a name of its own"
            await nap(engine, 1)
            if records:
                return "the limit is `seconds`, which whoever calls has chosen, and no number of your own"
    finally:
        logging.root.removeHandler(elsewhere)
    source = Path(sys.modules["app.db.slow_queries"].__file__).read_text(encoding="utf-8")
    if re.search(r"\b(process|thread)_time", source):
        return "this clock runs only while the processor works: waiting for a database is no work. perf_counter runs on"
    return SLOW_LINE


def line(record, did="a slow statement with a parameter: its line"):
    """Return a record's text; one that logging cannot put together is a wrong answer."""
    try:
        return record.getMessage()
    except (TypeError, ValueError) as error:
        raise expect.Wrong(
            did=did,
            got=f"logging cannot write it: {type(error).__name__}: {error}",
            expected="a line, as for each other statement",
            why="in the place of the slow query, the log would hold a traceback of logging itself",
            hint="hand the statement over as an argument for a %s: in the pattern its own % is one more blank",
        ) from None


@exercise("12.12")
class TestSlowQueries:
    async def test_slow_and_quick(self, load):
        """A slow statement writes one line, level WARNING; a quick one writes none"""
        function = load("db.slow_queries").log_slow_queries
        async with slow_log(load) as (engine, _other, records):
            await nap(engine, 0)
            expect.equal(
                [line(record, "seconds=0.2, a quick statement: the log") for record in records],
                [],
                did="seconds=0.2, a quick statement: the log",
                why="a log in which everything stands is read by nobody",
                hint="compare what has passed with `seconds`: both are in seconds",
                at=function,
            )
            await nap(engine, 0.3)
            levels = [record.levelname for record in records]
            expect.equal(
                levels,
                ["WARNING"],
                did="seconds=0.2, a statement of 0.3 s: its lines in the log, level WARNING",
                why="nobody would learn which query is slow",
                hint=(not levels and await about_silence(load)) or SLOW_LINE,
                at=function,
            )

    async def test_line(self, load):
        """The line holds the statement and the seconds that it took, and none of the parameters"""
        function = load("db.slow_queries").log_slow_queries
        async with slow_log(load) as (engine, _other, records):
            await nap(engine, 0.3, secret="ada@example.com")
            said = line(records[0]) if records else "nothing"
            did = "a slow statement with a parameter: its line"
            expect.that(
                "SELECT nap(" in said,
                did=did,
                got=said,
                expected="it holds the statement",
                why="nobody would learn which query is slow",
                hint=(not records and await about_silence(load))
                or "the third argument of the listener is the statement",
                at=function,
            )
            expect.that(
                any(0.29 <= float(number) < 30 for number in re.findall(r"\d+\.\d\d+", said)),
                did=did,
                got=said,
                expected="how long it took, such as 0.30",
                why="ten seconds and half a second are not the same trouble",
                hint="%.2f writes a number with two decimal places",
                at=function,
            )
            expect.that(
                "ada@example.com" not in said,
                did=did,
                got=said,
                expected="the statement, and none of their values",
                why="e-mail addresses and hashes would lie in every log file",
                hint="leave the parameters out: the statement alone tells enough",
                at=function,
            )
            records.clear()
            await nap(engine, 0.3, more=", 'ada' LIKE 'a%'")
            for record in records:
                line(record, "a slow statement with LIKE 'a%' in it: its line")

    async def test_at_once(self, load, tmp_path):
        """Two statements at once, on two connections: each has its own time"""
        function = load("db.slow_queries").log_slow_queries
        async with slow_log(load, kind=f"sqlite+aiosqlite:///{tmp_path}/slow.db") as (engine, _other, records):
            await asyncio.gather(nap(engine, 0), nap(engine, 0))  # two connections are open now
            slow = asyncio.create_task(nap(engine, 0.6, "slow"))
            await asyncio.sleep(0.45)
            await nap(engine, 0)
            await slow
            times = [float(number) for one in records for number in re.findall(r"\d+\.\d\d+", line(one))]
            expect.that(  # how the number is written is another question
                len(records) == 1 and (not times or any(number >= 0.55 for number in times)),
                did="seconds=0.2, a statement of 0.6 s, and in the middle of it a quick one: the log",
                got=", ".join(line(record) for record in records) or "nothing",
                expected="one line, of the slow one: each has its own time",
                why="the log would name the wrong query, or none",
                hint=(not records and await about_silence(load))
                or "the note of when a statement began belongs to this statement: `context` is its own",
                at=function,
            )

    async def test_one_engine(self, load):
        """Only the statements of this engine are logged"""
        function = load("db.slow_queries").log_slow_queries
        async with slow_log(load) as (_engine, other, records):
            await nap(other, 0.3)
            expect.equal(
                [record.getMessage() for record in records],
                [],
                did="a slow statement on another engine: the log",
                why="a test, or a second database, would write into the log of the first",
                hint="listen on `engine.sync_engine`",
                at=function,
            )


class DriverError(Exception):
    """An error as a driver raises it."""

    def __init__(self, *codes):
        super().__init__("an error of the driver")
        for code in codes:
            self.sqlstate = code


NO_CODE = "an error may have no `sqlstate`, or one that is `None`: `getattr` with a default, and `or` for the None"
IN_AWAY = [
    ("has no attribute 'sqlstate'", NO_CODE),
    ("'NoneType' object", NO_CODE),
    ("argument of type 'NoneType'", NO_CODE),
    ("startswith first arg must be", "startswith takes one text or a tuple of texts: round brackets, not square ones"),
]


def answer_of(is_away, error, what):
    """Ask the learner's function about an error; known slips are named."""
    try:
        return is_away(error)
    except Exception as slip:
        why = "while it looks at an error another one rises, and the first one is never told"
        expect.known(slip, IN_AWAY, did=f"is_away({what})", expected="True or False", why=why, at=is_away)


NETWORK = (
    (ConnectionRefusedError(111, "x"), "while the server starts, nobody listens at its address"),
    (
        FileNotFoundError(2, "x"),
        "a server may be reached by a socket, a file: while it is stopped, the file is missing",
    ),
    (TimeoutError(), "a server that does not answer in time is away, too"),
    (OSError(113, "x"), "no way leads to the server while a part of the network is down"),
)
AGAIN = ("08000", "08001", "08003", "08006", "53000", "53200", "53300", "57P01", "57P02", "57P03")
NEVER = ("57014", "57000", "22P02", "23505", "25P02", "40001", "42601", "42P08", "42P57", "58030", "5", "0", "")


@exercise("12.13", limit=20)
class TestAway:
    def test_network(self, load):
        """An error of the network, which has no SQLSTATE, means that the database is away"""
        is_away = load("db.away").is_away
        for error, why in NETWORK:
            what = f"{type(error).__name__}()"
            expect.equal(
                answer_of(is_away, error, what),
                True,
                did=f"is_away({what})",
                why=f"{why}: each request would be a 500",
                hint="all errors of the network are an OSError: ask with isinstance",
                at=is_away,
            )

    def test_codes(self, load):
        """An SQLSTATE that begins with 08, 53 or 57P means that the database is away"""
        is_away = load("db.away").is_away
        for code in AGAIN:
            expect.equal(
                answer_of(is_away, DriverError(code), f"an error, sqlstate {code}"),
                True,
                did=f"is_away(error), sqlstate {code}",
                why="the same request works in a minute, and the client is told that something is broken",
                hint="the beginning of the code decides: startswith takes a tuple of beginnings",
                at=is_away,
            )

    def test_other_errors(self, load):
        """Every other error is none of that: another SQLSTATE, None in its place, or none at all"""
        is_away = load("db.away").is_away
        others = [(f"sqlstate {code!r}", DriverError(code)) for code in (*NEVER, None)]
        for what, error in (*others, ("without a sqlstate", DriverError()), ("a ValueError", ValueError("08003"))):
            expect.equal(
                answer_of(is_away, error, f"an error, {what}"),
                False,
                did=f"is_away(error), {what}",
                why="a bug would hide behind 'try again', and clients would try for ever",
                hint="the code may be missing or None, and only how it begins counts; the answer is True or False",
                at=is_away,
            )

    async def test_on_postgres(self, load, postgres):
        """On PostgreSQL, an ended connection and a server that is not there are DatabaseAway; a duplicate is not"""
        module, make_engine = load("db.away"), load("db.session").make_engine
        away = load("core.exceptions").DatabaseAway
        engine, nobody = make_engine(postgres), make_engine(NOBODY)
        for one in (engine, nobody):
            module.tell_when_away(one)

        table = "CREATE TEMP TABLE one (n INTEGER UNIQUE)"
        why = "the client would hear that something is broken, and nobody would try again"
        try:
            for did, one, statement, kind in (
                ("a server that is not there", nobody, "SELECT 1", away),
                ("the server ends the connection", engine, "SELECT pg_terminate_backend(pg_backend_pid())", away),
                ("a duplicate", engine, f"{table}; INSERT INTO one VALUES (1), (1)", IntegrityError),
            ):
                with expect.raising(kind, did=did, why=why, at=module.is_away):
                    async with one.connect() as connection:
                        for part in statement.split("; "):
                            await connection.execute(text(part))
            async with engine.connect() as connection:  # the same engine serves again
                await connection.execute(text("SELECT 1"))
        finally:
            await engine.dispose()
            await nobody.dispose()
