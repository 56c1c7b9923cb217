"""Checks of chapter 03, a running app: a copy that blocks nobody, and a database that lives as long as the app."""

import asyncio
import importlib
import sqlite3
import sys
import threading
from contextlib import AsyncExitStack, asynccontextmanager, closing

from sqlalchemy import text
from sqlalchemy.ext.asyncio import async_sessionmaker

from course_checks.samples import MEMORY
from course_checks.words import in_words
from workbook import expect
from workbook.checks import exercise

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
