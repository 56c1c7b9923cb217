"""Checks of chapter 13: what is kept, how often one may try, and what is done later.

What concerns the cache is tried in the process and, where this machine has one, on a real Redis.
"""

import asyncio
import gc
import inspect
import json
import logging
import os
import re
import sqlite3
import sys
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from datetime import timedelta
from decimal import Decimal
from time import monotonic, time
from time import sleep as sleep_process
from types import SimpleNamespace

import pytest
from limits.util import WindowStats
from redis.exceptions import ConnectionError as RedisDown
from redis.exceptions import RedisError
from sqlalchemy import delete, event, insert, select, update
from sqlalchemy.exc import IntegrityError
from starlette.requests import Request

from workbook import expect
from workbook.checks import exercise
from workbook.redis import free_port, serve

API = "/api/v1"
SUMMARY = f"{API}/users/me/summary"
PEN = {"title": "Pen", "price": "1.50"}
FILE = "sqlite+aiosqlite:///shop.db"


class Log(logging.Handler):
    """What the app logs while a check runs."""

    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        """Keep a record."""
        self.records.append(record)


@pytest.fixture(autouse=True)
def log():
    """The records of the app's log; with it, none of them is printed."""
    kept, logger = Log(), logging.getLogger("app")
    logger.addHandler(kept)
    yield kept.records
    logger.removeHandler(kept)


def module_of(load, name):
    """Return the learner's module itself, whose names can be set."""
    load(name)
    return sys.modules[f"app.{name}"]


@pytest.fixture(scope="module")
def redis_server():
    """A real Redis; None where this machine has none, which is a failure where one is required."""
    with serve() as server:
        if server is None and os.environ.get("WORKBOOK_REQUIRE_REDIS"):
            pytest.fail("there is no redis-server, and WORKBOOK_REQUIRE_REDIS asks for one")
        yield server


@pytest.fixture
async def caches(load, redis_server):
    """An empty cache of each kind that this machine has."""
    module = load("core.cache")
    found = [module.MemoryCache()]
    if redis_server is not None:
        await emptied(redis_server)
        found.append(module.RedisCache(redis_server.url))
    yield found
    for cache in found:
        await cache.aclose()


async def emptied(server):
    """Take everything out of a Redis, which may have been ended or paused by an earlier check."""
    from redis.asyncio import Redis

    if not server.answers():
        server.start()
    async with Redis.from_url(server.url) as redis:
        await redis.flushall()


class Loader:
    """Makes summaries, and counts them.

    Args:
        seconds: how long one takes.
        fails: how many of the first ones raise.
    """

    def __init__(self, load, *, seconds=0.0, fails=0, items=3, worth="10.00"):
        self.summary = load("items.schemas").ItemSummary(items=items, worth=Decimal(worth))
        self.seconds, self.fails, self.made = seconds, fails, 0

    async def __call__(self):
        """Make a summary."""
        self.made += 1
        failing = self.made <= self.fails
        await asyncio.sleep(self.seconds)
        if failing:
            raise OSError("the query failed")
        return self.summary


class Spy:
    """A cache that notes what it is asked, and keeps it in another one."""

    def __init__(self, inner):
        self.inner, self.asked = inner, []

    def __getattr__(self, name):
        method = getattr(self.inner, name)

        async def ask(*arguments, **named):
            with suppress(TypeError):  # which the call itself will raise
                given = inspect.signature(method).bind(*arguments, **named)
                self.asked.append((name, *given.args, *given.kwargs.values()))
            return await method(*arguments, **named)

        return ask if asyncio.iscoroutinefunction(method) else method

    def all(self, name):
        """Return the arguments of each call of a method."""
        return [asked[1:] for asked in self.asked if asked[0] == name]


def summaries_of(load, cache):
    """Return the learner's SummaryCache on a cache."""
    return load("items.summary").SummaryCache(cache)


def method(load, name, module="items.summary", owner="SummaryCache"):
    """Return a method of the learner's, for `at=`; the class where it is missing."""
    made = getattr(load(module), owner)
    return getattr(made, name, made)


def in_hand(did, found, kind, *, at, hint):
    """Expect that a method returned something of a kind."""
    expect.that(
        isinstance(found, kind),
        did=did,
        got=f"it returned {expect.shown(found)}",
        expected=f"{'an' if kind.__name__[0] in 'AI' else 'a'} {kind.__name__}",
        why="the route answers with what comes back here",
        hint=hint,
        at=at,
    )
    return found


# ---------------------------------------------------------------------------------------------------------------- 13.1


async def add_item(client, person, **changes):
    """Create an item over HTTP; return its fields."""
    answer = await client.post(f"{API}/items", json=PEN | changes, headers=person.headers)
    expect.status(answer, 201, why="nobody could add an item", hint="hand on what `super().create(data)` returns")
    return expect.body(answer)


async def summary_of(client, person):
    """Return somebody's summary, read over HTTP."""
    answer = await client.get(SUMMARY, headers=person.headers)
    expect.status(answer, 200, why="the first page of the site would be an error", hint="")
    return expect.body(answer)


@asynccontextmanager
async def counted(client, part):
    """Count the statements that hold a text, while a block runs: `found.n`."""
    found, engine = SimpleNamespace(n=0), client.sessions.kw["bind"].sync_engine

    def note(_connection, _cursor, statement, _parameters, _context, _many):
        found.n += part in statement.lower()

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", note)


@exercise("13.1")
class TestKept:
    async def test_second_read(self, load, visitor, people):
        """The first GET /users/me/summary reads the items, the second one within a minute does not"""
        ada = await people.add("ada")
        await add_item(visitor, ada)
        at = method(load, "kept")
        async with counted(visitor, "sum(items.price)") as queries:
            first, second = await summary_of(visitor, ada), await summary_of(visitor, ada)
        expect.equal(
            first,
            {"items": 1, "worth": "1.50"},
            did="the summary of one pen for 1.50",
            why="the number on the page would be wrong",
            hint="return what `load` gives",
            at=method(load, "fill"),
        )
        expect.equal(
            second, first, did="the second summary, with nothing changed", why="it contradicts the first", at=at
        )
        expect.equal(
            queries.n,
            1,
            did="how often the items were read, in two requests",
            why="a cache that nobody finds again is work for nothing",
            hint="`fill` keeps what it made under `self.key(user_id)`, and `kept` looks under the same name",
            at=at,
        )

    async def test_own(self, load, caches):
        """Everybody gets their own summary: Bob's is made for Bob"""
        for cache in caches:
            summaries, ada, bob = summaries_of(load, cache), Loader(load, items=3), Loader(load, items=0, worth="0")
            await summaries.read(7, ada)
            found = await summaries.read(77, bob)
            expect.that(
                bob.made == 1 and getattr(found, "items", None) == 0,
                did="read(77, …), after read(7, …) has kept a summary with 3 items",
                got=f"{expect.shown(found)}, and `load` of user 77 was called {bob.made} times",
                expected="a summary of its own, with 0 items",
                why="one user would see what another one owns, and no log would tell",
                hint="the key names all that the answer depends on: put the user's id into it",
                at=summaries.key,
            )
            again = await summaries.read(7, ada)
            expect.equal(
                getattr(again, "items", None),
                3,
                did="items in read(7, …), after user 77 has read too",
                why="the second user's summary took the place of the first one's",
                hint="a key of its own for each user",
                at=summaries.key,
            )

    async def test_zero(self, load, caches):
        """A summary with 0 items is kept as any other"""
        for cache in caches:
            summaries, loader = summaries_of(load, cache), Loader(load, items=0, worth="0")
            await summaries.read(7, loader)
            await summaries.read(7, loader)
            expect.equal(
                loader.made,
                1,
                did="how often `load` ran, in two reads of an empty summary",
                why="who owns nothing would cost a query each time",
                hint="keep whatever `load` gives, and ask with `is None` whether something is kept",
                at=method(load, "kept" if await cache.get(summaries.key(7)) else "fill"),
            )

    async def test_ttl(self, load, caches):
        """What is kept is gone after SUMMARY_SECONDS"""
        module = load("items.summary")
        for cache in caches:
            spy = Spy(cache)
            await summaries_of(load, spy).read(7, Loader(load))
            ttls = [asked[-1] for asked in spy.all("set")]
            expect.equal(
                ttls,
                [module.SUMMARY_SECONDS],
                did="the TTLs with which summaries were kept, in one read",
                why="whatever goes wrong with a cache, the TTL ends it; without it an old answer stays for ever",
                hint="`set` takes three things: the key, the value, and SUMMARY_SECONDS",
                at=method(load, "fill"),
            )
            summaries, loader = summaries_of(load, cache), Loader(load)
            await cache.delete(summaries.key(7))
            await summaries.read(8, loader)
            await cache.delete(summaries.key(8))
            await summaries.read(8, loader)
            expect.equal(
                loader.made,
                2,
                did="how often `load` ran, when the cache had lost the summary between two reads",
                why="an answer that lives outside of the cache has no TTL, and nobody can forget it",
                hint="keep it in `self.cache` and nowhere else: a dict of your own lives for ever",
                at=method(load, "kept"),
            )

    async def test_key(self, load):
        """The key is a text, the same in every process, and has a part for the version beside the user's id"""
        keys = [summaries_of(load, load("core.cache").MemoryCache()).key(id) for id in (7, 77, 7)]
        at = method(load, "key")
        in_hand("key(7)", keys[0], str, at=at, hint="an f-string with the id, such as summary:v1:7")
        expect.that(
            keys[0] == keys[2] and keys[0] != keys[1],
            did="key(7), key(77), key(7)",
            got=expect.shown(keys),
            expected="one name for user 7, and another one for user 77",
            why="a name that changes is never found again",
            hint="build it from the user's id, and from nothing that differs from call to call",
            at=at,
        )
        rest = keys[0].replace("7", "", 1)
        expect.that(
            any(character.isdigit() for character in rest) and len(rest) > 2,
            did="key(7)",
            got=expect.shown(keys[0]),
            expected="a name with a number for the version, such as summary:v1:7",
            why="a later version of the app keeps other things in the same Redis, and must not meet these",
            hint="write what it is, and a number that you raise when the schema changes, in front of the id",
            at=at,
        )

    async def test_old_version(self, load, caches):
        """What another version of the app has kept, or what is no JSON, counts as nothing: a new one is made"""
        for stored in (b'{"count": 3}', b'{"items": "many", "worth": null}', b"null", b"\x80\x04pickle", b""):
            for cache in caches:
                summaries, loader = summaries_of(load, cache), Loader(load)
                await cache.set(summaries.key(7), stored, 60)
                try:
                    found = await summaries.read(7, loader)
                except Exception as error:
                    raise expect.Wrong(
                        did=f"read(7, …), while {stored!r} is kept",
                        got=f"it raised {type(error).__name__}",
                        expected="a new summary, as if nothing was kept",
                        why="after an update of the app every request would be a 500, until the old values are gone",
                        hint="catch the ValidationError of model_validate_json, and return None",
                        at=method(load, "kept"),
                        sure=True,
                    ) from None
                expect.that(
                    loader.made == 1 and found == loader.summary,
                    did=f"read(7, …), while {stored!r} is kept",
                    got=f"it returned {expect.shown(found)}; `load` was called {loader.made} times",
                    expected="a new summary, as if nothing was kept",
                    why="a value that today's schema does not know would go out to the client",
                    hint="check what was stored with ItemSummary.model_validate_json: it looks at every field",
                    at=method(load, "kept"),
                )

    async def test_json(self, load, caches):
        """What is kept is JSON, with the two fields"""
        for cache in caches:
            summaries = summaries_of(load, cache)
            await summaries.fill(7, Loader(load))
            stored = await cache.get(summaries.key(7))
            at = method(load, "fill")
            expect.that(
                not isinstance(stored, str),
                did="what `fill` has handed to `self.cache.set`",
                got=f"a str, {expect.shown(stored)}",
                expected="bytes",
                why="a cache takes bytes and gives bytes back: with a text each kind of cache would give another thing",
                hint="`encode()` makes bytes of a text",
                at=at,
            )
            try:
                fields = json.loads(stored)
            except (TypeError, ValueError):
                fields = None
            expect.that(
                isinstance(fields, dict) and set(fields) == {"items", "worth"},
                did="what `fill` has kept, read as JSON",
                got=expect.shown(stored),
                expected='{"items":3,"worth":"10.00"}',
                why="pickle runs code when it reads; JSON can be checked, and read by the next version",
                hint="`summary.model_dump_json().encode()` gives the bytes",
                at=at,
            )
            kept = await summaries.kept(7)
            expect.equal(
                getattr(kept, "worth", kept),
                Decimal("10.00"),
                did="worth in `kept(7)`, after `fill`",
                why="what is read is not what was kept",
                hint="return the ItemSummary that model_validate_json gives",
                at=method(load, "kept"),
            )

    async def test_error(self, load, caches):
        """When `load` raises, the exception rises, nothing is kept, and the next read tries again"""
        for cache in caches:
            summaries, loader = summaries_of(load, cache), Loader(load, fails=1)
            try:
                found = await summaries.read(7, loader)
            except OSError:
                found = None
            else:
                raise expect.Wrong(
                    did="read(7, load), while `load` raises OSError",
                    got=f"it returned {expect.shown(found)}",
                    expected="the OSError of `load`",
                    why="a broken database would look like an empty shop, for a minute",
                    hint="catch the ValidationError of `kept` only; let `load` fail",
                    at=method(load, "fill"),
                )
            again = await summaries.read(7, loader)
            expect.that(
                again == loader.summary,
                did="the next read(7, load)",
                got=expect.shown(again),
                expected="the summary that `load` makes now",
                why="one bad moment would be answered for a whole minute",
                hint="call `load` first, and keep what it returned",
                at=method(load, "fill"),
            )

    async def test_fault(self, load, monkeypatch):
        """A fault that is none of the stored value rises: `kept` expects one that cannot be read, and nothing wider"""
        cache, model = load("core.cache").MemoryCache(), load("items.schemas").ItemSummary
        summaries = summaries_of(load, cache)
        await summaries.fill(7, Loader(load))

        def fail(*_arguments, **_named):
            raise RuntimeError("a fault")

        async def get(_key):
            fail()

        async def get_badly(_key):
            raise ValueError("a fault")

        places = [(cache, "get", get, "self.cache.get", RuntimeError)]
        places += [
            (model, name, fail, f"ItemSummary.{name}", RuntimeError)
            for name in ("model_validate_json", "model_validate")
        ]
        places += [(cache, "get", get_badly, "self.cache.get", ValueError)]
        for owner, name, instead, told, kind in places:
            with monkeypatch.context() as patch:
                patch.setattr(owner, name, instead)
                try:
                    found = await summaries.kept(7)
                except kind:
                    continue
            expect.that(
                found is not None,  # it asks in another way
                did=f"kept(7), while {told} raises {kind.__name__}",
                got="it returned None",
                expected=f"the {kind.__name__} rises",
                why="a fault in the code would look like an empty cache, and nobody would repair it",
                hint="name what you expect in the `except`: ValidationError, and nothing wider",
                at=method(load, "kept"),
            )

    async def test_nothing(self, load, caches):
        """`kept` is None where nothing is there, and `fill` returns the summary"""
        for cache in caches:
            summaries, loader = summaries_of(load, cache), Loader(load)
            found = await summaries.kept(7)
            expect.that(
                found is None,
                did="kept(7), with an empty cache",
                got=expect.shown(found),
                expected="None",
                why="`read` asks by it whether a summary must be made",
                hint="`self.cache.get` returns None where nothing is kept: hand it on",
                at=method(load, "kept"),
            )
            made = await summaries.fill(7, loader)
            in_hand("fill(7, load)", made, type(loader.summary), at=method(load, "fill"), hint="return the summary")


# ---------------------------------------------------------------------------------------------------------------- 13.2


