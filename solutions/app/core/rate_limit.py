"""How often one may try: counted by address, and by the account that is named."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from ipaddress import ip_address
from math import ceil
from time import time
from typing import Any

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter
from redis.asyncio import ConnectionPool

from app.core.cache import Patience
from app.core.config import Settings
from app.core.exceptions import TooManyRequests


async def count_try(window: FixedWindowRateLimiter, limit: RateLimitItem, *names: str) -> int:
    """Count a try; return how many seconds to wait, 0 for a try that is allowed."""
    if await window.hit(limit, *names):
        return 0
    ends, _left = await window.get_window_stats(limit, *names)
    return max(1, ceil(ends - time()))


class RateLimiter:
    """Counts in Redis, for all processes; without one, or while it is away, in this process."""

    def __init__(self, url: str | None) -> None:
        """Remember where to count."""
        self._own = FixedWindowRateLimiter(MemoryStorage())
        self._shared: FixedWindowRateLimiter | None = None
        self._patience = Patience()
        self._pool = ConnectionPool.from_url(url) if url else None
        if self._pool:
            pool: Any = self._pool  # of the client; `limits` declares texts and numbers only
            storage = RedisStorage("async+redis://", implementation="redispy", connection_pool=pool)
            self._shared = FixedWindowRateLimiter(storage)

    async def seconds(self, limit: RateLimitItem, *names: str) -> int:
        """Count a try; return how many seconds to wait, 0 for a try that is allowed."""
        shared = self._shared
        if shared is not None:
            seconds = await self._patience.ask(lambda: count_try(shared, limit, *names), -1)
            if seconds >= 0:
                return seconds
        return await count_try(self._own, limit, *names)

    async def aclose(self) -> None:
        """Close the connections."""
        if self._pool:
            await self._pool.disconnect()


class Tries:
    """What one client tries, from its address."""

    def __init__(self, limiter: RateLimiter, settings: Settings, address: str) -> None:
        """Read the limits."""
        self.limiter = limiter
        self.enabled = settings.rate_limit_enabled
        self.per_identity = parse(settings.rate_limit_identity)
        self.per_address = parse(settings.rate_limit_address)
        self.address = address

    async def count(self, action: str, identity: str = "") -> None:
        """Count a try, or raise TooManyRequests: by address, and by the account that is named."""
        if not self.enabled:
            return
        counted = [(self.per_address, "address", self.address)]
        if identity:
            counted.append((self.per_identity, "identity", digest(identity.strip().lower())))
        for limit, kind, who in counted:
            seconds = await self.limiter.seconds(limit, action, kind, who)
            if seconds:
                raise TooManyRequests(seconds)


def digest(text: str) -> str:
    """Shorten a name of any length; what is counted needs no e-mail addresses in Redis."""
    return sha256(text.encode("utf-8", "replace")).hexdigest()


@asynccontextmanager
async def open_limiter(settings: Settings) -> AsyncIterator[RateLimiter]:
    """Make the limiter of one app: another app counts for itself."""
    limiter = RateLimiter(settings.redis_url)
    try:
        yield limiter
    finally:
        await limiter.aclose()


def is_trusted(address: str, settings: Settings) -> bool:
    """Say whether an address is a proxy of ours."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in settings.trusted_proxies)
