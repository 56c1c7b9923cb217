"""A cache that may be away, what asks it, and what it must hold (chapter 13)."""

import asyncio
import inspect
import os
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from types import SimpleNamespace

import pytest
from redis.exceptions import RedisError

from course_checks.modules import module_of
from course_checks.paths import API
from course_checks.samples import PEN
from course_checks.statements import heard
from workbook import expect
from workbook.checks import serve

SUMMARY = f"{API}/users/me/summary"
FILE = "sqlite+aiosqlite:///shop.db"


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


def method_of(load, name, module="items.summary", owner="SummaryCache"):
    """Return a method of the learner's, for `at=`; the class where it is missing."""
    made = getattr(load(module), owner)
    return getattr(made, name, made)


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
    found = SimpleNamespace(n=0)

    def note(statement, *_facts):
        found.n += part in statement.lower()

    with heard(client, note):
        yield found


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


async def asked(patient, *, seconds=3.0):
    """Ask once, with the answer "nothing" for the time without; at most so long."""
    try:
        async with asyncio.timeout(seconds) as bound:
            return await patient.ask(patient.question, "nothing")
    except (RedisError, OSError) as error:
        return f"it was still waiting after {seconds:.0f} s" if bound.expired() else f"it raised {type(error).__name__}"