def probe(load, client, actions, *, error=None, look=None):
    """Add a route that writes a user, notes actions, and ends well or with an error."""
    session_dep, module, user = load("db.session").SessionDep, load("db.session"), load("users.models").User

    @client.app.post("/probe")
    async def route(session: session_dep) -> None:
        session.add(user(email="eve@example.com", username="eve", hashed_password="none"))
        await session.flush()
        for action in actions:
            module.after_commit(session, action)
        if error is not None:
            raise error

    client.watched.alone = False


class Actions:
    """Actions that note when they ran, and how many users another session saw then."""

    def __init__(self, load, client, *, fails=()):
        self.ran, self._fails, self._client = [], fails, client
        self._user = load("users.models").User

    def __getitem__(self, name):
        async def action():
            self.ran.append((name, await self.stored()))
            if name in self._fails:
                raise OSError(f"{name} failed")

        return action

    async def stored(self):
        """Say whether another session sees Eve."""
        async with self._client.sessions() as session:
            return await session.scalar(self._user.__table__.select().where(self._user.username == "eve")) is not None


LATER = {
    "why": "what is done for a change that is not saved cannot be taken back: a cache, a mail",
    "hint": "commit first; what stands below it runs only when the commit has worked",
}


@exercise("13.2")
class TestAfterCommit:
    async def test_after(self, load, open_visit):
        """The actions of a request run after its commit, in their order, each of them once"""
        async with open_visit(FILE) as client:
            actions = Actions(load, client)
            probe(load, client, [actions["first"], actions["second"]])
            expect.status(await client.post("/probe"), 200, why="a request that works would fail", hint="")
            expect.equal(
                [name for name, _ in actions.ran],
                ["first", "second"],
                did="the actions that ran, of a request that noted `first` and `second`",
                why="what was noted is not done: an old summary stays, a mail is not sent",
                hint="take the list out of session.info, go through it in its order, and await each action",
                at=load("db.session").commit,
            )
            expect.equal(
                [seen for _, seen in actions.ran],
                [True, True],
                did="whether another session could see the new row, when each action ran",
                at=load("db.session").commit,
                **LATER,
            )

    async def test_twice(self, load, db):
        """A second commit of the same session does not run them again, but what was noted since"""
        module, ran = load("db.session"), []

        def noting(name):
            async def action():
                ran.append(name)

            return action

        for name in ("first", "second"):
            module.after_commit(db, noting(name))
            await module.commit(db)
        expect.equal(
            ran,
            ["first", "second"],
            did="the actions that ran, when `first` was noted, then commit, then `second`, then commit",
            why="a mail would be sent again at each commit",
            hint="`pop` takes the list out of session.info: what is done is no note any more",
            at=module.commit,
        )

    async def test_before_the_answer(self, load, open_visit):
        """They have run when the answer comes"""
        async with open_visit(FILE) as client:
            actions, sent = Actions(load, client), []
            probe(load, client, [actions["first"]])
            inner = client.app

            async def app(scope, receive, send):
                async def note(message):
                    if message["type"] == "http.response.start":
                        sent.append(len(actions.ran))
                    await send(message)

                await inner(scope, receive, note)

            client.watched.app = app
            await client.post("/probe")
            expect.equal(
                sent,
                [1],
                did="how many actions had run when the answer was sent",
                why="who has seen a 201 must be able to read what they wrote",
                hint="await each action in `commit`: a task of its own runs at any time",
                at=load("db.session").commit,
            )

    async def test_error(self, load, open_visit):
        """A request that raises runs no action, and neither does the next one"""
        async with open_visit(FILE) as client:
            actions = Actions(load, client)
            probe(load, client, [actions["first"]], error=load("core.exceptions").NotFound())
            expect.status(await client.post("/probe"), 404, why="an error must stay the error that it is", hint="")
            expect.equal(
                actions.ran,
                [],
                did="the actions of a request that ended in a 404",
                at=load("db.session").commit,
                **LATER,
            )
            ada = {"email": "ada@example.com", "username": "ada", "password": "Correct horse"}
            await client.post(f"{API}/auth/register", json=ada)
            expect.equal(
                actions.ran,
                [],
                did="the actions that the failed request had noted, after the next request",
                why="the next one would do what another one asked for, and took back",
                hint="session.info belongs to one session; a list of the module belongs to all",
                at=load("db.session").commit,
            )

    async def test_failed_commit(self, load, open_visit):
        """When the commit fails, no action runs, and the answer is a 500"""
        async with open_visit(FILE) as client:
            actions = Actions(load, client)
            probe(load, client, [actions["first"]])
            engine = client.sessions.kw["bind"].sync_engine

            def fail(_connection):
                raise OSError("no space left on device")

            event.listen(engine, "commit", fail)
            try:
                answer = await client.post("/probe")
            finally:
                event.remove(engine, "commit", fail)
            expect.equal(
                [name for name, _ in actions.ran],
                [],
                did="the actions, after a commit that failed",
                at=load("db.session").commit,
                **LATER,
            )
            expect.status(
                answer,
                500,
                why="the client hears that all is well, and nothing is saved",
                hint="the `try` stands around one action; the commit stands outside of it",
                at=load("db.session").commit,
            )

    async def test_kept_changes(self, load, open_visit):
        """An error that keeps its changes has committed: its actions run, and it stays the error that it is"""
        module = load("core.exceptions")

        class Kept(module.NotFound):
            keep_changes = True

        async with open_visit(FILE) as client:
            actions = Actions(load, client)
            probe(load, client, [actions["first"]], error=Kept())
            answer = await client.post("/probe")
            expect.status(answer, 404, why="an error must stay the error that it is", hint="keep the `raise`")
            expect.equal(
                actions.ran,
                [("first", True)],
                did="the actions of a request whose error keeps its changes, and whether they saw the new row",
                why="the change is saved, and what belongs to it is not done",
                hint="get_session commits at two places: both call your `commit`",
                at=load("db.session").get_session,
            )

    async def test_failing_action(self, load, open_visit, log):
        """An action that fails is logged with its traceback; the next one runs, and the answer stays 200"""
        async with open_visit(FILE) as client:
            actions = Actions(load, client, fails={"first"})
            probe(load, client, [actions["first"], actions["second"]])
            answer = await client.post("/probe")
            at = load("db.session").commit
            expect.status(
                answer,
                200,
                why="the row is saved: a 500 would be a lie, and the client would try again",
                hint="put a `try` around one action, and catch Exception there",
                at=at,
            )
            expect.equal(
                [name for name, _ in actions.ran],
                ["first", "second"],
                did="the actions that ran, when `first` raised",
                why="one broken action would take all others with it",
                hint="the `try` stands inside of the loop",
                at=at,
            )
            told = [record for record in log if record.exc_info and isinstance(record.exc_info[1], OSError)]
            expect.equal(
                len(told),
                1,
                did="the log records that carry the exception of the failed action",
                why="a fault that nobody hears of is never repaired",
                hint="logger.exception(…) in the `except` writes the traceback too",
                at=at,
            )

    async def test_without(self, load, visitor):
        """A request that notes nothing works as before"""
        answer = await visitor.post(
            f"{API}/auth/register", json={"email": "ada@example.com", "username": "ada", "password": "Correct horse"}
        )
        expect.status(
            answer,
            201,
            why="nearly all requests note nothing",
            hint='`session.info.pop("after_commit", [])` gives an empty list where there is no note',
            at=load("db.session").commit,
        )

    async def test_cancelled(self, load, db):
        """A request that is cancelled stays cancelled"""
        module, reached = load("db.session"), []

        async def forever():
            reached.append(True)
            await asyncio.sleep(60)

        module.after_commit(db, forever)
        task = asyncio.create_task(module.commit(db))
        while not reached and not task.done():
            await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.wait([task])
        expect.that(
            task.cancelled(),
            did="`commit` is cancelled while it waits for an action",
            got="it went on, as if nothing had happened",
            expected="it ends, with the CancelledError",
            why="the server could not stop: whoever closes it would wait for ever",
            hint="catch Exception: CancelledError is none, on purpose",
            at=module.commit,
        )


# ---------------------------------------------------------------------------------------------------------------- 13.3


def kept_ids(load, client, *people):
    """Return a coroutine that says whose summaries are kept."""

    async def look():
        summaries = summaries_of(load, client.app.state.cache)
        return [one.username for one in people if await summaries.kept(one.id) is not None]

    return look()


THE_OWNER = "the one who asks is the admin; the summary belongs to the item's owner: item.owner_id"


class Handed:
    """Stands in for `after_commit` in the learner's module: a coroutine is no function, and is noted and closed."""

    def __init__(self, real):
        self.real, self.coroutines = real, 0

    def __call__(self, session, action):
        """Note an action."""
        if not asyncio.iscoroutine(action):
            return self.real(session, action)
        self.coroutines += 1
        return action.close()

    def none(
        self,
        at,
        late="the old summary stays",
        hint="hand a function over, not the result of a call: a `lambda:` before it calls it later",
    ):
        """Expect that functions were handed over, and no coroutines."""
        expect.that(
            self.coroutines == 0,
            did="what after_commit was handed",
            got="a coroutine: what a call of an `async def` gives",
            expected="a function, which is called after the commit",
            why=f"after the commit there is nothing to call, and {late}",
            hint=hint,
            at=at,
        )


@pytest.fixture
def handed(load, monkeypatch):
    """What the learner's code hands to `after_commit`."""
    found = Handed(load("db.session").after_commit)
    monkeypatch.setattr(module_of(load, "items.summary"), "after_commit", found, raising=False)
    return found


@exercise("13.3")
class TestOutdated:
    async def two(self, client, people):
        """Give two people with a pen each, whose summaries are kept, and the pens' ids."""
        ada, bob = await people.add("ada"), await people.add("bob")
        pens = [(await add_item(client, person))["id"] for person in (ada, bob)]
        for person in (ada, bob):
            await summary_of(client, person)
        return ada, bob, pens

    async def test_adds(self, load, visitor, people, handed):
        """Who adds an item reads a summary that knows of it, and nobody else's is forgotten"""
        await self.own(load, visitor, people, handed, "adds")

    async def test_changes(self, load, visitor, people, handed):
        """Who changes an item reads a summary that knows of it, and nobody else's is forgotten"""
        await self.own(load, visitor, people, handed, "changes")

    async def test_deletes(self, load, visitor, people, handed):
        """Who deletes an item reads a summary that knows of it, and nobody else's is forgotten"""
        await self.own(load, visitor, people, handed, "deletes")

    async def own(self, load, visitor, people, handed, how):
        """Let Ada do something, and look at both summaries."""
        ada, bob, pens = await self.two(visitor, people)
        name = {"adds": "create", "changes": "update", "deletes": "delete"}[how]
        at = method(load, name, owner="SummarizedItems")
        path = f"{API}/items/{pens[0]}"
        if how == "adds":
            await add_item(visitor, ada, price="2.50")
        elif how == "changes":
            answer = await visitor.patch(path, json={"price": "9.00"}, headers=ada.headers)
            expect.status(answer, 200, why="nobody could change an item", hint="", at=at)
            got = expect.body(answer)
            expect.equal(
                isinstance(got, dict) and got.get("price"),
                "9.00",
                did="price in the answer of PATCH",
                why="the client would not see what it changed",
                hint="return what `super().update(…)` returns",
                at=at,
            )
        else:
            answer = await visitor.delete(path, headers=ada.headers)
            expect.status(answer, 204, why="nobody could delete an item", hint="", at=at)
        wanted = {
            "adds": {"items": 2, "worth": "4.00"},
            "changes": {"items": 1, "worth": "9.00"},
            "deletes": {"items": 0, "worth": "0.00"},
        }[how]
        handed.none(at)
        expect.equal(
            await summary_of(visitor, ada),
            wanted,
            did=f"Ada's summary, after Ada {how} an item",
            why="for a minute the page contradicts what she did a second ago",
            hint=f"`{name}` notes what is to be done after the commit: after_commit(self.session, …)",
            at=at,
        )
        expect.equal(
            await kept_ids(load, visitor, bob),
            ["bob"],
            did=f"the summaries that are still kept, of Bob, after Ada {how} an item",
            why="a busy shop would forget everybody's summary all the time",
            hint="forget the summary of the item's owner only",
            at=at,
        )

    async def test_admin_changes(self, load, visitor, people, handed):
        """When an admin changes Ada's item, Ada's summary is forgotten, and not the admin's"""
        await self.admin(load, visitor, people, handed, "changes")

    async def test_admin_deletes(self, load, visitor, people, handed):
        """When an admin deletes Ada's item, Ada's summary is forgotten, and not the admin's"""
        await self.admin(load, visitor, people, handed, "deletes")

    async def admin(self, load, visitor, people, handed, how):
        """Let an admin do something to Ada's item, and look at both summaries."""
        ada, _bob, pens = await self.two(visitor, people)
        root = await people.admin()
        await add_item(visitor, root)
        await summary_of(visitor, root)
        path = f"{API}/items/{pens[0]}"
        if how == "changes":
            await visitor.patch(path, json={"price": "9.00"}, headers=root.headers)
        else:
            await visitor.delete(path, headers=root.headers)
        at = method(load, "update" if how == "changes" else "delete", owner="SummarizedItems")
        wanted = {"items": 1, "worth": "9.00"} if how == "changes" else {"items": 0, "worth": "0.00"}
        handed.none(at)
        expect.equal(
            await summary_of(visitor, ada),
            wanted,
            did=f"Ada's summary, after an admin {how} Ada's item",
            why="the owner would see the old number for a minute",
            hint=THE_OWNER,
            at=at,
        )
        expect.equal(
            await kept_ids(load, visitor, root),
            ["root"],
            did="whether the admin's summary is still kept",
            why="the wrong person's summary is made anew",
            hint=THE_OWNER,
            at=at,
        )

    async def test_not_before(self, load, open_visit, handed):
        """A reader who comes between the change and its commit cannot put the old summary back"""
        async with open_visit(FILE) as client:
            people = load_people(load, client)
            ada = await people.add("ada")
            pen = await add_item(client, ada)
            service = load("items.summary").SummarizedItems
            summaries = summaries_of(load, client.app.state.cache)
            item_crud, user = load("items.crud").item_crud, await people.stored(ada)

            async def read():
                async with client.sessions() as session:
                    return await summaries.read(ada.id, lambda: item_crud.summarize(session, ada.id))

            for name in ("create", "update", "delete"):
                at = method(load, name, owner="SummarizedItems")
                await summaries.forget(ada.id)
                before = await read()
                async with client.sessions() as session:
                    items = service(session, user, summaries)
                    if name == "create":
                        await items.create(load("items.schemas").ItemCreate(title="Ink", price=5))
                    else:
                        item = await items.get(pen["id"])
                        changes = load("items.schemas").ItemUpdate(price=7)
                        await (items.update(item, changes) if name == "update" else items.delete(item))
                    handed.none(at)
                    expect.equal(
                        await summaries.kept(ada.id),
                        before,
                        did=f"the summary that is kept, after `{name}` and before its commit",
                        why="a reader who comes now cannot see the change: it would keep the old summary for a minute",
                        hint="do not forget here; hand a function to after_commit, which is called later",
                        at=at,
                    )
                    await load("db.session").commit(session)
                found = await summaries.kept(ada.id)
                expect.that(
                    found is None,
                    did=f"the summary that is kept, after `{name}` and its commit",
                    got=expect.shown(found),
                    expected="None: it is forgotten",
                    why="the old summary stays for a minute",
                    hint="note it with after_commit(self.session, lambda: self.summaries.forget(…))",
                    at=at,
                )

    async def test_refused(self, load, visitor, people):
        """A request that ends in an error forgets nothing"""
        ada, bob, pens = await self.two(visitor, people)
        await visitor.patch(f"{API}/items/{pens[0]}", json={"price": "1.00"}, headers=bob.headers)
        await visitor.patch(f"{API}/items/{pens[0]}", json={"price": "-1.00"}, headers=ada.headers)
        await visitor.delete(f"{API}/items/{pens[0] + 100}", headers=ada.headers)
        expect.equal(
            await kept_ids(load, visitor, ada, bob),
            ["ada", "bob"],
            did="whose summaries are kept, after three requests that were refused",
            why="a stranger could empty the cache by requests that are refused",
            hint="note it in the methods that change something, and nowhere else",
            at=method(load, "update", owner="SummarizedItems"),
        )

    async def test_many(self, load, open_visit, handed):
        """Several changes in one transaction forget the summary of each owner"""
        async with open_visit(FILE) as client:
            people = load_people(load, client)
            ada, bob, root = await people.add("ada"), await people.add("bob"), await people.admin()
            pens = [(await add_item(client, person))["id"] for person in (ada, bob)]
            for person in (ada, bob, root):
                await summary_of(client, person)
            summaries = summaries_of(load, client.app.state.cache)
            async with client.sessions() as session:
                items = load("items.summary").SummarizedItems(session, await people.stored(root), summaries)
                for pen in pens:
                    await items.update(await items.get(pen), load("items.schemas").ItemUpdate(price=3))
                await load("db.session").commit(session)
            handed.none(method(load, "update", owner="SummarizedItems"))
            kept = await kept_ids(load, client, ada, bob, root)
            late = "give each action its own owner: a lambda reads a variable when it is called, not before"
            expect.equal(
                kept,
                ["root"],
                did="whose summaries are kept, after an admin has changed Ada's and Bob's pens in one transaction",
                why="one of the owners would see an old number",
                hint=late if kept == ["ada", "root"] else THE_OWNER,
                at=method(load, "update", owner="SummarizedItems"),
            )


