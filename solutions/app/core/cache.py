"""A place to keep what is slow to make: Redis, where there is one, or this process."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from time import monotonic
from typing import Protocol, TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

MAX_WAIT = 0.25  # seconds
PAUSE = 1.0

Answer = TypeVar("Answer")


class Cache(Protocol):
    """What the app asks of a cache. A value may be gone at any time; `ttl` is in seconds."""

    async def get(self, key: str) -> bytes | None:
        """Return what is kept under this key, or None."""

    async def set(self, key: str, value: bytes, ttl: float) -> None:
        """Keep a value."""

    async def add(self, key: str, value: bytes, ttl: float) -> bool:
        """Keep a value if nothing is there; of several who try at once, one gets True."""

    async def delete(self, key: str) -> None:
        """Forget a value; a key that is not there is no error."""

    async def aclose(self) -> None:
        """Let go of what the cache holds open."""


class MemoryCache:
    """Keep values in this process."""

    def __init__(self, max_entries: int = 10_000) -> None:
        """Begin empty; the oldest values go when there are too many."""
        self._max_entries = max_entries
        self._entries: dict[str, tuple[bytes, float]] = {}

    async def get(self, key: str) -> bytes | None:
        """Return what is kept under this key, or None."""
        value, expires = self._entries.get(key, (b"", 0.0))
        return value if monotonic() < expires else None

    async def set(self, key: str, value: bytes, ttl: float) -> None:
        """Keep a value."""
        self._entries.pop(key, None)
        self._entries[key] = (value, monotonic() + ttl)
        while len(self._entries) > self._max_entries:
            del self._entries[next(iter(self._entries))]

    async def add(self, key: str, value: bytes, ttl: float) -> bool:
        """Keep a value if nothing is there; of several who try at once, one gets True."""
        if monotonic() < self._entries.get(key, (b"", 0.0))[1]:
            return False
        await self.set(key, value, ttl)
        return True

    async def delete(self, key: str) -> None:
        """Forget a value."""
        self._entries.pop(key, None)

    async def aclose(self) -> None:
        """Hold nothing open."""


class RedisCache:
    """Keep values in Redis, for all processes of the app."""

    def __init__(self, url: str) -> None:
        """Remember the address; connections are opened when they are needed."""
        self._redis = Redis.from_url(url, retry=Retry(NoBackoff(), 0))

    async def get(self, key: str) -> bytes | None:
        """Return what is kept under this key, or None."""
        value = await self._redis.get(key)
        return value if isinstance(value, bytes) else None

    async def set(self, key: str, value: bytes, ttl: float) -> None:
        """Keep a value."""
        await self._redis.set(key, value, px=round(ttl * 1000))

    async def add(self, key: str, value: bytes, ttl: float) -> bool:
        """Keep a value if nothing is there; of several who try at once, one gets True."""
        return bool(await self._redis.set(key, value, px=round(ttl * 1000), nx=True))

    async def delete(self, key: str) -> None:
        """Forget a value."""
        await self._redis.delete(key)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._redis.aclose()


class Patience:
    """Asks somebody who may be away, and does not wait for long."""

    def __init__(self) -> None:
        """Begin with trust."""
        self._asleep_until = 0.0  # by the clock of `monotonic`

    async def ask(self, question: Callable[[], Awaitable[Answer]], otherwise: Answer) -> Answer:
        """Return the answer, or `otherwise` when nobody gives one in time."""
        if monotonic() < self._asleep_until:
            return otherwise
        try:
            async with asyncio.timeout(MAX_WAIT):
                return await question()
        except (RedisError, OSError) as error:
            self._asleep_until = monotonic() + PAUSE
            logger.warning("Redis does not answer (%s); next try in %s s", error, PAUSE)
            return otherwise


class PatientCache:
    """A cache that never fails and never takes long: without it the app works as if it were new."""

    def __init__(self, cache: Cache) -> None:
        """Stand around another cache."""
        self._cache = cache
        self._patience = Patience()
        self._owed: set[str] = set()  # keys that could not be forgotten yet

    async def _forget(self, key: str) -> bool:
        """Forget one value, and say that it is done."""
        await self._cache.delete(key)
        return True

    async def _pay(self) -> bool:
        """Forget what is owed; say whether nothing is left."""
        for key in list(self._owed):
            if await self._patience.ask(partial(self._forget, key), False):
                self._owed.discard(key)
        return not self._owed

    async def get(self, key: str) -> bytes | None:
        """Return what is kept under this key, or None; first forget what is owed."""
        if not await self._pay():
            return None
        return await self._patience.ask(lambda: self._cache.get(key), None)

    async def set(self, key: str, value: bytes, ttl: float) -> None:
        """Keep a value, if possible."""
        await self._patience.ask(lambda: self._cache.set(key, value, ttl), None)

    async def add(self, key: str, value: bytes, ttl: float) -> bool:
        """Keep a value if nothing is there; True also when nobody can know."""
        return await self._patience.ask(lambda: self._cache.add(key, value, ttl), True)

    async def delete(self, key: str) -> None:
        """Forget a value; when that fails, it is owed."""
        self._owed.add(key)
        await self._pay()

    async def aclose(self) -> None:
        """Let go of the cache below."""
        await self._cache.aclose()


@asynccontextmanager
async def open_cache(url: str | None) -> AsyncIterator[Cache]:
    """Open the cache for as long as the app runs: in Redis when the settings name one."""
    cache: Cache = PatientCache(RedisCache(url)) if url else MemoryCache()
    try:
        yield cache
    finally:
        await cache.aclose()