def load_people(load, client):
    """Return users of an app of its own."""
    from tests.chapters.conftest import People

    return People(load, client)


# ---------------------------------------------------------------------------------------------------------------- 13.4


class Door(Spy):
    """A cache that notes who has a lock, and whether somebody else takes it away."""

    def __init__(self, inner):
        super().__init__(inner)
        self.holders, self.is_stolen = {}, False

    async def add(self, key, value, ttl):
        """Take a lock, if nobody has it."""
        taken = await self.inner.add(key, value, ttl)
        if taken:
            self.holders[key] = asyncio.current_task()
        return taken

    async def delete(self, key):
        """Give a lock back, or take it away from its holder."""
        holder = self.holders.get(key)
        self.is_stolen |= holder not in (None, asyncio.current_task()) and not holder.done()
        await self.inner.delete(key)

    def hint(self, otherwise):
        """Return what to do about a lock that was taken away, or else another hint."""
        return STOLEN if self.is_stolen else otherwise


STOLEN = "delete the lock only where `add` has given you True, also in a `finally`: it belongs to the one who has it"


@pytest.fixture
def awake(load, monkeypatch):
    """Refuse `time.sleep`, in which nothing else of the process runs: forty rounds of it would last for minutes."""

    def sleep(seconds):
        """Say what a sleep of the whole process does; sleep where not the learner's code asks for it."""
        if not sys._getframe(1).f_globals["__name__"].startswith("app."):
            return sleep_process(seconds)
        raise expect.Wrong(
            did=f"time.sleep({seconds:g}), called in a coroutine",
            got="the whole process stands still",
            expected="only this reader waits",
            why="nobody else is answered meanwhile, also not the one who loads the summary",
            hint="`await asyncio.sleep(WAIT_SECONDS)` lets the others run",
            at=method(load, "fill_once"),
        )

    monkeypatch.setattr("time.sleep", sleep)


@exercise("13.4")
@pytest.mark.usefixtures("awake")
class TestStampede:
    async def test_fifty(self, load, caches):
        """Fifty readers at once make one summary, and all of them get it"""
        for cache in caches:
            door = Door(cache)
            summaries, loader = summaries_of(load, door), Loader(load, seconds=0.1)
            found = await asyncio.gather(*(summaries.read(7, loader) for _ in range(50)))
            at = method(load, "fill_once")
            expect.equal(
                loader.made,
                1,
                did="how often `load` ran, for fifty readers at once",
                why="a query that is slow because the database is busy would be asked fifty times more",
                hint=door.hint("only who gets True from `add` may load; the others sleep, and look again"),
                at=at,
            )
            expect.that(
                all(one == loader.summary for one in found),
                did="what the fifty readers got",
                got=f"{expect.shown(next((one for one in found if one != loader.summary), None))}, one of them",
                expected="the summary, for each of them",
                why="who waited would get nothing",
                hint="after the sleep, return what `kept` gives when it is not None",
                at=at,
            )

    async def test_two_processes(self, load, caches):
        """Readers of two objects on one cache, as two processes have, make one summary too"""
        for cache in caches:
            door = Door(cache)
            one, two = summaries_of(load, door), summaries_of(load, door)
            loader = Loader(load, seconds=0.1)
            await asyncio.gather(*(summaries.read(7, loader) for summaries in (one, two) for _ in range(5)))
            expect.equal(
                loader.made,
                1,
                did="how often `load` ran, for readers of two SummaryCaches on one cache",
                why="each of your workers, and each request, has an object of its own: only the cache is shared",
                hint=door.hint("the lock is a key in self.cache, not a variable, an asyncio.Lock or an attribute"),
                at=method(load, "fill_once"),
            )

    async def test_users(self, load, caches):
        """Readers of different users do not wait for each other"""
        for cache in caches:
            summaries, slow, quick = summaries_of(load, cache), Loader(load, seconds=0.5), Loader(load)
            task = asyncio.create_task(summaries.read(7, slow))
            await asyncio.sleep(0.05)
            done = task.done()
            if done:
                await task  # it raised: that is what is to be told
            await summaries.read(8, quick)
            done = task.done()
            await task
            expect.that(
                not done,
                did="read(8, …), while the summary of user 7 is being made for half a second",
                got="it waited until the other user's was made",
                expected="it does not wait",
                why="one slow customer would hold up all others",
                hint="the lock's name holds the user, as the key does",
                at=method(load, "fill_once"),
            )

    async def test_second_look(self, load):
        """Who gets the lock looks once more: another reader may have finished in the meantime"""
        inner = load("core.cache").MemoryCache()
        summaries, loader = summaries_of(load, inner), Loader(load)

        class Late(Spy):
            async def add(self, *arguments, **named):
                await summaries.fill(7, loader)  # somebody else was quicker, and gave the lock back
                return await self.inner.add(*arguments, **named)

        found = await summaries_of(load, Late(inner)).read(7, loader)
        expect.that(
            loader.made == 1 and found == loader.summary,
            did="read(7, …), when another reader finished between the first look and the lock",
            got=f"`load` ran {loader.made} times",
            expected="once: the summary of the other reader is there",
            why="of fifty readers, those who come a moment late would load again",
            hint="with the lock, ask `kept` before you call `fill`",
            at=method(load, "fill_once"),
        )

    async def test_failing_load(self, load, caches, monkeypatch):
        """When the first `load` raises, its reader gets the exception, and the next one loads at once"""
        monkeypatch.setattr(module_of(load, "items.summary"), "MAX_WAITS", 200)  # 4 s, when nobody tries for the lock
        for cache in caches:
            door = Door(cache)
            summaries, loader = summaries_of(load, door), Loader(load, seconds=0.05, fails=1)
            started = monotonic()
            found = await asyncio.gather(*(summaries.read(7, loader) for _ in range(5)), return_exceptions=True)
            failed = [one for one in found if isinstance(one, BaseException)]
            at = method(load, "fill_once")
            expect.that(
                len(failed) == 1 and isinstance(failed[0], OSError),
                did="five readers at once, when the first `load` raises OSError and the next one works",
                got=f"{len(failed)} exceptions: {', '.join(sorted({type(one).__name__ for one in failed})) or 'none'}",
                expected="one OSError, and four summaries",
                why="one failure would be everybody's, or nobody's",
                hint=door.hint("give the lock back in `finally`; who waits tries for it again in each round"),
                at=at,
            )
            took = monotonic() - started
            expect.equal(
                loader.made,
                2,
                did="how often `load` ran",
                why="the others would load all at once, after the one has failed",
                hint=door.hint("give the lock back in `finally`; in each round first try for it, then sleep and look"),
                at=at,
            )
            expect.that(
                took < 3,
                did="how long the five took, with 0.05 s for each `load`",
                got=f"{took:.1f} s",
                expected="no waiting for a lock that nobody has any more",
                why="one failure would make everybody slow",
                hint="give the lock back in `finally`, and try for it in each round",
                at=at,
            )

    async def test_lock_given_back(self, load, caches):
        """The lock is given back: after `forget` the next reader loads at once"""
        for cache in caches:
            summaries, loader = summaries_of(load, cache), Loader(load)
            await summaries.read(7, loader)
            await summaries.forget(7)
            await asyncio.wait_for(summaries.read(7, loader), 5)
            spy = Spy(cache)
            await cache.delete(summaries.key(7))
            await summaries_of(load, spy).read(7, loader)
            locks = [asked[0] for asked in spy.all("add")]
            left = [key for key in locks if await cache.get(key) is not None]
            expect.equal(
                left,
                [],
                did="the locks that are still there, after a reader has its summary",
                why="the next one who wants to load would wait for nobody",
                hint="`await self.cache.delete(lock)` in the `finally`",
                at=method(load, "fill_once"),
            )

    async def test_lock_ttl(self, load):
        """The lock has a TTL of LOCK_SECONDS, and a key of its own"""
        module, spy = load("items.summary"), Spy(load("core.cache").MemoryCache())
        summaries = summaries_of(load, spy)
        await summaries.read(7, Loader(load))
        at, asked = method(load, "fill_once"), spy.all("add")
        expect.that(
            len(asked) == 1 and asked[0][-1] == module.LOCK_SECONDS,
            did="the calls of `add`, in one read",
            got=expect.shown([f"ttl {one[-1]}" for one in asked]),
            expected=f"one, with a ttl of {module.LOCK_SECONDS}",
            why="a process that dies with the lock would lock out everybody, for ever",
            hint="`add` takes the name of the lock, any bytes, and LOCK_SECONDS",
            at=at,
        )
        expect.that(
            asked[0][0] != summaries.key(7),
            did="the name of the lock",
            got=expect.shown(asked[0][0]),
            expected="another name than the summary's own",
            why="the lock would lie where the summary belongs",
            hint='build it from the key: f"{self.key(user_id)}:lock"',
            at=at,
        )

    async def test_dead(self, load, caches, monkeypatch):
        """When somebody died with the lock, everybody has an answer after MAX_WAITS rounds"""
        module = module_of(load, "items.summary")
        monkeypatch.setattr(module, "MAX_WAITS", 5)
        for cache in caches:
            spy = Spy(cache)
            await summaries_of(load, spy).fill_once(9, Loader(load))
            lock = spy.all("add")[0][0].replace("9", "7") if spy.all("add") else "lock"
            await cache.add(lock, b"somebody who died", 30)
            summaries, loader = summaries_of(load, cache), Loader(load)
            at = method(load, "fill_once")
            try:
                found = await asyncio.wait_for(summaries.read(7, loader), 4)
            except TimeoutError:
                found = "it was still waiting after 4 s"
            expect.that(
                found == loader.summary,
                did=f"read(7, …), while somebody who died has the lock, with MAX_WAITS = {module.MAX_WAITS}",
                got=expect.shown(found),
                expected="the summary: after the last round it is loaded without the lock",
                why="a slow answer is better than none",
                hint="`for _ in range(MAX_WAITS)`, and below the loop `return await self.fill(…)`",
                at=at,
            )
            left = await cache.get(lock)
            await cache.delete(lock)
            expect.that(
                left is not None,
                did="the lock of somebody else, after that read",
                got="it is gone",
                expected="it is still there",
                why="you would open a door that somebody else has locked, and let the herd in",
                hint=STOLEN,
                at=at,
            )

    async def test_waits(self, load):
        """Who waits sleeps between two looks, and does not ask without a pause"""
        spy = Spy(load("core.cache").MemoryCache())
        summaries, loader = summaries_of(load, spy), Loader(load, seconds=0.2)
        await asyncio.gather(*(summaries.read(7, loader) for _ in range(2)))
        expect.that(
            len(spy.asked) < 60,
            did="what two readers asked the cache, while one `load` took 0.2 s",
            got=f"{len(spy.asked)} questions",
            expected="a few: a look every 0.02 s",
            why="those who wait would keep Redis and the processor busy",
            hint="`await asyncio.sleep(WAIT_SECONDS)` in each round",
            at=method(load, "fill_once"),
        )

    async def test_cancelled(self, load, caches):
        """When the one who loads goes away, the lock is free, and one of the others loads"""
        for cache in caches:
            door = Door(cache)
            summaries, slow, quick = summaries_of(load, door), Loader(load, seconds=30), Loader(load, seconds=0.05)
            first = asyncio.create_task(summaries.read(7, slow))
            while not slow.made and not first.done():
                await asyncio.sleep(0.01)
            if first.done():
                await first  # it raised: that is what is to be told
            others = [asyncio.create_task(summaries.read(7, quick)) for _ in range(5)]
            await asyncio.sleep(0.05)
            first.cancel()
            found = await asyncio.gather(first, *others, return_exceptions=True)
            expect.that(
                quick.made == 1 and found[1:] == [quick.summary] * 5,
                did="five readers, whose sixth had the lock and was cancelled",
                got=f"`load` ran {quick.made} times; {found[1:].count(quick.summary)} of 5 got a summary",
                expected="one of the five loads, and all get its summary",
                why="browsers are closed all the time, also while a page is made",
                hint=door.hint("`finally` runs for every exception, also when a request is cancelled"),
                at=method(load, "fill_once"),
            )


# ---------------------------------------------------------------------------------------------------------------- 13.5


class Question:
    """What a Patience asks: answers, raises or takes its time, and counts."""

    def __init__(self):
        self.asked, self.error, self.seconds = 0, None, 0.0

    async def __call__(self):
        """Answer."""
        self.asked += 1
        if self.seconds:
            await asyncio.sleep(self.seconds)
        if self.error:
            raise self.error
        return "tea"


@pytest.fixture
def patient(load, monkeypatch):
    """A Patience with a pause of half a second, and a question."""
    module = module_of(load, "core.cache")
    monkeypatch.setattr(module, "PAUSE", 0.5)
    monkeypatch.setattr(module, "MAX_WAIT", 0.1)
    return SimpleNamespace(module=module, ask=module.Patience().ask, question=Question(), at=module.Patience.ask)


OWN = "keep the time in self, not in a variable of the module or the class"


def unless_shared(patient, hint):
    """Return a hint; another one where a new Patience has not asked: then it shares the pause of those before it."""
    return hint if patient.question.asked else OWN


async def asked(patient, *, seconds=3.0):
    """Ask once, with the answer "nothing" for the time without; at most so long."""
    try:
        async with asyncio.timeout(seconds) as bound:
            return await patient.ask(patient.question, "nothing")
    except (RedisError, OSError) as error:
        return f"it was still waiting after {seconds:.0f} s" if bound.expired() else f"it raised {type(error).__name__}"


@exercise("13.5")
class TestPatience:
    async def test_answer(self, patient):
        """While Redis answers, its answer is returned"""
        for _ in range(2):
            expect.equal(
                await asked(patient),
                "tea",
                did='ask(question, "nothing"), while Redis answers "tea"',
                why="the cache would be of no use",
                hint="return what `await question()` gives",
                at=patient.at,
            )
        expect.equal(
            patient.question.asked,
            2,
            did="how often Redis was asked, in two calls",
            why="each call asks once",
            hint="call `question` once, and remember nothing of its answer",
            at=patient.at,
        )

    async def test_down(self, patient):
        """While Redis is away, the answer is `otherwise`, for every kind of failure"""
        for error in (
            RedisDown("refused"),
            RedisError("loading"),
            ConnectionResetError(),
            TimeoutError(),
            OSError("no route"),
        ):
            patient.question.error = error
            patient.ask = patient.module.Patience().ask
            expect.equal(
                await asked(patient),
                "nothing",
                did=f'ask(question, "nothing"), while Redis raises {type(error).__name__}',
                why="a cache that is away would break pages that work without it",
                hint="catch RedisError and OSError around the question, and return `otherwise`",
                at=patient.at,
            )

    async def test_slow(self, patient):
        """While Redis hangs, the answer is `otherwise` after MAX_WAIT seconds"""
        patient.question.seconds = 30
        started, found = monotonic(), await asked(patient)
        raised = found == "it raised TimeoutError"
        expect.equal(
            found,
            "nothing",
            did='ask(question, "nothing"), while Redis does not answer, with MAX_WAIT = 0.1',
            why="every page would be an error as long as Redis hangs"
            if raised
            else "every page would wait for as long as the client library likes",
            hint="what `asyncio.timeout` raises is an OSError, and no RedisError: catch both, around the `async with`"
            if raised
            else "`async with asyncio.timeout(MAX_WAIT):` around the question",
            at=patient.at,
        )
        expect.that(
            monotonic() - started < 3,
            did="how long that took",
            got=f"{monotonic() - started:.1f} s",
            expected="about 0.1 s",
            why="somebody waits for this page",
            hint="the bound is MAX_WAIT",
            at=patient.at,
        )

    async def test_pause(self, patient):
        """After a failure nobody asks for PAUSE seconds"""
        for failure in ({"error": RedisDown("refused")}, {"seconds": 30}):
            question = patient.question = Question()
            vars(question).update(failure)
            patient.ask = patient.module.Patience().ask
            found = []
            while len(found) < 4 and found in ([], ["nothing"] * len(found)):
                found.append(await asked(patient))
            what = "refuses" if question.error else "hangs"
            expect.that(
                question.asked == 1 and found == ["nothing"] * 4,
                did=f"four calls of ask, one after the other, while Redis {what}",
                got=f"Redis was asked {question.asked} times; the answers are {expect.shown(found)}",
                expected='asked once, and four times "nothing"',
                why="fifty requests that wait a quarter of a second each are slow too"
                if question.asked
                else "two apps in one process, as in tests, would share their bad days",
                hint=unless_shared(patient, "remember in self._asleep_until how long nobody asks, and look there first")
                if found[-1] == "nothing"
                else "",
                at=patient.at,
            )

    async def test_length(self, patient):
        """The pause has its whole length, PAUSE seconds, counted from the failure"""
        patient.module.MAX_WAIT = 0.3
        for failure, bound in (({"error": RedisDown("refused")}, 0.0), ({"seconds": 30}, 0.3)):
            question = patient.question = Question()
            vars(question).update(failure)
            patient.ask = patient.module.Patience().ask
            started = monotonic()
            found = await asked(patient)
            wait = min(bound, monotonic() - started)
            if question.asked != 1 or found != "nothing":
                return  # another criterion says what is wrong
            question.error, question.seconds = None, 0.0
            while question.asked == 1 and monotonic() < started + wait + 1:
                await asked(patient)
                pause = monotonic() - started - wait
                await asyncio.sleep(0.02)
            expect.that(
                question.asked == 1 or pause > 0.49,
                did=f"ask(…), again and again, after Redis {'hung' if wait else 'refused'}, with PAUSE = 0.5",
                got=f"Redis was asked again {max(pause, 0):.2f} s after the failure",
                expected="not before 0.5 s",
                why="the shorter the pause, the more requests wait for a Redis that is away",
                hint="the pause begins where the wait ends: read the clock in the `except`"
                if wait
                else "the time until which nobody asks is `monotonic() + PAUSE`",
                at=patient.at,
            )

    async def test_back(self, patient):
        """After the pause Redis is asked again, and is used when it is back"""
        patient.question.error = RedisDown("refused")
        await asked(patient)
        patient.question.error = None
        await asyncio.sleep(0.6)
        for _ in range(2):
            expect.equal(
                await asked(patient),
                "tea",
                did="ask(…), when Redis is back and the pause is over",
                why="the app would need a restart to notice that Redis is back",
                hint="remember when the pause ends, `monotonic() + PAUSE`: a flag, or a later time, is too long",
                at=patient.at,
            )

    async def test_every_pause(self, patient):
        """A second failure begins a second pause"""
        patient.question.error = RedisDown("refused")
        for _ in range(2):
            await asked(patient)
            await asyncio.sleep(0.6)
        await asked(patient)
        await asked(patient)
        expect.equal(
            patient.question.asked,
            3,
            did="how often Redis was asked: in a call, in one after the pause, and in two after the next pause",
            why="an hour without Redis would be slow from the second minute on",
            hint="set self._asleep_until anew at each failure",
            at=patient.at,
        )

    async def test_apart(self, patient):
        """Another cache has a pause of its own"""
        patient.question.error = RedisDown("refused")
        await asked(patient)
        patient.question.error = None
        patient.ask = patient.module.Patience().ask
        expect.equal(
            await asked(patient),
            "tea",
            did="ask(…) of a second Patience, after the first one had a failure",
            why="two apps in one process, as in tests, would share their bad days",
            hint=OWN,
            at=patient.at,
        )

    async def test_faults(self, patient):
        """A fault of the code is no failure of Redis: it rises"""
        for error in (TypeError("a fault"), ValueError("a fault"), KeyError("a fault")):
            patient.question.error = error
            try:
                found = await patient.ask(patient.question, "nothing")
            except type(error):
                continue
            raise expect.Wrong(
                did=f"ask(question, …), while the question raises {type(error).__name__}",
                got=f"it returned {expect.shown(found)}",
                expected=f"the {type(error).__name__} rises",
                why="a fault in your code would look like a Redis that is away, and nobody would repair it",
                hint=unless_shared(patient, "name what you expect in the `except`: RedisError and OSError"),
                at=patient.at,
            )

    async def test_cancelled(self, patient):
        """A request that is cancelled stays cancelled"""
        patient.module.MAX_WAIT = 30
        patient.question.seconds = 30
        task = asyncio.create_task(patient.ask(patient.question, "nothing"))
        while not patient.question.asked and not task.done():
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        expect.that(
            task.cancelled(),
            did="a call of ask that is cancelled while it waits",
            got="it returned, as if Redis had failed",
            expected="it ends, with the CancelledError",
            why="who closes the server would wait for every request",
            hint=unless_shared(patient, "catch RedisError and OSError, and not BaseException"),
            at=patient.at,
        )

    async def test_log(self, patient, log):
        """A failure is one warning in the log, and the calls of the pause say nothing"""
        patient.question.error = RedisDown("refused")
        for _ in range(5):
            await asked(patient)
        records = [record for record in log if record.name.startswith("app.core.cache")]
        expect.equal(
            [record.levelname for record in records],
            ["WARNING"],
            did="the log of five calls, while Redis is away",
            why="nobody would know why the app is slow; and a line for each request would fill the disk",
            hint=unless_shared(patient, "logger.warning(…) in the `except`, and nothing in the pause"),
            at=patient.at,
        )
        try:
            records[0].getMessage()
        except (TypeError, ValueError) as error:
            raise expect.Wrong(
                did="the warning, put together from its text and its values",
                got=f"{type(error).__name__}: {error}",
                expected="a line",
                why="in place of your line the log would hold a traceback of logging itself",
                hint="one %s in the text for each value behind it",
                at=patient.at,
            ) from None

    async def answered(self, patient):
        """Expect an answer that was awaited, before an app works with it."""
        expect.equal(
            await asked(patient),
            "tea",
            did='ask(question, "nothing"), while Redis answers "tea"',
            why="the app would work with something that is no answer",
            hint=unless_shared(patient, "return what `await question()` gives"),
            at=patient.at,
        )

    async def test_app_without_redis(self, load, open_visit, patient):
        """The app answers while nobody listens at REDIS_URL, and with what the database says now"""
        await self.answered(patient)
        async with open_visit(redis_url=f"redis://127.0.0.1:{free_port()}") as client:
            ada = await load_people(load, client).add("ada")
            for number in (1, 2):
                await add_item(client, ada)
                expect.equal(
                    await summary_of(client, ada),
                    {"items": number, "worth": str(Decimal("1.50") * number)},
                    did="the summary, while nobody listens at REDIS_URL",
                    why="the database is well, and the page is an error all the same",
                    hint="every failure of Redis becomes `otherwise`",
                    at=method(load, "ask", "core.cache", "Patience"),
                )

    async def test_redis_comes_and_goes(self, load, open_visit, redis_server, monkeypatch, patient):
        """With a real Redis that is killed, paused and started again, every answer is right, and caching comes back"""
        if redis_server is None:
            return  # the other criteria say it of a Redis that is played
        await self.answered(patient)
        await emptied(redis_server)
        monkeypatch.setattr(patient.module, "PAUSE", 0.2)
        monkeypatch.setattr(patient.module, "MAX_WAIT", 0.25)
        at = method(load, "ask", "core.cache", "Patience")
        async with open_visit(redis_url=redis_server.url) as client:
            ada = await load_people(load, client).add("ada")
            number = 0

            async def step(what):
                nonlocal number
                number += 1
                await add_item(client, ada)
                for _ in range(2):
                    expect.equal(
                        (await summary_of(client, ada))["items"],
                        number,
                        did=f"the number of items in the summary, {what}",
                        why="a cache must never change an answer",
                        hint="return `otherwise` when Redis fails, and ask it again after the pause",
                        at=at,
                    )

            await step("while Redis runs")
            redis_server.kill()
            await step("after Redis was killed")
            redis_server.start()
            await asyncio.sleep(0.3)
            await step("after Redis was started again")
            redis_server.pause()
            try:
                await step("while Redis hangs")
            finally:
                redis_server.resume()
            await asyncio.sleep(0.3)
            expect.equal(
                (await summary_of(client, ada))["items"],
                number,
                did="the number of items in the summary, when a Redis that hung goes on",
                why="a cache must never change an answer",
                hint="return `otherwise` when Redis fails, and ask it again after the pause",
                at=at,
            )
            async with counted(client, "sum(items.price)") as queries:
                await summary_of(client, ada)
            expect.equal(
                queries.n,
                0,
                did="how often the items are read, when Redis is back and the summary was asked for a second time",
                why="the cache would stay off until somebody restarts the app",
                hint="after the pause, ask again",
                at=at,
            )


# ---------------------------------------------------------------------------------------------------------------- 13.6

LOGIN, REGISTER, REFRESH = (f"{API}/auth/{name}" for name in ("login", "register", "refresh"))
ADA = {"email": "ada@example.com", "username": "ada", "password": "Correct horse"}
LIMITED = {"rate_limit_enabled": True, "rate_limit_identity": "3/minute", "rate_limit_address": "8/minute"}


@pytest.fixture
async def limiters(load, redis_server):
    """Return a coroutine that gives pairs of limiters: two processes' in Redis, and one in this process alone."""
    make, shared = load("core.rate_limit").RateLimiter, []

    async def pairs():
        if redis_server is None:
            return [(make(None),)]
        await emptied(redis_server)
        shared.extend(make(redis_server.url) for _ in range(2))
        return [(make(None),), tuple(shared)]

    yield pairs
    for limiter in shared:
        await limiter.aclose()


async def log_in(client, name="ada", password="Wrong horse"):
    """Try to log in; return the answer."""
    return await client.post(LOGIN, data={"username": name, "password": password})


def count_of(load):
    """Return what is at fault when tries are counted wrongly."""
    return method(load, "count", "core.rate_limit", "Tries")


def is_limited(answer, at, **reason):
    """Expect a 429 with its body and a Retry-After that can be believed."""
    expect.status(answer, 429, at=at, **reason)
    body, after = expect.body(answer), answer.headers.get("Retry-After", "")
    expect.that(
        isinstance(body, dict) and body.get("code") == "too_many_requests" and "request_id" in body,
        response=answer,
        got=f"the body {expect.shown(body)}",
        expected='the one error body, with the code "too_many_requests"',
        why="a program acts on the code",
        hint="raise TooManyRequests with the seconds: the handler of chapter 06 does the rest",
        at=at,
    )
    expect.that(
        after.isdigit() and 1 <= int(after) <= 60,
        response=answer,
        got=f"Retry-After: {after or 'missing'}",
        expected="whole seconds, from 1 to 60, for a limit by the minute",
        why="a client that waits too short tries in vain, and one that waits for years never comes back",
        hint="when the window ends, less `time()`, rounded up, at least 1",
        at=at,
    )


class Window:
    """A window that is played: it counts, and ends at a time that the check chooses."""

    def __init__(self, allowed, ends_in):
        self.allowed, self.ends_in, self.asked, self.looked = allowed, ends_in, [], []

    async def hit(self, *arguments, **_named):
        """Count a try."""
        self.asked.append(arguments)
        return len(self.asked) <= self.allowed

    async def get_window_stats(self, *arguments, **_named):
        """Return when the window ends, and how many are left."""
        self.looked.append(arguments)
        return WindowStats(time() + self.ends_in, 0)


async def counted_first(load, client):
    """Return what is counted first, and what second, where both are: "identity" or "address"."""
    asked = []

    class Limiter:
        async def seconds(self, limit, *_names):
            asked.append(limit.amount)
            return 0

    settings = load("core.config").Settings(
        rate_limit_enabled=True, rate_limit_identity="3/minute", rate_limit_address="8/minute"
    )
    with suppress(load("core.exceptions").TooManyRequests):
        await load("core.rate_limit").Tries(Limiter(), settings, "192.0.2.1").count("login", "ada")
    return [{3: "identity", 8: "address"}.get(amount) for amount in asked]


BY_IDENTITY = "count by identity too, when one is named: the counter of an identity does not hold the address"


@exercise("13.6")
class TestTries:
    async def test_seconds(self, load):
        """`count_try` is 0 for a try that is allowed, and else whole seconds, rounded up, 1 at the least"""
        module = load("core.rate_limit")
        limit = module.parse("2/minute")
        for ends_in, wanted in ((41.5, 42), (3.9, 4), (0.2, 1), (-0.5, 1)):
            window = Window(2, ends_in)
            found = [await module.count_try(window, limit, "login", "address", "1.2.3.4") for _ in range(3)]
            expect.equal(
                window.asked,
                [(limit, "login", "address", "1.2.3.4")] * 3,
                did="what `window.hit` was asked, in three calls",
                why="a try that is counted twice, or under another name, is a limit that nobody has set",
                hint="`window.hit(limit, *names)`, once in each call",
                at=module.count_try,
            )
            expect.that(
                all(one == window.asked[0] for one in window.looked),
                did="what `window.get_window_stats` was asked",
                got=expect.shown([one[1:] for one in window.looked]),
                expected=f"the names of the try, {expect.shown(window.asked[0][1:])}",
                why="each counter has a window of its own, which ends at another time",
                hint="`window.get_window_stats(limit, *names)`",
                at=module.count_try,
            )
            expect.that(
                found == [0, 0, wanted] and all(type(one) is int for one in found),
                did=f"three calls of count_try, where two are allowed, and the window ends in {ends_in} s",
                got=expect.shown(found),
                expected=f"[0, 0, {wanted}]",
                why="a client that comes a moment too early is refused again",
                hint="when the window ends is a time; to wait is the difference to `time()`, with ceil, and max(1, …)",
                at=module.count_try,
            )

    async def test_identity(self, load, open_visit):
        """The fourth log-in as Ada is a 429, where three are allowed, also with the right password"""
        async with open_visit(**LIMITED) as client:
            await load_people(load, client).add("ada")
            for _ in range(3):
                expect.status(
                    await log_in(client),
                    401,
                    why="three tries are allowed",
                    hint="raise only when the seconds are not 0",
                    at=count_of(load),
                )
            for password in ("Wrong horse", "Correct horse"):
                is_limited(
                    await log_in(client, password=password),
                    count_of(load),
                    why="a script tries thousands of passwords for one account",
                    hint=BY_IDENTITY,
                )

    async def test_spelling(self, load, open_visit):
        """Ada is one identity, however she is spelled"""
        async with open_visit(**LIMITED) as client:
            for name in ("ada", "ADA", " Ada "):
                await log_in(client, name)
            is_limited(
                await log_in(client, "aDA"),
                count_of(load),
                why="log-in takes every spelling, so each of them would be three tries more",
                hint="strip and lower the identity before it is counted",
            )

    async def test_others(self, load, open_visit):
        """Bob is let in after Ada's tries, until the address has had too many"""
        async with open_visit(**LIMITED) as client:
            await load_people(load, client).add("bob")
            for _ in range(4):
                await log_in(client)
            expect.status(
                await log_in(client, "bob", "Correct horse"),
                200,
                why="one account under attack would lock out everybody",
                hint="the name of the counter holds who is named",
                at=count_of(load),
            )
            for number in range(3):
                await log_in(client, f"user{number}")
            turned = await counted_first(load, client) == ["identity", "address"]
            is_limited(
                await log_in(client, "somebody"),
                count_of(load),
                why="a try that is refused for its identity would not count for the address"
                if turned
                else "one machine tries one password on thousands of accounts",
                hint="count the address first, then the identity"
                if turned
                else "count by address too: each of its tries, whoever is named",
            )

    async def test_addresses(self, load, open_visit, connect):
        """Another address has tries of its own, but the identity is the same from everywhere"""
        async with open_visit(**LIMITED) as client:
            tries, settings, limiter = (
                load("core.rate_limit").Tries,
                client.app.state.settings,
                client.app.state.limiter,
            )
            error = load("core.exceptions").TooManyRequests
            with allowed(load, 'eight count("login", …) of one address, each for another account'):
                for number in range(8):
                    await tries(limiter, settings, "192.0.2.1").count("login", f"user{number}")
            with expect.raising(
                error,
                did='the ninth count("login", …) of one address, where eight are allowed',
                why="one machine tries one password on thousands of accounts",
                hint="ask self.limiter with self.per_address and self.address",
                at=count_of(load),
            ):
                await tries(limiter, settings, "192.0.2.1").count("login", "somebody")
            try:
                for number in range(3):
                    await tries(limiter, settings, f"192.0.2.{number + 2}").count("login", "eve")
            except error:
                raise expect.Wrong(
                    did='count("login", "eve") from three other addresses',
                    got="TooManyRequests",
                    expected="three tries for one identity, and eight for each address",
                    why="one visitor's tries would lock out all others",
                    hint="the name of the counter holds the address",
                    at=count_of(load),
                ) from None
            with expect.raising(
                error,
                did='the fourth count("login", "eve"), from a fourth address',
                why="a thousand machines have a thousand addresses, and guess at one account",
                hint=BY_IDENTITY,
                at=count_of(load),
            ):
                await tries(limiter, settings, "192.0.2.9").count("login", "eve")

    async def test_apart(self, load, open_visit):
        """Log-in, sign-up and refresh are counted apart, and an address is no account"""
        async with open_visit(**LIMITED) as client:
            for _ in range(4):
                await log_in(client, ADA["email"])
            answer = await client.post(REGISTER, json=ADA)
            expect.status(
                answer,
                201,
                why="who has mistyped a password could not sign up",
                hint="the name of the counter holds the action",
                at=count_of(load),
            )
            tries, limiter = load("core.rate_limit").Tries, client.app.state.limiter
            settings = load("core.config").Settings(**LIMITED)
            for number in range(9):
                await refuse(tries(limiter, settings, "192.0.2.8").count("probe", f"user{number}"))
            with allowed(
                load,
                'count("other", "eve"), after nine count("probe", …) from the same address, where eight are allowed',
                why="who has mistyped passwords could not sign up",
                hint="the name of the address's counter holds the action too",
            ):
                await tries(limiter, settings, "192.0.2.8").count("other", "eve")
            # with two equal limits: counters of different limits are apart anyway
            settings = load("core.config").Settings(**LIMITED | {"rate_limit_address": "3/minute"})
            for _ in range(4):
                await refuse(tries(limiter, settings, "192.0.2.1").count("probe", "192.0.2.7"))
            with allowed(
                load,
                'count("probe") from the address 192.0.2.7, after four tries for an account of that name',
                why="who signs up as 192.0.2.7 could lock that address out",
                hint='a word for the kind, such as "address", makes two counters of one name',
            ):
                await tries(limiter, settings, "192.0.2.7").count("probe")

    async def test_register_and_refresh(self, load, open_visit):
        """Sign-up and refresh have limits too; a forged token counts for the address alone"""
        async with open_visit(**LIMITED | {"rate_limit_address": "100/minute"}) as client:
            body = expect.body(await client.post(REGISTER, json=ADA))
            for _ in range(3):
                await client.post(REGISTER, json=ADA)
            is_limited(
                await client.post(REGISTER, json=ADA),
                count_of(load),
                why="a script makes accounts, or asks which addresses are taken",
                hint="",
            )
            answer = None
            for _ in range(3):
                answer = await client.post(REFRESH, json={"refresh_token": body["refresh_token"]})
                body = expect.body(answer) if answer.status_code == 200 else body
            is_limited(
                await client.post(REFRESH, json={"refresh_token": body["refresh_token"]}),
                count_of(load),
                why="a stolen token could be tried without end",
                hint="",
            )
            for _ in range(4):
                answer = await client.post(REFRESH, json={"refresh_token": "forged"})
            expect.status(
                answer,
                401,
                why="a token that says nothing names nobody: all forged ones would share a counter",
                hint="an empty identity is nobody: count it by address alone (`if identity:`)",
                at=count_of(load),
            )

    async def test_long(self, load, open_visit):
        """A name of any length is counted under a short name, which does not show it"""
        async with open_visit(**LIMITED) as client:
            tries, asked = load("core.rate_limit").Tries, []

            class Limiter:
                async def seconds(self, _limit, *names):
                    asked.append(names)
                    return 0

            who = "ada@example.com" + "x" * 100_000
            with allowed(
                load,
                'count("login", …), with a limiter that allows every try',
                hint="the limiter counts; keep no counter of your own",
            ):
                await tries(Limiter(), client.app.state.settings, "192.0.2.1").count("login", who)
            expect.that(
                len(asked) == 2 and all(len(part) < 200 and "ada@" not in part for names in asked for part in names),
                did="the names under which a try is counted, for an identity of 100,015 characters",
                got=expect.shown([tuple(part[:60] for part in names) for names in asked]),
                expected="two counters, with short names, and no e-mail address in them",
                why="whoever fills in the form could fill your Redis, and whoever reads it would see who signs in",
                hint="put the identity through `digest`" if len(asked) == 2 else "",
                at=count_of(load),
            )

    async def test_off(self, load, open_visit):
        """With RATE_LIMIT_ENABLED=false nothing is counted"""
        async with open_visit(**LIMITED | {"rate_limit_enabled": False}) as client:
            answers = [await log_in(client) for _ in range(10)]
            expect.equal(
                [answer.status_code for answer in answers],
                [401] * 10,
                did="ten wrong passwords, with the limits switched off",
                why="a load test, or a bad day, needs the switch",
                hint="a guard clause: `if not self.enabled: return`",
                at=count_of(load),
            )

    async def test_shared(self, load, open_visit, limiters):
        """Two processes on one Redis count together; each app without Redis counts for itself"""
        settings = load("core.config").Settings(**LIMITED)
        tries, error = load("core.rate_limit").Tries, load("core.exceptions").TooManyRequests
        for pair in await limiters():
            refused = 0
            for number in range(4):
                try:
                    await tries(pair[number % len(pair)], settings, "192.0.2.1").count("login", "ada")
                except error:
                    refused += 1
            expect.equal(
                refused,
                1,
                did=f"four tries as Ada, in {'two processes' if pair[1:] else 'one process'}, where three are allowed: "
                "how many are refused",
                why="each worker of the app would allow as much again" if pair[1:] else "the limit is another one",
                hint="the limiter counts; keep no counter of your own" if refused or pair[1:] else "",
                at=count_of(load),
            )
        async with open_visit(**LIMITED) as one, open_visit(**LIMITED) as two:
            for _ in range(4):
                await log_in(one)
            expect.status(
                await log_in(two),
                401,
                why="two apps in one process, as in tests, would count together",
                hint="keep no counter in the module",
                at=count_of(load),
            )

    async def test_redis_away(self, load, open_visit):
        """While Redis is away, the app counts by itself"""
        async with open_visit(**LIMITED, redis_url=f"redis://127.0.0.1:{free_port()}") as client:
            for _ in range(3):
                expect.status(
                    await log_in(client),
                    401,
                    why="nobody could log in while Redis is away",
                    hint="",
                    at=count_of(load),
                )
            is_limited(
                await log_in(client),
                count_of(load),
                why="who can slow down your Redis would be rid of the limit",
                hint="",
            )


async def refuse(counting):
    """Count a try, whether it is refused or not."""
    try:
        await counting
    except Exception as error:
        if type(error).__name__ != "TooManyRequests":
            raise


@contextmanager
def allowed(load, did, *, why="what is within the limits would be refused", hint=""):
    """Expect that the tries in the block are allowed."""
    try:
        yield
    except load("core.exceptions").TooManyRequests:
        raise expect.Wrong(
            did=did,
            got="TooManyRequests",
            expected="nothing is raised",
            why=why,
            hint=hint or "a limit for each name: the counter of one account, or address, is not that of another",
            at=count_of(load),
        ) from None


# ---------------------------------------------------------------------------------------------------------------- 13.7


@exercise("13.7")
class TestAddress:
    def ask(self, load, peer, *headers, proxies="10.0.0.0/8, 2001:db8::/32"):
        """Ask where a request comes from."""
        settings = load("core.config").Settings(trusted_proxies=proxies)
        lines = [(b"x-forwarded-for", header.encode("latin-1")) for header in headers]
        app = SimpleNamespace(state=SimpleNamespace(settings=settings))
        scope = {"type": "http", "method": "GET", "path": "/", "headers": lines, "query_string": b"", "app": app}
        request = Request(scope | {"client": (peer, 1234) if peer else None})
        return load("auth.dependencies").client_address(request)

    def walks(self, load):
        """Say whether the way goes on behind a proxy, from the right: without that other hints would lead astray."""
        return all(
            self.ask(load, "10.0.0.1", header) == "203.0.113.9"
            for header in ("203.0.113.9,10.0.0.2", "1.2.3.4,203.0.113.9")
        )

    def says(self, load, wanted, peer, *headers, why, hint, **named):
        """Expect an answer."""
        told = " and ".join(f"X-Forwarded-For: {header}" for header in headers) or "no such header"
        did = f"client_address of a connection from {peer or 'an unknown peer'}, with {told}"
        try:
            found = self.ask(load, peer, *headers, **named)
        except AttributeError as error:
            mistakes = [("'NoneType' object has no attribute", hint)]
            expect.known(error, mistakes, did=did, expected=expect.shown(wanted), why=why)
        expect.equal(
            found,
            wanted,
            did=did,
            why=why,
            hint=hint,
            at=load("auth.dependencies").client_address,
        )

    def test_direct(self, load):
        """Without a proxy the client is the peer, with a header or without"""
        why = "everybody can write this header: each request would count for another client"
        for headers in ((), ("1.2.3.4",), ("1.2.3.4, 10.0.0.1",), ("10.0.0.1",)):
            hint = "look first whether the peer is a proxy of yours; only then is its header read"
            self.says(load, "198.51.100.7", "198.51.100.7", *headers, why=why, hint=hint)

    def test_no_proxies(self, load):
        """Where the settings name no proxy, no header is believed"""
        why = "without settings the app does not know any proxy"
        hint = "is_trusted says False for every address then"
        self.says(load, "10.0.0.1", "10.0.0.1", "1.2.3.4", proxies="", why=why, hint=hint)

    def test_one_proxy(self, load):
        """Behind one proxy the client is what the proxy wrote, and that stands at the right"""
        why = "all visitors would share the proxy's address, and its limit"
        self.says(load, "203.0.113.9", "10.0.0.1", "203.0.113.9", why=why, hint="take the header's address")
        why = "what stands at the left came with the request: the script chooses it anew each time"
        hint = "read from the right: the last one is what your proxy has seen"
        self.says(load, "203.0.113.9", "10.0.0.1", "1.2.3.4, 203.0.113.9", why=why, hint=hint)
        self.says(load, "203.0.113.9", "10.0.0.1", "10.9.9.9, 203.0.113.9", why=why, hint=hint)

    def test_two_proxies(self, load):
        """Behind several proxies of yours the client is the first address from the right that is none of them"""
        why = "all visitors would share the address of the inner proxy"
        hint = "go on to the left as long as the address in your hand is a proxy of yours"
        self.says(load, "203.0.113.9", "10.0.0.1", "203.0.113.9, 10.0.0.2", why=why, hint=hint)
        self.says(load, "203.0.113.9", "10.0.0.1", "1.2.3.4, 203.0.113.9, 10.0.0.3, 10.0.0.2", why=why, hint=hint)

    def test_several_headers(self, load):
        """A header that comes twice is one list"""
        why = "a script sends one header, your proxy adds another: with the wrong one the script chooses its address"
        hint = "one look into request.headers gives the first of them only: join all that getlist gives, by commas"
        self.says(load, "203.0.113.9", "10.0.0.1", "1.2.3.4", "203.0.113.9", why=why, hint=hint)

    def test_form(self, load):
        """Spaces and empty parts do no harm, and IPv6 works as IPv4 does"""
        why = "the same client would have several counters"
        hint = "strip each part, and leave out the empty ones" if self.walks(load) else ""
        self.says(load, "203.0.113.9", "10.0.0.1", " 1.2.3.4 ,, 203.0.113.9 , ", why=why, hint=hint)
        self.says(load, "2001:db9::7", "2001:db8::1", "2001:db9::7", why=why, hint=hint)

    def test_only_proxies(self, load):
        """Where every address is a proxy of yours, the client is the leftmost"""
        why = "a machine of your own asks, through your proxies"
        hint = "when the list has come to its end, return the address in your hand" if self.walks(load) else ""
        self.says(load, "10.0.0.9", "10.0.0.1", "10.0.0.9, 10.0.0.2", why=why, hint=hint)
        self.says(load, "10.0.0.1", "10.0.0.1", why=why, hint=hint)

    def test_no_address(self, load):
        """What is no address ends the way: it is none of your proxies"""
        why = "what a script has written at the left would be believed"
        hint = "is_trusted says False for it: stop there"
        self.says(load, "unknown", "10.0.0.1", "1.2.3.4,unknown", why=why, hint=hint)

    def test_unknown_peer(self, load):
        """When the peer is unknown, the address is empty, and no header is believed"""
        why = "the request would be a 500, or choose its own address"
        hint = "request.client is None here: begin with an empty text"
        self.says(load, "", None, "1.2.3.4", why=why, hint=hint)

    async def test_limit(self, load, open_visit):
        """Behind your proxy each visitor has tries of their own, and a header of their own invention helps nobody"""
        values = LIMITED | {"trusted_proxies": "127.0.0.1", "rate_limit_address": "3/minute"}
        async with open_visit(**values) as client:
            at = load("auth.dependencies").client_address
            statuses = []
            for number in range(4):
                headers = {"X-Forwarded-For": f"1.2.3.{number}, 203.0.113.9"}
                form = {"username": f"user{number}", "password": "Wrong horse"}
                statuses.append((await client.post(LOGIN, data=form, headers=headers)).status_code)
            expect.equal(
                statuses,
                [401, 401, 401, 429],
                did="four log-ins of one visitor behind your proxy, each with another address of its own invention",
                why="a script that invents addresses would have no limit",
                hint="read from the right: the last one is what your proxy has seen",
                at=at,
            )
            form = {"username": "eve", "password": "Wrong horse"}
            answer = await client.post(LOGIN, data=form, headers={"X-Forwarded-For": "203.0.113.10"})
            expect.status(answer, 401, why="one visitor would lock out all that come through the proxy", hint="", at=at)


# ---------------------------------------------------------------------------------------------------------------- 13.8


class Pile:
    """A mailer that keeps the mail, or fails.

    Args:
        fails: how often it fails before it works.
    """

    def __init__(self, *, fails=0):
        self.mails, self.tries, self.fails, self.look = [], 0, fails, None

    async def send(self, mail):
        """Keep a mail."""
        self.tries += 1
        if self.look is not None:
            await self.look()
        if self.tries <= self.fails:
            raise OSError(f"the mail server refused <{mail.recipient}>")  # they do say so
        self.mails.append(mail)


class Office:
    """A postman of the learner's on a database of its own, with what lies in its outbox."""

    def __init__(self, load, client, *, fails=0):
        self.load, self.client, self.pile = load, client, Pile(fails=fails)
        self.model, self.crud = load("outbox.models").OutboxMessage, load("outbox.crud").outbox_crud
        self.composed, self.compose = 0, None
        module = load("outbox.postman")
        self.postman = module.Postman(client.sessions, self.pile, {"probe": self._compose})
        self.at = module.Postman.deliver_next

    async def _compose(self, session, recipient):
        self.composed += 1
        if self.compose is not None:
            return await self.compose(session, recipient)
        return self.load("core.mail").Mail(recipient, "Hello", "a text")

    async def put(self, *recipients):
        """Put messages into the outbox."""
        async with self.client.sessions.begin() as session:
            for recipient in recipients:
                await self.crud.add(session, "probe", recipient)

    async def rows(self):
        """Return what lies in the outbox, as another connection sees it."""
        async with self.client.sessions() as session:
            return list(await session.scalars(select(self.model).order_by(self.model.id)))

    async def wait(self):
        """Let the time pass until everything is due."""
        async with self.client.sessions.begin() as session:
            await session.execute(update(self.model).values(due_at=self.load("db.base").utc_now()))

    async def deliver(self):
        """Deliver what is due next; an exception is a wrong answer."""
        try:
            return await self.postman.deliver_next()
        except expect.Wrong:
            raise
        except Exception as error:
            if not isinstance(error, OSError):
                raise
            raise expect.Wrong(
                did="deliver_next(), while the mail server is away",
                got=f"it raised {type(error).__name__}: {error}",
                expected="a line in the log, and True",
                why="one message that cannot be sent would stop all that wait behind it",
                hint="a `try` around `self._send(message)`",
                at=self.at,
                sure=True,
            ) from None

    def returned(self, found, wanted, when):
        """Expect what deliver_next returned."""
        expect.equal(
            found,
            wanted,
            did=f"deliver_next(), {when}",
            why="`work` calls it until it is False: nobody would look further, or he would never come to an end",
            hint="False says that nothing was due; in every other case True",
            at=self.at,
        )


@pytest.fixture
async def office(load, open_visit, monkeypatch):
    """An office on a file, so that other connections see what is committed."""
    monkeypatch.setattr(module_of(load, "outbox.postman"), "POLL_SECONDS", 3600.0)  # the app's own one stays away
    async with open_visit(FILE) as client:
        event.listen(client.sessions.kw["bind"].sync_engine, "checkout", impatient)
        yield Office(load, client)


def impatient(connection, _record, _proxy):
    """Let a connection wait two seconds for a lock of another one: who holds a transaction open waits for himself."""
    connection.cursor().execute("PRAGMA busy_timeout = 2000")


@exercise("13.8")
class TestPostman:
    async def test_sent(self, office):
        """A message that is due is sent once, and its row is removed"""
        await office.put("ada@example.com", "bob@example.com")
        office.returned(await office.deliver(), True, "with two messages in the outbox")
        expect.equal(
            [mail.recipient for mail in office.pile.mails],
            ["ada@example.com"],
            did="to whom mail was sent, by the first deliver_next()",
            why="each call sends one message, the oldest",
            hint="claim, send, remove: once",
            at=office.at,
        )
        expect.equal(
            [row.recipient for row in await office.rows()],
            ["bob@example.com"],
            did="what is left in the outbox",
            why="the same mail would be sent again and again",
            hint="remove the row, in a transaction that commits",
            at=office.at,
        )
        office.returned(await office.deliver(), True, "with one message left")
        office.returned(await office.deliver(), False, "with an empty outbox")
        expect.equal(
            len(office.pile.mails), 2, did="how many mails were sent, of two messages", why="", hint="", at=office.at
        )

    async def test_not_due(self, office):
        """A message that is not due yet is left alone"""
        await office.put("ada@example.com")
        async with office.client.sessions.begin() as session:
            soon = office.load("db.base").utc_now() + timedelta(minutes=1)
            await session.execute(update(office.model).values(due_at=soon))
        office.returned(await office.deliver(), False, "with a message that is due in a minute")
        expect.equal(
            (len(office.pile.mails), len(await office.rows())),
            (0, 1),
            did="mails that were sent, and rows that are left",
            why="the waits between the tries would be none",
            hint="`claim` finds what is due; ask nobody else",
            at=office.at,
        )

    async def test_claim_first(self, office):
        """While a mail is being sent, the claim is committed, and the row is still there"""
        seen = []

        async def look():
            seen.extend(await office.rows())

        office.pile.look = look
        await office.put("ada@example.com")
        await office.deliver()
        expect.that(
            len(seen) == 1,
            did="what another connection finds in the outbox, while the mail is being sent",
            got=f"{len(seen)} rows",
            expected="the row of this mail",
            why="if the process dies now, the mail is lost",
            hint="remove the row after the mail was sent, not before",
            at=office.at,
        )
        now = office.load("db.base").utc_now()
        expect.that(
            seen[0].tries == 1 and seen[0].due_at > now,
            did="the row that another connection finds, while the mail is being sent",
            got=f"tries: {seen[0].tries}, due {'later' if seen[0].due_at > now else 'now'}",
            expected="tries: 1, due later",
            why="another process would send the same mail at the same time",
            hint="end the transaction with the claim before `_send`: `async with … begin()` commits at its end",
            at=office.at,
        )

    async def test_no_open_transaction(self, office):
        """While a mail is being sent, others can write: no transaction is open"""
        found = []

        async def look():
            with closing(sqlite3.connect("shop.db", timeout=0.2)) as other:
                try:
                    other.execute("BEGIN EXCLUSIVE")
                    found.append("free")
                except sqlite3.OperationalError:
                    found.append("locked")

        office.pile.look = look
        await office.put("ada@example.com")
        await office.deliver()
        expect.equal(
            found,
            ["free"],
            did="whether the database is free for others, while the mail is being sent",
            why="a mail server that takes ten seconds would stop everybody for ten seconds",
            hint="`_send` stands outside of every `async with self.sessions.begin()`",
            at=office.at,
        )

    async def test_failure(self, office, log):
        """A mail that cannot be sent stays, is due later, and is logged by its id only"""
        office.pile.fails = 1
        await office.put("ada@example.com")
        office.returned(await office.deliver(), True, "when the mail server is away")
        rows = await office.rows()
        expect.that(
            len(rows) == 1 and rows[0].tries == 1,
            did="what lies in the outbox, after a try that failed",
            got=f"{len(rows)} rows" + (f", tries: {rows[0].tries}" if rows else ""),
            expected="the row, with one try",
            why="a mail server that is away for a minute would cost a mail",
            hint="in the `except`: log it, and return True before the row is removed",
            at=office.at,
        )
        office.returned(await office.deliver(), False, "right after a try that failed")
        told = [record for record in log if record.name.startswith("app.outbox") and record.levelno >= logging.WARNING]
        text = " ".join(logging.Formatter("%(message)s").format(record) for record in told)
        line = text.split("Traceback")[0]
        expect.that(
            len(told) == 1 and str(rows[0].id) in line and "OSError" in text,
            did="the log of a try that failed with an OSError",
            got=expect.shown(line) if told else "nothing, from level WARNING up",
            expected="one line, with the message's id and the kind of the exception",
            why="nobody would know why mail is late",
            hint='logger.warning("mail %s: %s", message.id, type(error).__name__) in the `except`',
            at=office.at,
        )
        self.no_address(office, told, "a try that failed")
        await office.wait()
        await office.deliver()
        expect.equal(
            (len(office.pile.mails), len(await office.rows())),
            (1, 0),
            did="mails that were sent, and rows that are left, after the second try",
            why="the mail server is back, and the mail should be out",
            hint="every try is the same: claim, send, remove",
            at=office.at,
        )

    def no_address(self, office, records, what):
        """Expect that no record shows an address, in its text or in its traceback."""
        text = " ".join(logging.Formatter("%(message)s").format(record) for record in records)
        shown = next((line for line in text.splitlines() if "ada@" in line), "")
        traced = "ada@" in text and not any("ada@" in record.getMessage() for record in records)
        hint = (
            "log the id of the message" if "refused <" not in text else "log `type(error).__name__`, not the exception"
        )
        expect.that(
            "ada@" not in text,
            did=f"the log of {what}" + (", with the traceback" if traced else ""),
            got=expect.shown(shown),
            expected="no address in it",
            why="logs are read by many, and kept for long; a mail server's exception often names the address",
            hint="no `exc_info`, and no `logger.exception`: a traceback ends with the exception's text"
            if traced
            else hint,
            at=office.at,
        )

    async def test_waits(self, office):
        """The waits between the tries grow, as `claim` has set them"""
        office.pile.fails = 100
        await office.put("ada@example.com")
        waits = []
        for _ in range(3):
            before = office.load("db.base").utc_now()
            await office.deliver()
            rows = await office.rows()
            waits.append(round((rows[0].due_at - before).total_seconds(), -1) if rows else None)
            await office.wait()
        expect.equal(
            waits,
            [10.0, 60.0, 600.0],
            did="seconds until the next try, after the first three that failed",
            why="a mail server that is down would be called without a pause",
            hint="`claim` has set due_at: leave it",
            at=office.at,
        )

    async def test_given_up(self, office, log):
        """After MAX_TRIES tries a message is removed, with an error in the log"""
        office.pile.fails, tries = 100, office.load("outbox.crud").MAX_TRIES
        await office.put("ada@example.com")
        for number in range(1, tries + 1):
            office.returned(await office.deliver(), True, f"at try {number}, when the mail server is away")
            rows = await office.rows()
            expect.equal(
                len(rows),
                int(number < tries),
                did=f"rows in the outbox, after {number} tries of {tries} that failed",
                why="a message is given up too early, or tried for ever",
                hint="compare message.tries with MAX_TRIES: `claim` has counted this try already",
                at=office.at,
            )
            await office.wait()
        errors = [record for record in log if record.levelno == logging.ERROR and record.name.startswith("app.outbox")]
        expect.equal(
            len(errors),
            1,
            did="the lines of level ERROR in the log",
            why="somebody must hear that a mail will never come",
            hint="logger.error(…) when the last try has failed, and only then",
            at=office.at,
        )
        self.no_address(office, errors, "a message that is given up")

    async def test_text_fails(self, office):
        """A text that cannot be written is a failure as any other, and the next message is sent"""

        async def compose(_session, recipient):
            if recipient.startswith("broken"):
                raise ValueError("a fault")
            return office.load("core.mail").Mail(recipient, "Hello", "a text")

        office.compose = compose
        await office.put("broken@example.com", "bob@example.com")
        for _ in range(2):
            try:
                await office.postman.deliver_next()
            except ValueError:
                raise expect.Wrong(
                    did="deliver_next(), with a message whose text cannot be written",
                    got="it raised ValueError",
                    expected="a line in the log, and True",
                    why="one message with a fault would stop all that wait behind it, for ever",
                    hint="`except Exception` around `self._send(message)`",
                    at=office.at,
                    sure=True,
                ) from None
        expect.equal(
            ([mail.recipient for mail in office.pile.mails], [row.recipient for row in await office.rows()]),
            (["bob@example.com"], ["broken@example.com"]),
            did="who got mail, and what is left, after two calls",
            why="one message with a fault would stop all that wait behind it",
            hint="the claim is committed before the text is written, so the next call takes the next message",
            at=office.at,
        )

    async def test_nothing_to_send(self, office):
        """A message for which there is nothing to send is removed without mail"""

        async def compose(_session, _recipient):
            return None

        office.compose = compose
        await office.put("nobody@example.com")
        office.returned(await office.deliver(), True, "with a message for which there is nothing to send")
        expect.equal(
            (len(office.pile.mails), len(await office.rows())),
            (0, 0),
            did="mails that were sent, and rows that are left",
            why="it would be looked at again and again",
            hint="when `_send` comes back, the work is done: remove the row",
            at=office.at,
        )

    async def test_crash(self, office):
        """When the process dies while a mail is being sent, it is sent later"""

        async def die():
            raise asyncio.CancelledError

        office.pile.look = die
        await office.put("ada@example.com")
        died = False
        try:
            await office.postman.deliver_next()
        except asyncio.CancelledError:
            died = True
        office.pile.look = None
        rows = await office.rows()
        expect.that(
            died and len(rows) == 1,
            did="deliver_next(), cancelled in the middle",
            got="it went on" if not died else f"{len(rows)} rows are left",
            expected="it ends, and the row is still there",
            why="at every start of a new version of the app some mail would be lost",
            hint="catch Exception, which CancelledError is not, and remove the row only after `_send`",
            at=office.at,
        )
        await office.wait()
        await office.deliver()
        expect.equal(
            len(office.pile.mails), 1, did="mails, after the next try", why="the mail is lost", hint="", at=office.at
        )

    async def test_two_postmen(self, office):
        """Two postmen at once send each mail once"""
        names = [f"user{number}@example.com" for number in range(10)]
        await office.put(*names)

        async def work():
            for _ in range(12):
                await office.deliver()

        await asyncio.gather(work(), work())
        expect.equal(
            sorted(mail.recipient for mail in office.pile.mails),
            sorted(names),
            did="to whom two postmen sent mail, of ten messages",
            why="people would get each mail as often as you have processes",
            hint="only `claim` says whose a message is",
            at=office.at,
        )


# ---------------------------------------------------------------------------------------------------------------- 13.9

RESET, CONFIRM = f"{API}/auth/password-reset", f"{API}/auth/password-reset/confirm"
NEW = "Battery staple"


@pytest.fixture
async def desk(load, open_visit, monkeypatch):
    """An app whose postman does not work by himself, and what is needed to ask for a new password."""
    monkeypatch.setattr(module_of(load, "outbox.postman"), "POLL_SECONDS", 3600.0)
    async with open_visit(FILE, mail_reset_url="https://shop.example/reset", password_reset_minutes=20) as client:
        client.app.state.wake = asyncio.Event()
        yield Desk(load, client)


class Desk:
    """Asks for new passwords, and writes the mails."""

    def __init__(self, load, client):
        self.load, self.client, self.people = load, client, load_people(load, client)
        self.module = load("auth.password_reset")
        self.outbox, self.resets = load("outbox.models").OutboxMessage, load("auth.models").PasswordReset
        self.compose_at = self.module.ResetMail.compose
        self.request_at = self.module.PasswordResetService.request
        self.confirm_at = self.module.PasswordResetService.confirm
        self.no_mail = "return self.text(user.email, token)"

    async def all(self, model):
        """Return the rows of a table."""
        async with self.client.sessions() as session:
            return list(await session.scalars(select(model)))

    async def compose(self, recipient):
        """Write the mail for an address, as the postman does."""
        try:
            async with self.client.sessions.begin() as session:
                return await self.module.ResetMail(self.client.app.state.settings).compose(session, recipient)
        except IntegrityError as error:
            expect.known(
                error,
                [("password_resets", "`password_reset_crud.replace` takes the older one out, then stores the new one")],
                did=f'compose(session, "{recipient}"), for somebody who has a token already',
                expected="a mail, and the new token in the place of the older one",
                why="who asks for a second mail would never get one",
            )

    async def token(self, recipient):
        """Write the mail for an address; return the token in it."""
        mail = await self.compose(recipient)
        found = re.search(r"token=([\w-]+)", getattr(mail, "body", "") or "")
        expect.that(
            found is not None,
            did=f'compose(session, "{recipient}"), for an active user',
            got=expect.shown(mail),
            expected="a mail with a link and a token",
            why="people who forgot their password would wait in vain",
            hint=self.no_mail,
            at=self.compose_at,
        )
        return found[1]

    async def confirm(self, token, password=NEW):
        """Choose a new password."""
        return await self.client.post(CONFIRM, json={"token": token, "new_password": password})


async def sql_of(client, request):
    """Return the kinds and tables of the statements that a request needs."""
    sent, engine = [], client.sessions.kw["bind"].sync_engine

    def note(_connection, _cursor, statement, _parameters, _context, _many):
        sent.append(
            " ".join(re.findall(r"\b(?:insert into|update|delete from|select|from|where) \w+", statement.lower()))
        )

    event.listen(engine, "before_cursor_execute", note)
    try:
        return await request, sent
    finally:
        event.remove(engine, "before_cursor_execute", note)


@exercise("13.9")
class TestResetMail:
    async def test_same_answer(self, desk):
        """The answer and the work are the same for a user, a stranger, and one who is switched off"""
        await desk.people.add("ada")
        await desk.people.add("eve", is_active=False)
        answers, work = [], []
        for name in ("ada", "nobody", "eve"):
            answer, sql = await sql_of(desk.client, desk.client.post(RESET, json={"email": f"{name}@example.com"}))
            expect.status(
                answer, 202, why="the answer tells who has an account", hint="raise nothing", at=desk.request_at
            )
            answers.append(expect.body(answer))
            work.append(sql)
        hint = "`request` asks the database nothing: it adds a message, whoever is named"
        expect.that(
            answers[0] == answers[1] == answers[2] and work[0] == work[1] == work[2],
            did="POST /auth/password-reset for a user, for a stranger, and for one who is switched off",
            got=f"the statements {expect.shown(work)}",
            expected="three times the same answer and the same statements",
            why="a script would find out, by the time it takes, who has an account here",
            hint=hint,
            at=desk.request_at,
        )
        expect.that(
            not any("users" in statement for statement in work[0]),
            did="the statements of POST /auth/password-reset",
            got=expect.shown(work[0]),
            expected="none that reads users",
            why="what is not looked for cannot be told",
            hint=hint,
            at=desk.request_at,
        )

    async def test_outbox(self, desk):
        """The request puts one message of the right kind into the outbox, with the address that was named"""
        await desk.client.post(RESET, json={"email": "Ada@Example.com"})
        rows = [(row.kind, row.recipient) for row in await desk.all(desk.outbox)]
        expect.equal(
            rows,
            [(desk.module.KIND, "ada@example.com")],
            did="what lies in the outbox, after one request for Ada@Example.com",
            why="the postman would not know what to send, or to whom",
            hint="outbox_crud.add(self.session, KIND, email)",
            at=desk.request_at,
        )

    async def test_wake(self, desk, monkeypatch):
        """The postman is called after the commit, and not when the request fails"""
        called, handed = [], Handed(desk.load("db.session").after_commit)
        monkeypatch.setattr(module_of(desk.load, "auth.password_reset"), "after_commit", handed, raising=False)

        async def wake():
            called.append(len(await desk.all(desk.outbox)))

        async with desk.client.sessions() as session:
            await desk.module.PasswordResetService(session, wake).request("ada@example.com")
            expect.equal(
                called,
                [],
                did="how often the postman was called, before the commit",
                why="he would look, and find nothing",
                hint="after_commit(self.session, self.wake): it is called later",
                at=desk.request_at,
            )
            handed.none(desk.request_at, "nobody calls the postman", "hand over `self.wake` itself, without brackets")
            await desk.load("db.session").commit(session)
        expect.equal(
            called,
            [1],
            did="what the postman finds in the outbox when he is called, after the commit",
            why="the mail would wait for his next round",
            hint="after_commit(self.session, self.wake)",
            at=desk.request_at,
        )
        async with desk.client.sessions() as session:
            await desk.module.PasswordResetService(session, wake).request("ada@example.com")
            await session.rollback()
        expect.equal(
            (called, len(await desk.all(desk.outbox))),
            ([1], 1),
            did="calls of the postman, and messages, after a request that was rolled back",
            why="mail would be sent for what never happened",
            hint="`request` does not commit: get_session does",
            at=desk.request_at,
        )

    async def test_mail(self, desk):
        """For an active user the mail has a link with a token that nobody can guess"""
        await desk.people.add("ada")
        for address in ("ada@example.com", "ADA@example.com"):
            mail = await desk.compose(address)
            token = await desk.token(address)
            expect.equal(
                mail.recipient.lower(),
                "ada@example.com",
                did=f'to whom the mail of compose(session, "{address}") goes',
                why="who gets the mail can choose the password of the account",
                hint="self.text takes the user's e-mail first, then the token",
                at=desk.compose_at,
            )
            expect.that(
                "https://shop.example/reset?token=" in mail.body,
                did=f'compose(session, "{address}")',
                got=expect.shown(mail.body),
                expected="a mail with the link of the settings",
                why="the link leads nowhere",
                hint="self.text writes the mail, with the link in it",
                at=desk.compose_at,
            )
            expect.that(
                len(token) >= 43,
                did="the token in the mail",
                got=f"{len(token)} characters",
                expected="43 or more: 32 random bytes",
                why="a short token can be guessed, by everybody",
                hint="token_urlsafe(32)",
                at=desk.compose_at,
            )
        tokens = {await desk.token("ada@example.com") for _ in range(5)}
        expect.equal(
            len(tokens),
            5,
            did="different tokens in five mails",
            why="a token could be foreseen",
            hint="",
            at=desk.compose_at,
        )

    async def test_hash(self, desk):
        """Only the hash of the token is stored, with the user and the time of its end"""
        ada = await desk.people.add("ada")
        before = desk.load("db.base").utc_now()
        token = await desk.token("ada@example.com")
        rows = await desk.all(desk.resets)
        expect.that(
            len(rows) == 1 and rows[0].user_id == ada.id,
            did="the rows of password_resets, after a mail to Ada",
            got=expect.shown([row.user_id for row in rows]),
            expected="one, of Ada",
            why="the link of the mail could not be used",
            hint="password_reset_crud.replace(session, PasswordReset(…))",
            at=desk.compose_at,
        )
        stored = " ".join(str(value) for value in vars(rows[0]).values())
        expect.that(
            token not in stored and rows[0].token_hash == desk.module.hash_token(token),
            did="what is stored of the token",
            got="the token itself" if token in stored else "something that is not its hash_token",
            expected="hash_token(token), and nothing else of it",
            why="who reads the table, or a backup of it, could take every account",
            hint="token_hash=hash_token(token)",
            at=desk.compose_at,
        )
        minutes = (rows[0].expires_at - before).total_seconds() / 60
        expect.that(
            19.9 <= minutes <= 21,
            did="expires_at, with PASSWORD_RESET_MINUTES=20",
            got=f"{minutes:.0f} minutes from now",
            expected="20 minutes from now",
            why="old mail lies in many places",
            hint="utc_now() + timedelta(minutes=self.settings.password_reset_minutes)",
            at=desk.compose_at,
        )

    async def test_nobody(self, desk):
        """For a stranger, and for a user who is deleted or switched off, there is no mail, and nothing is stored"""
        now = desk.load("db.base").utc_now()
        await desk.people.add("eve", is_active=False)
        await desk.people.add("bob", deleted_at=now, is_active=False)
        for name, who in (("nobody", "nobody has"), ("eve", "is switched off"), ("bob", "was deleted")):
            found = await desk.compose(f"{name}@example.com")
            expect.that(
                found is None and not await desk.all(desk.resets),
                did=f"compose for an address that {who}",
                got=f"{expect.shown(found)}, and {len(await desk.all(desk.resets))} stored tokens",
                expected="None, and no stored token",
                why="mail would go to people who have no account, or must not use it",
                hint="a guard clause: no user, or one who is not active",
                at=desk.compose_at,
            )

    async def test_newest(self, desk):
        """A second mail takes the place of the first one; other users keep theirs"""
        await desk.people.add("ada")
        await desk.people.add("bob")
        await desk.token("bob@example.com")
        await desk.token("ada@example.com")
        second = await desk.token("ada@example.com")
        rows = await desk.all(desk.resets)
        expect.that(
            len(rows) == 2 and desk.module.hash_token(second) in {row.token_hash for row in rows},
            did="the stored tokens, after two mails to Ada and one to Bob",
            got=f"{len(rows)} rows",
            expected="two: Bob's, and Ada's newest",
            why="each mail that was ever sent would open the account",
            hint="`replace` removes the older ones of this user",
            at=desk.compose_at,
        )

    async def test_no_commit(self, load, desk, endings):
        """Neither method commits: the caller does"""
        await desk.people.add("ada")
        endings.clear()
        async with desk.client.sessions() as session:
            settings = desk.client.app.state.settings
            await desk.module.ResetMail(settings).compose(session, "ada@example.com")
            endings.none(did="compose(session, …)", at=desk.compose_at)

            async def wake():
                pass

            await desk.module.PasswordResetService(session, wake).request("ada@example.com")
            endings.none(did="request(…)", at=desk.request_at)

    async def test_log(self, desk, log):
        """The token does not stand in the log"""
        await desk.people.add("ada")
        token = await desk.token("ada@example.com")
        told = [record.getMessage() for record in log if token in record.getMessage()]
        expect.equal(
            told,
            [],
            did="the lines of the log with the token in them",
            why="whoever reads the log could take the account",
            hint="log nothing here",
            at=desk.compose_at,
        )


# --------------------------------------------------------------------------------------------------------------- 13.10


@exercise("13.10")
class TestConfirm:
    @pytest.fixture
    def desk(self, desk):
        """A desk whose mails are the work of the exercise before."""
        desk.no_mail = "write exercise 13.9 first"
        return desk

    def dead(self, desk, answer, what, **reason):
        """Expect the answer to a dead token."""
        reason = {
            "why": "an old mail, or a guess, would open the account",
            "hint": "raise InvalidResetToken when `spend` gives None",
        } | reason
        expect.status(answer, 422, at=desk.confirm_at, **reason)
        body = expect.body(answer)
        expect.that(
            isinstance(body, dict) and body.get("code") == "invalid_reset_token",
            response=answer,
            got=f"the code {expect.shown(body.get('code') if isinstance(body, dict) else body)}",
            expected=f'the code "invalid_reset_token", for {what}',
            at=desk.confirm_at,
            **reason,
        )

    async def signs_in(self, desk, password, name="ada"):
        """Say whether somebody signs in with a password."""
        return (await log_in(desk.client, name, password)).status_code == 200

    async def test_works(self, desk):
        """With the token of the mail the new password is stored as a hash, and the old one is refused"""
        ada = await desk.people.add("ada")
        answer = await desk.confirm(await desk.token(ada.email))
        expect.status(
            answer,
            204,
            why="the link of the mail does not work",
            hint="`spend` gives the user's id",
            at=desk.confirm_at,
        )
        stored = (await desk.people.stored(ada)).hashed_password
        expect.that(
            NEW not in stored,
            did="what is stored of the new password",
            got="the password itself",
            expected="its hash",
            why="who reads the table could sign in as everybody",
            hint="await hash_password(new_password)",
            at=desk.confirm_at,
        )
        expect.equal(
            [await self.signs_in(desk, NEW), await self.signs_in(desk, desk.people.password)],
            [True, False],
            did="whether Ada signs in with the new password, and with the old one",
            why="the new password was chosen because nobody knows the old one, or somebody does",
            hint="user.hashed_password = await hash_password(new_password)",
            at=desk.confirm_at,
        )

    async def test_once(self, desk):
        """The token works once"""
        ada = await desk.people.add("ada")
        token = await desk.token(ada.email)
        await desk.confirm(token)
        first = (await desk.people.stored(ada)).hashed_password
        self.dead(desk, await desk.confirm(token, "Another staple"), "a token that was used")
        expect.that(
            (await desk.people.stored(ada)).hashed_password == first,
            did="the stored password, after a second try with the same token",
            got="another one than after the first try",
            expected="the same: the second try has changed nothing",
            why="the link is also in the history of the browser",
            hint="`spend` deletes the token, and gives None for one that is not there",
            at=desk.confirm_at,
        )

    async def test_dead(self, desk):
        """A token that was never sent, is too old, or was replaced is a 422, and changes nothing"""
        ada = await desk.people.add("ada")
        first = await desk.token(ada.email)
        second = await desk.token(ada.email)
        for token, what in (
            ("x" * 43, "a token that was never sent"),
            ("", "an empty one"),
            (first, "the older of two"),
        ):
            self.dead(desk, await desk.confirm(token), what)
        for row in await desk.all(desk.resets):
            self.dead(
                desk,
                await desk.confirm(row.token_hash),
                "the stored hash itself",
                why="who reads the table could use what stands there",
                hint="hash what came in, and look for that",
            )
        async with desk.client.sessions.begin() as session:
            await session.execute(update(desk.resets).values(expires_at=desk.load("db.base").utc_now()))
        self.dead(desk, await desk.confirm(second), "a token that is too old")
        expect.that(
            await self.signs_in(desk, desk.people.password),
            did="log-in with the old password, after dead tokens",
            got="it is refused",
            expected="200: nothing has changed",
            why="anybody could lock Ada out",
            hint="raise before you change anything",
            at=desk.confirm_at,
        )

    async def test_sessions(self, desk):
        """Every session of the user ends, and nobody else's"""
        pairs = {}
        for name in ("ada", "bob"):
            await desk.people.add(name)
            pairs[name] = [expect.body(await log_in(desk.client, name, desk.people.password)) for _ in range(2)]
        await desk.confirm(await desk.token("ada@example.com"))
        statuses = {}
        for name, found in pairs.items():
            tokens = [pair["refresh_token"] for pair in found]
            statuses[name] = [
                (await desk.client.post(REFRESH, json={"refresh_token": one})).status_code for one in tokens
            ]
        expect.equal(
            statuses,
            {"ada": [401, 401], "bob": [200, 200]},
            did="POST /auth/refresh with the sessions of Ada, who has a new password, and of Bob",
            why="somebody who has the old password is signed in right now, and stays",
            hint="login_session_crud.end_all(self.session, user.id)",
            at=desk.confirm_at,
        )

    async def test_inactive(self, desk):
        """A user who was deleted or switched off in the meantime gets a 422"""
        now = desk.load("db.base").utc_now()
        for name, change in (("ada", {"is_active": False}), ("bob", {"deleted_at": now, "is_active": False})):
            person = await desk.people.add(name)
            before = (await desk.people.stored(person)).hashed_password
            token = await desk.token(person.email)
            await desk.people.change(person, **change)
            self.dead(
                desk,
                await desk.confirm(token),
                "a user who may not sign in",
                why="whoever may not sign in any more would change the account all the same",
                hint="find the user, and refuse one who is gone or not active",
            )
            expect.equal(
                (await desk.people.stored(person)).hashed_password == before,
                True,
                did="whether the stored hash is still the old one",
                why="a 422 changes nothing",
                hint="raise before you change anything",
                at=desk.confirm_at,
            )

    async def test_refused_password(self, desk):
        """A weak password is a 422, and the token stays alive"""
        await desk.people.add("ada")
        token = await desk.token("ada@example.com")
        expect.status(await desk.confirm(token, "short"), 422, why="", hint="", at=desk.confirm_at)
        expect.status(
            await desk.confirm(token),
            204,
            why="a typing mistake would cost the link",
            hint="the schema refuses the password before your method is called",
            at=desk.confirm_at,
        )

    async def test_race(self, desk):
        """Of two who come with one token at the same moment, one gets a 204 and the other a 422"""
        await desk.people.add("ada")
        token = await desk.token("ada@example.com")
        answers = await asyncio.gather(*(desk.confirm(token, f"Battery staple {number}") for number in range(5)))
        expect.equal(
            sorted(answer.status_code for answer in answers),
            [204, 422, 422, 422, 422],
            did="the statuses of five requests with one token at the same moment",
            why="who has copied the link would have the last word",
            hint="`spend` deletes and tells in one statement: do not look for the token before",
            at=desk.confirm_at,
        )

    async def test_cheap(self, desk, monkeypatch):
        """A dead token costs no hashing"""
        hashed, module = [], sys.modules["app.auth.password_reset"]
        real = module.hash_password

        async def count(password):
            hashed.append(password)
            return await real(password)

        monkeypatch.setattr(module, "hash_password", count)
        await desk.confirm("x" * 43)
        expect.equal(
            len(hashed),
            0,
            did="how often a password was hashed, for a dead token",
            why="a script with dead tokens would keep your processor busy: a third of a second for each",
            hint="hash when you know that the token is alive",
            at=desk.confirm_at,
        )

    async def test_rolled_back(self, desk, endings):
        """`confirm` does not commit: when the request fails, the token is still alive"""
        await desk.people.add("ada")
        token = await desk.token("ada@example.com")
        endings.clear()

        async def wake():
            pass

        async with desk.client.sessions() as session:
            await desk.module.PasswordResetService(session, wake).confirm(token, NEW)
            endings.none(did="confirm(…)", at=desk.confirm_at)
            await session.rollback()
        expect.status(
            await desk.confirm(token),
            204,
            why="a failed commit would cost the link",
            hint="let get_session commit",
            at=desk.confirm_at,
        )


# --------------------------------------------------------------------------------------------------------------- 13.11

EXPORT = f"{API}/users/me/export"


@pytest.fixture
async def shelf(load, open_visit, monkeypatch):
    """An app with batches of three, and a coroutine that stores many items of somebody."""
    module = module_of(load, "items.export")
    monkeypatch.setattr(module, "BATCH", 3)
    async with open_visit() as client:  # one connection: who keeps it, stops everybody
        people, model = load_people(load, client), load("items.models").Item

        async def fill(name, number):
            person = await people.add(name)
            rows = [{"title": f"Pen {n}", "price": 1, "owner_id": person.id} for n in range(number)]
            async with client.sessions.begin() as session:
                if rows:
                    await session.execute(insert(model), rows)
            return person

        yield SimpleNamespace(
            client=client, fill=fill, model=model, lines=module.export_lines, at=module.export_lines, module=module
        )


def parsed(shelf, line):
    """Return the item of a line."""
    try:
        found = json.loads(line)
    except (TypeError, ValueError):
        found = None
    expect.that(
        isinstance(found, dict) and "title" in found,
        did="a text that the generator gives, read as JSON",
        got=expect.shown(line),
        expected="one item",
        why="a reader takes line by line",
        hint='one `yield` for each item: ItemPublic.model_validate(item).model_dump_json() + "\\n"',
        at=shelf.at,
    )
    return found


async def lines_of(shelf, person, number):
    """Give the lines of somebody with so many items; an export that never ends is left when it is ten too long."""
    lines, found = shelf.lines(shelf.client.sessions, person.id), 0
    async for line in lines:
        yield line
        found += 1
        if found == number + 10:
            break
    with suppress(AttributeError):
        await lines.aclose()


async def titles_of(shelf, person, number):
    """Return the titles of all lines."""
    return [parsed(shelf, line)["title"] async for line in lines_of(shelf, person, number)]


@exercise("13.11")
class TestExport:
    async def test_all(self, shelf):
        """Every item comes once, by id, however many there are"""
        for number in (0, 1, 2, 3, 4, 6, 10):
            person = await shelf.fill(f"user{number}", number)
            for nth, hint in (
                ("first", "begin the next batch behind the last id, until a batch is empty"),
                ("second", "keep the last id in a variable of the function: each export begins anew"),
            ):
                found = [parsed(shelf, line) async for line in lines_of(shelf, person, number)]
                foreign = any(one.get("owner_id") != person.id for one in found)
                expect.equal(
                    [one["title"] for one in found],
                    [f"Pen {n}" for n in range(number)],
                    did=f"the titles in the lines, of {number} items, with BATCH = 3, at the {nth} time",
                    why="people would lose what is missing, and would not notice"
                    if len(found) < number
                    else "what is in it and should not be is not theirs, or is there twice",
                    hint="hand owner_id to get_batch" if foreign else hint,
                    at=shelf.at,
                )

    async def test_lines(self, shelf, load):
        """Each line is one JSON object with the fields of ItemPublic, and ends with a newline"""
        person = await shelf.fill("ada", 4)
        lines = [line async for line in lines_of(shelf, person, 4)]
        expect.that(
            all(isinstance(line, str) and line.endswith("\n") and line.count("\n") == 1 for line in lines),
            did="the texts that the generator gives, for four items",
            got=expect.shown(lines[:2]),
            expected="texts with one newline each, at the end",
            why="a reader takes line by line",
            hint='one `yield` for each item: ItemPublic.model_validate(item).model_dump_json() + "\\n"',
            at=shelf.at,
        )
        expect.equal(
            len(lines), 4, did="how many texts the generator gives, for four items", why="", hint="", at=shelf.at
        )
        expect.equal(
            sorted(json.loads(lines[0])),
            sorted(load("items.schemas").ItemPublic.model_fields),
            did="the fields of a line",
            why="the export shows less, or more, than GET /items does",
            hint="ItemPublic.model_validate(item).model_dump_json()",
            at=shelf.at,
        )

    async def test_own(self, shelf):
        """Everybody gets their own items, over HTTP too, and a stranger a 401"""
        ada, bob = await shelf.fill("ada", 4), await shelf.fill("bob", 2)
        for person, number in ((ada, 4), (bob, 2)):
            found = [line async for line in lines_of(shelf, person, number)]
            expect.that(
                len(found) < number + 10,
                did=f"the export of {person.username}, of {number} items, with BATCH = 3",
                got=f"{len(found)} lines, and still more",
                expected="an end",
                why="the client would read for ever",
                hint="the next batch begins behind the last id of this one",
                at=shelf.at,
            )
            answer = await shelf.client.get(EXPORT, headers=person.headers)
            expect.status(answer, 200, why="the export would be an error", hint="", at=shelf.at)
            owners = sorted({parsed(shelf, line).get("owner_id") for line in answer.text.splitlines()}, key=str)
            foreign = set(owners) - {person.id}
            expect.equal(
                owners,
                [person.id],
                did=f"whose items are in the export of {person.username}",
                why="one user would get what another one owns" if foreign else "people would lose what is missing",
                hint="hand owner_id to get_batch" if foreign else "",
                at=shelf.at,
            )
        expect.status(await shelf.client.get(EXPORT), 401, why="a stranger would read it", hint="", at=shelf.at)

    async def test_first_line(self, shelf):
        """The first line comes when one batch is read"""
        person = await shelf.fill("ada", 10)
        async with counted(shelf.client, "from items") as queries:
            lines = shelf.lines(shelf.client.sessions, person.id)
            await anext(lines, None)
            found = queries.n
            await lines.aclose()
        expect.equal(
            found,
            1,
            did="how many batches were read, when the first line comes",
            why="who reads everything first has everything in memory",
            hint="give the lines of a batch away before you read the next one",
            at=shelf.at,
        )

    async def test_connection(self, shelf):
        """While the client reads, the connection is free for others"""
        person = await shelf.fill("ada", 10)
        lines, busy = shelf.lines(shelf.client.sessions, person.id), []
        for number in range(5):
            await anext(lines, None)
            try:
                async with asyncio.timeout(2), shelf.client.sessions() as session:
                    await session.scalar(select(shelf.model.id).limit(1))
            except TimeoutError:
                busy.append(number + 1)
                break
        await lines.aclose()
        expect.equal(
            busy,
            [],
            did="after which line somebody else waits for a connection, where there is one connection",
            why="ten phones in a tunnel would have all connections of your pool",
            hint="the `yield` stands outside of the `async with`",
            at=shelf.at,
        )

    async def test_deleted(self, shelf):
        """What is deleted in the middle of an export makes it skip nothing else"""
        person = await shelf.fill("ada", 9)
        found = []
        async for line in lines_of(shelf, person, 9):
            found.append(parsed(shelf, line))
            if len(found) == 3:
                with suppress(TimeoutError):  # a session that is open meanwhile is the matter of another criterion
                    async with asyncio.timeout(2), shelf.client.sessions.begin() as session:
                        await session.execute(delete(shelf.model).where(shelf.model.id == found[0]["id"]))
        expect.equal(
            [one["title"] for one in found],
            [f"Pen {n}" for n in range(9)],
            did="the titles of nine items, when the first one is deleted after the third line",
            why="a row that was counted is gone, and another one is skipped",
            hint="go on behind the last id; a number of rows to skip is wrong when rows go" if len(found) == 8 else "",
            at=shelf.at,
        )

    async def test_memory(self, shelf):
        """At most a few batches are in memory, of 900 items with BATCH = 50"""
        shelf.module.BATCH = 50
        person = await shelf.fill("ada", 900)
        most, number = 0, 0
        async for _line in lines_of(shelf, person, 900):
            number += 1
            if number % 200 == 0:
                gc.collect()
                most = max(most, sum(type(thing) is shelf.model for thing in gc.get_objects()))
        expect.that(
            number == 900 and most <= 150,
            did="how many items are in memory, in the middle of an export of 900",
            got=f"{most} items, and {number} lines in the end",
            expected="those of a batch or two, and 900 lines",
            why="100,000 items would need hundreds of megabytes",
            hint="keep nothing of a batch but its last id" if most > 150 else "",
            at=shelf.at,
        )

    async def test_two(self, shelf):
        """Exports that run at the same time do not disturb each other"""
        ada, bob = await shelf.fill("ada", 7), await shelf.fill("bob", 5)
        people = ((ada, 7), (bob, 5), (ada, 7))
        alone = [len(await titles_of(shelf, *one)) for one in people]
        found = await asyncio.gather(*(titles_of(shelf, *one) for one in people))
        disturbed = alone == [7, 5, 7]
        expect.equal(
            [len(one) for one in found],
            [7, 5, 7],
            did="the lines of three exports at the same time, two of Ada's and one of Bob's",
            why="each would get a part of the other's" if disturbed else "they are wrong one by one, too",
            hint="keep the last id in a variable of the function" if disturbed else "",
            at=shelf.at,
        )


# --------------------------------------------------------------------------------------------------------------- 13.12

ZIPPED = {"Accept-Encoding": "gzip"}


@exercise("13.12")
class TestCompression:
    def is_encoded(self, load, answer, wanted, **reason):
        """Expect that an answer is compressed, or that it is not."""
        expect.header(
            answer,
            "content-encoding",
            wanted,
            at=load("core.middleware").CompressionMiddleware.__call__,
            **reason,
        )

    async def many(self, load, client):
        """Store many items of Ada; return her headers."""
        ada = await load_people(load, client).add("ada")
        rows = [{"title": f"A pen with a name {n}", "price": 1, "owner_id": ada.id} for n in range(60)]
        async with client.sessions.begin() as session:
            await session.execute(insert(load("items.models").Item), rows)
        return ada.headers

    async def test_large(self, load, visitor):
        """A long list is compressed for who takes gzip, and arrives whole; an export too"""
        headers = await self.many(load, visitor)
        for path, number in ((f"{API}/items?limit=50", 50), (EXPORT, 60)):
            answer = await visitor.get(path, headers=headers | ZIPPED)
            self.is_encoded(
                load,
                answer,
                "gzip",
                why="people with a slow network wait ten times as long",
                hint="let self.compressed answer",
            )
            found = answer.text.count("A pen with a name")
            expect.equal(found, number, did=f"items in {path}", why="a part is lost on the way", hint="", at=None)

    async def test_without(self, load, visitor):
        """Who does not take gzip, and who gets a short answer, gets it as it is"""
        headers = await self.many(load, visitor)
        answer = await visitor.get(f"{API}/items?limit=50", headers=headers | {"Accept-Encoding": "identity"})
        self.is_encoded(
            load, answer, None, why="the client could not read it", hint="GZipMiddleware looks at the header"
        )
        answer = await visitor.get(f"{API}/items?limit=1", headers=headers | ZIPPED)
        self.is_encoded(
            load, answer, None, why="a short answer becomes longer", hint="self.compressed knows the least size"
        )

    async def test_secrets(self, load, visitor):
        """Nothing below /auth is compressed, with tokens in it or not"""
        email = f"{'a' * 60}@{'.'.join(['b' * 60] * 3)}.com"  # makes an answer that is worth compressing
        answer = await visitor.post(REGISTER, json=ADA | {"email": email, "full_name": "A" * 100}, headers=ZIPPED)
        expect.status(answer, 201, why="nobody could sign up", hint="")
        self.is_encoded(
            load,
            answer,
            None,
            why="the length of the answer would tell the token, letter by letter",
            hint="what lies below self.secret_paths goes to self.app",
        )
        token = expect.body(answer)["access_token"]
        for _ in range(12):
            await log_in(visitor, "ada", ADA["password"])
        answer = await visitor.get(f"{API}/auth/sessions", headers=ZIPPED | {"Authorization": f"Bearer {token}"})
        self.is_encoded(
            load,
            answer,
            None,
            why="one answer with a secret is enough",
            hint="everything below self.secret_paths goes to self.app, not one path only",
        )

    async def run(self, load, path, kind="http", **scope):
        """Send a request to the middleware around a small app; return what that was asked, and the headers."""
        asked, started = [], []

        async def app(scope, _receive, send):
            asked.append(scope["type"])
            if scope["type"] == "http":
                await send(
                    {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
                )
                await send({"type": "http.response.body", "body": b"the same words again " * 200})

        async def send(message):
            if message["type"] == "http.response.start":
                started.append(dict(message["headers"]))

        middleware = load("core.middleware").CompressionMiddleware(app, secret_paths="/v2/auth")
        where = {"path": path} if path is not None else {}
        headers = [(b"accept-encoding", b"gzip")]
        await middleware({"type": kind, "headers": headers, "method": "GET", **where, **scope}, None, send)
        return asked, started

    async def test_paths(self, load):
        """Only the path that was named, and what is below it, is left as it is"""
        at = load("core.middleware").CompressionMiddleware.__call__
        for path, secret in (
            ("/v2/auth", True),
            ("/v2/auth/login", True),
            ("/v2/auth/sessions/1", True),
            ("/v2/authors", False),
            ("/v2/auth-log", False),
            ("/v2/items/auth", False),
            ("/items", False),
            ("/", False),
            ("/api/v1/auth/login", False),
        ):
            _asked, started = await self.run(load, path)
            found = started[0].get(b"content-encoding") == b"gzip" if started else None
            expect.that(
                found is not secret and found is not None,
                did=f'GET {path} through CompressionMiddleware(app, secret_paths="/v2/auth")',
                got="compressed" if found else "as it is",
                expected="as it is" if secret else "compressed",
                why="a secret would be compressed" if secret else "what only looks like a secret path stays large",
                hint="equal to self.secret_paths, or beginning with it and a slash",
                at=at,
            )

    async def test_other_kinds(self, load):
        """What is no HTTP goes through as it is"""
        at = load("core.middleware").CompressionMiddleware.__call__
        for kind, path in (("lifespan", None), ("websocket", "/socket")):
            try:
                asked, _started = await self.run(load, path, kind)
            except KeyError:
                asked = ["a KeyError"]
            expect.equal(
                asked,
                [kind],
                did=f"what the app below is asked, for the type {kind}",
                why="the app would not start",
                hint='only a scope of the type "http" has a path to look at',
                at=at,
            )
